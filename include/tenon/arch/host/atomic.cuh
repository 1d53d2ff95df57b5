#pragma once
//  Atomics, see cuda/atomic.cuh.
#include <tenon/core/atomic_operand.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/simt/machine.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace tenon::inline host::arch {

using simt::memory_order;
using simt::scope;

namespace detail {

/// a + b rounded once: fp32 has more than twice the bits of either, so its own rounding never shows.
template <class T>
T half_sum(T a, T b) {
  float const sum = static_cast<float>(a) + static_cast<float>(b);
  return sum == sum ? T(sum) : T::from_bits(0x7fff);
}

template <memory_order Order>
constexpr bool for_red = Order == memory_order::relaxed || Order == memory_order::release;

template <class T>
T sum(T a, T b) {
  if constexpr (is_half_pair<T>) {
    return T{{half_sum(a[0], b[0]), half_sum(a[1], b[1])}};
  } else if constexpr (std::integral<T>) {
    using bits = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<bits>(a) + static_cast<bits>(b));
  } else {
    return a + b;
  }
}

}  // namespace detail

template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_word T>
inline T atomic_compare_exchange(T* p, T expected, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(
      p, Order, Scope, at, [=](T before) { return __builtin_memcmp(&before, &expected, sizeof(T)) == 0 ? v : before; });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_word T>
inline T atomic_exchange(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at, [v](T) { return v; });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_summand T>
inline T atomic_add(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at, [v](T before) { return detail::sum(before, v); });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline T atomic_max(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at, [v](T before) { return before < v ? v : before; });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline T atomic_min(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at, [v](T before) { return v < before ? v : before; });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline T atomic_and(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at, [v](T before) { return static_cast<T>(before & v); });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline T atomic_or(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at, [v](T before) { return static_cast<T>(before | v); });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline T atomic_xor(T* p, T v, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at, [v](T before) { return static_cast<T>(before ^ v); });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device>
inline unsigned atomic_increment(unsigned* p, unsigned last, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(p, Order, Scope, at,
                                      [last](unsigned before) { return before >= last ? 0 : before + 1; });
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device>
inline unsigned atomic_decrement(unsigned* p, unsigned last, simt::site at = simt::site::here()) {
  return simt::machine::atomic_update(
      p, Order, Scope, at, [last](unsigned before) { return before == 0 || before > last ? last : before - 1; });
}

template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_summand T>
inline void red_add(T* p, T v, simt::site at = simt::site::here()) {
  static_assert(detail::for_red<Order>, "tenon::arch::red_add: the order must be relaxed or release");
  atomic_add<Order, Scope>(p, v, at);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline void red_max(T* p, T v, simt::site at = simt::site::here()) {
  static_assert(detail::for_red<Order>, "tenon::arch::red_max: the order must be relaxed or release");
  atomic_max<Order, Scope>(p, v, at);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline void red_min(T* p, T v, simt::site at = simt::site::here()) {
  static_assert(detail::for_red<Order>, "tenon::arch::red_min: the order must be relaxed or release");
  atomic_min<Order, Scope>(p, v, at);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline void red_and(T* p, T v, simt::site at = simt::site::here()) {
  static_assert(detail::for_red<Order>, "tenon::arch::red_and: the order must be relaxed or release");
  atomic_and<Order, Scope>(p, v, at);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline void red_or(T* p, T v, simt::site at = simt::site::here()) {
  static_assert(detail::for_red<Order>, "tenon::arch::red_or: the order must be relaxed or release");
  atomic_or<Order, Scope>(p, v, at);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
inline void red_xor(T* p, T v, simt::site at = simt::site::here()) {
  static_assert(detail::for_red<Order>, "tenon::arch::red_xor: the order must be relaxed or release");
  atomic_xor<Order, Scope>(p, v, at);
}

inline unsigned atomic_add_ordered(unsigned* p, unsigned v, simt::site at = simt::site::here()) {
  return atomic_add<memory_order::acquire_release>(p, v, at);
}

template <scope Scope = scope::device, atomic_word T>
inline T load_acquire(T const* p, simt::site at = simt::site::here()) {
  return simt::machine::atomic_load(p, memory_order::acquire, Scope, at);
}
template <scope Scope = scope::device, atomic_word T>
inline void store_release(T* p, std::type_identity_t<T> v, simt::site at = simt::site::here()) {
  simt::machine::atomic_store(p, v, memory_order::release, Scope, at);
}
template <scope Scope = scope::device, atomic_word T>
inline T load_relaxed(T const* p, simt::site at = simt::site::here()) {
  return simt::machine::atomic_load(p, memory_order::relaxed, Scope, at);
}
template <scope Scope = scope::device, atomic_word T>
inline void store_relaxed(T* p, std::type_identity_t<T> v, simt::site at = simt::site::here()) {
  simt::machine::atomic_store(p, v, memory_order::relaxed, Scope, at);
}

}  // namespace tenon::inline host::arch
