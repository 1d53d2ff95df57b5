#pragma once
//  Atomics, see cuda/atomic.cuh.
#include <tenon/simt/machine.hpp>

namespace tenon::inline host::arch {

template <class T>
inline T atomic_add(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, simt::memory_order::relaxed, simt::scope::device, at,
                                      [v](T before) { return static_cast<T>(before + v); });
}
template <class T>
inline T atomic_max(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, simt::memory_order::relaxed, simt::scope::device, at,
                                      [v](T before) { return before < v ? v : before; });
}
template <class T>
inline T atomic_min(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, simt::memory_order::relaxed, simt::scope::device, at,
                                      [v](T before) { return v < before ? v : before; });
}
template <class T>
inline T atomic_exchange(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, simt::memory_order::relaxed, simt::scope::device, at, [v](T) { return v; });
}
template <class T>
inline T atomic_compare_exchange(T* p, T expected, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, simt::memory_order::relaxed, simt::scope::device, at,
                                      [=](T before) { return before == expected ? v : before; });
}

inline unsigned atomic_add_ordered(unsigned* p, unsigned v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, simt::memory_order::acquire_release, simt::scope::device, at,
                                      [v](unsigned before) { return before + v; });
}
inline unsigned load_acquire(unsigned const* p, simt::site at = simt::site::here()) {
  return simt::machine::atomic_load(p, simt::memory_order::acquire, simt::scope::device, at);
}
inline void store_release(unsigned* p, unsigned v, simt::site at = simt::site::here()) {
  simt::machine::atomic_store(p, v, simt::memory_order::release, simt::scope::device, at);
}

}  // namespace tenon::inline host::arch
