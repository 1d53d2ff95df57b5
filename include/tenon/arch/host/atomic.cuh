#pragma once
//  Atomics, see cuda/atomic.cuh.
#include <tenon/simt/site.hpp>

#include <atomic>

namespace tenon::inline host::arch {

template <class T>
inline T atomic_add(T* p, T v, simt::site = simt::site::here()) {
  return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
template <class T>
inline T atomic_max(T* p, T v, simt::site = simt::site::here()) {
  std::atomic_ref<T> a(*p);
  T                  before = a.load(std::memory_order_relaxed);
  while (before < v && !a.compare_exchange_weak(before, v, std::memory_order_relaxed)) {
  }
  return before;
}
template <class T>
inline T atomic_min(T* p, T v, simt::site = simt::site::here()) {
  std::atomic_ref<T> a(*p);
  T                  before = a.load(std::memory_order_relaxed);
  while (v < before && !a.compare_exchange_weak(before, v, std::memory_order_relaxed)) {
  }
  return before;
}
template <class T>
inline T atomic_exchange(T* p, T v, simt::site = simt::site::here()) {
  return std::atomic_ref<T>(*p).exchange(v, std::memory_order_relaxed);
}
template <class T>
inline T atomic_compare_exchange(T* p, T expected, T v, simt::site = simt::site::here()) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, v, std::memory_order_relaxed);
  return expected;
}

inline unsigned atomic_add_ordered(unsigned* p, unsigned v, simt::site = simt::site::here()) {
  return std::atomic_ref<unsigned>(*p).fetch_add(v, std::memory_order_acq_rel);
}
inline unsigned load_acquire(unsigned const* p, simt::site = simt::site::here()) {
  return std::atomic_ref<unsigned>(const_cast<unsigned&>(*p)).load(std::memory_order_acquire);
}
inline void store_release(unsigned* p, unsigned v, simt::site = simt::site::here()) {
  std::atomic_ref<unsigned>(*p).store(v, std::memory_order_release);
}

}  // namespace tenon::inline host::arch
