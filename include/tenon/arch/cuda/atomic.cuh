#pragma once
//  Atomics, relaxed at device scope unless the name says more, and ordered accesses for flags between blocks.

namespace tenon::inline cuda::arch {

/// *p += v; the value before.
template <class T>
__device__ inline T atomic_add(T* p, T v) {
  return atomicAdd(p, v);
}
template <class T>
__device__ inline T atomic_max(T* p, T v) {
  return atomicMax(p, v);
}
template <class T>
__device__ inline T atomic_min(T* p, T v) {
  return atomicMin(p, v);
}
template <class T>
__device__ inline T atomic_exchange(T* p, T v) {
  return atomicExch(p, v);
}
/// Stores v where *p is `expected`; the value before.
template <class T>
__device__ inline T atomic_compare_exchange(T* p, T expected, T v) {
  return atomicCAS(p, expected, v);
}

/// *p += v with acquire and release order at device scope: what this thread (and, after a block barrier, its block)
/// wrote before is visible to whoever reads the new value.
__device__ inline unsigned atomic_add_ordered(unsigned* p, unsigned v) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(p), "r"(v) : "memory");
  return before;
}
__device__ inline unsigned load_acquire(unsigned const* p) {
  unsigned v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
__device__ inline void store_release(unsigned* p, unsigned v) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}

}  // namespace tenon::inline cuda::arch
