#pragma once
//  Vectorised accesses: N elements in one instruction, the address a multiple of their total size (at most 16 bytes).
//
//  Hints say what a cache should expect; they never change what is read or written.
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/vec.hpp>

#include <cstdint>

namespace tenon::inline cuda::arch {

template <int N, class T>
__device__ inline vec<T, N> load(T const* address) {
  return *reinterpret_cast<vec<T, N> const*>(address);
}

/// A load of data that no thread writes during the launch (ld.global.nc).
template <int N, class T>
__device__ inline vec<T, N> load_constant(T const* address) {
  using V = vec<T, N>;
  V v;
  if constexpr (sizeof(V) == 16) {
    reinterpret_cast<uint4&>(v) = __ldg(reinterpret_cast<uint4 const*>(address));
  } else if constexpr (sizeof(V) == 8) {
    reinterpret_cast<uint2&>(v) = __ldg(reinterpret_cast<uint2 const*>(address));
  } else if constexpr (sizeof(V) == 4) {
    reinterpret_cast<unsigned&>(v) = __ldg(reinterpret_cast<unsigned const*>(address));
  } else {
    v = *reinterpret_cast<V const*>(address);
  }
  return v;
}

template <int N, class T>
__device__ inline void store(T* address, vec<T, N> const& v) {
  *reinterpret_cast<vec<T, N>*>(address) = v;
}

namespace detail {

// Qualifiers of ld.global and st.global, spliced into the instruction.
struct read_once {
  static constexpr char text[] = ".nc.L1::no_allocate";
};
struct streamed {
  static constexpr char text[] = ".cs";
};
struct in_l2 {
  static constexpr char text[] = ".cg";
};

template <int Bytes>
concept hinted = Bytes == 4 || Bytes == 8 || Bytes == 16;

template <class Hint, class V>
__device__ inline V load_with(void const* address) {
  if constexpr (sizeof(V) == 16) {
    vec<std::uint32_t, 4> r;
    asm volatile("ld.global%5.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "l"(address), "C"(Hint::text)
                 : "memory");
    return bit_cast<V>(r);
  } else if constexpr (sizeof(V) == 8) {
    vec<std::uint32_t, 2> r;
    asm volatile("ld.global%3.v2.b32 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "l"(address), "C"(Hint::text)
                 : "memory");
    return bit_cast<V>(r);
  } else {
    std::uint32_t r;
    asm volatile("ld.global%2.b32 %0, [%1];" : "=r"(r) : "l"(address), "C"(Hint::text) : "memory");
    return bit_cast<V>(r);
  }
}

template <class Hint, class V>
__device__ inline void store_with(void* address, V const& v) {
  if constexpr (sizeof(V) == 16) {
    auto const r = bit_cast<vec<std::uint32_t, 4>>(v);
    asm volatile("st.global%5.v4.b32 [%4], {%0, %1, %2, %3};" ::"r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]),
                 "l"(address), "C"(Hint::text)
                 : "memory");
  } else if constexpr (sizeof(V) == 8) {
    auto const r = bit_cast<vec<std::uint32_t, 2>>(v);
    asm volatile("st.global%3.v2.b32 [%2], {%0, %1};" ::"r"(r[0]), "r"(r[1]), "l"(address), "C"(Hint::text) : "memory");
  } else {
    asm volatile("st.global%2.b32 [%1], %0;" ::"r"(bit_cast<std::uint32_t>(v)), "l"(address), "C"(Hint::text)
                 : "memory");
  }
}

}  // namespace detail

// The rest is for global memory and moves 4, 8 or 16 bytes.

/// A load of data that this block reads once and no thread writes during the launch: leaves L1 to others. The weights of
/// a decode step. (ld.global.nc.L1::no_allocate)
template <int N, class T>
requires detail::hinted<sizeof(T) * N> __device__ inline vec<T, N> load_once(T const* address) {
  return detail::load_with<detail::read_once, vec<T, N>>(address);
}

/// A load of data that nobody will read again soon: the first to be evicted. (ld.global.cs)
template <int N, class T>
requires detail::hinted<sizeof(T) * N> __device__ inline vec<T, N> load_streaming(T const* address) {
  return detail::load_with<detail::streamed, vec<T, N>>(address);
}

/// A load of data that other blocks write in the same launch: past L1, whose lines may be old. Partial sums of a split
/// reduction, after the acquire that orders them. (ld.global.cg)
template <int N, class T>
requires detail::hinted<sizeof(T) * N> __device__ inline vec<T, N> load_shared_by_blocks(T const* address) {
  return detail::load_with<detail::in_l2, vec<T, N>>(address);
}

/// A store of data that this launch does not read again. (st.global.cs)
template <int N, class T>
requires detail::hinted<sizeof(T) * N> __device__ inline void store_streaming(T* address, vec<T, N> const& v) {
  detail::store_with<detail::streamed>(address, v);
}

/// Asks for the line of `address` in L2. (prefetch.global.L2)
__device__ inline void prefetch(void const* address) { asm volatile("prefetch.global.L2 [%0];" ::"l"(address)); }

}  // namespace tenon::inline cuda::arch
