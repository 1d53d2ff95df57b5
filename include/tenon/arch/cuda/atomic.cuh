#pragma once
//  Atomics on shared and global memory, and ordered accesses for flags. PTX: atom, red, ld.acquire, st.release.
//
//  Order and Scope are template arguments, relaxed and the whole device unless said otherwise:
//    atomic_add(p, 1u)                                                counts
//    atomic_add<memory_order::acquire_release>(p, 1u)                 and hands over what this thread wrote before
//    atomic_add<memory_order::release, scope::block>(p, 1u)           to threads of its own block only
//  A release orders what this thread did before it (and, after a block barrier, what its block did); an acquire that
//  reads the released value sees that. The red_ forms return nothing and so need no acquire.
#include <tenon/core/atomic_operand.hpp>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/vec.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace tenon::inline cuda::arch {

enum class scope { block, device };
enum class memory_order { relaxed, acquire, release, acquire_release };

namespace detail {

// Pieces of an instruction's name, spliced in by the compiler.
template <memory_order>
struct order_word;
template <>
struct order_word<memory_order::relaxed> {
  static constexpr char text[] = ".relaxed";
};
template <>
struct order_word<memory_order::acquire> {
  static constexpr char text[] = ".acquire";
};
template <>
struct order_word<memory_order::release> {
  static constexpr char text[] = ".release";
};
template <>
struct order_word<memory_order::acquire_release> {
  static constexpr char text[] = ".acq_rel";
};

template <scope S>
struct scope_word {
  static constexpr char text[] = ".gpu";
};
template <>
struct scope_word<scope::block> {
  static constexpr char text[] = ".cta";
};

// clang-format off
struct op_add      { static constexpr char text[] = ".add"; };
struct op_add_half { static constexpr char text[] = ".add.noftz"; };
struct op_min      { static constexpr char text[] = ".min"; };
struct op_max      { static constexpr char text[] = ".max"; };
struct op_and      { static constexpr char text[] = ".and"; };
struct op_or       { static constexpr char text[] = ".or"; };
struct op_xor      { static constexpr char text[] = ".xor"; };
struct op_inc      { static constexpr char text[] = ".inc"; };
struct op_dec      { static constexpr char text[] = ".dec"; };
struct op_exchange { static constexpr char text[] = ".exch"; };
struct type_u32    { static constexpr char text[] = ".u32"; };
struct type_s32    { static constexpr char text[] = ".s32"; };
struct type_u64    { static constexpr char text[] = ".u64"; };
struct type_s64    { static constexpr char text[] = ".s64"; };
struct type_b32    { static constexpr char text[] = ".b32"; };
struct type_b64    { static constexpr char text[] = ".b64"; };
struct type_f32    { static constexpr char text[] = ".f32"; };
struct type_f64    { static constexpr char text[] = ".f64"; };
struct type_f16x2  { static constexpr char text[] = ".f16x2"; };
struct type_bf16x2 { static constexpr char text[] = ".bf16x2"; };
// clang-format on

template <class T>
using bits_word = std::conditional_t<sizeof(T) == 4, type_b32, type_b64>;
template <class T>
using ordered_word = std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, type_s32, type_u32>,
                                        std::conditional_t<std::is_signed_v<T>, type_s64, type_u64>>;
template <class T>
using sum_word = std::conditional_t<
    std::is_same_v<T, float>, type_f32,
    std::conditional_t<std::is_same_v<T, double>, type_f64,
                       std::conditional_t<std::is_same_v<T, vec<f16, 2>>, type_f16x2,
                                          std::conditional_t<std::is_same_v<T, vec<bf16, 2>>, type_bf16x2,
                                                             std::conditional_t<sizeof(T) == 4, type_u32, type_u64>>>>>;
template <class T>
using sum_op = std::conditional_t<is_half_pair<T>, op_add_half, op_add>;

template <memory_order Order, scope Scope, class Op, class Type, class T>
__device__ inline T atom(T* p, T v) {
  if constexpr (sizeof(T) == 4) {
    std::uint32_t before;
    asm volatile("atom%3%4%5%6 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(p), "r"(bit_cast<std::uint32_t>(v)), "C"(order_word<Order>::text), "C"(scope_word<Scope>::text),
                   "C"(Op::text), "C"(Type::text)
                 : "memory");
    return bit_cast<T>(before);
  } else {
    std::uint64_t before;
    asm volatile("atom%3%4%5%6 %0, [%1], %2;"
                 : "=l"(before)
                 : "l"(p), "l"(bit_cast<std::uint64_t>(v)), "C"(order_word<Order>::text), "C"(scope_word<Scope>::text),
                   "C"(Op::text), "C"(Type::text)
                 : "memory");
    return bit_cast<T>(before);
  }
}

template <memory_order Order, scope Scope, class Op, class Type, class T>
__device__ inline void red(T* p, T v) {
  static_assert(Order == memory_order::relaxed || Order == memory_order::release,
                "tenon::arch::red: the order must be relaxed or release");
  if constexpr (sizeof(T) == 4)
    asm volatile("red%2%3%4%5 [%0], %1;" ::"l"(p), "r"(bit_cast<std::uint32_t>(v)), "C"(order_word<Order>::text),
                 "C"(scope_word<Scope>::text), "C"(Op::text), "C"(Type::text)
                 : "memory");
  else
    asm volatile("red%2%3%4%5 [%0], %1;" ::"l"(p), "l"(bit_cast<std::uint64_t>(v)), "C"(order_word<Order>::text),
                 "C"(scope_word<Scope>::text), "C"(Op::text), "C"(Type::text)
                 : "memory");
}

template <memory_order Order, scope Scope, class T>
__device__ inline T load_ordered(T const* p) {
  if constexpr (sizeof(T) == 4) {
    std::uint32_t v;
    asm volatile("ld%2%3.b32 %0, [%1];"
                 : "=r"(v)
                 : "l"(p), "C"(order_word<Order>::text), "C"(scope_word<Scope>::text)
                 : "memory");
    return bit_cast<T>(v);
  } else {
    std::uint64_t v;
    asm volatile("ld%2%3.b64 %0, [%1];"
                 : "=l"(v)
                 : "l"(p), "C"(order_word<Order>::text), "C"(scope_word<Scope>::text)
                 : "memory");
    return bit_cast<T>(v);
  }
}
template <memory_order Order, scope Scope, class T>
__device__ inline void store_ordered(T* p, T v) {
  if constexpr (sizeof(T) == 4)
    asm volatile("st%2%3.b32 [%0], %1;" ::"l"(p), "r"(bit_cast<std::uint32_t>(v)), "C"(order_word<Order>::text),
                 "C"(scope_word<Scope>::text)
                 : "memory");
  else
    asm volatile("st%2%3.b64 [%0], %1;" ::"l"(p), "l"(bit_cast<std::uint64_t>(v)), "C"(order_word<Order>::text),
                 "C"(scope_word<Scope>::text)
                 : "memory");
}
}  // namespace detail

/// Accesses of flags: 4 or 8 bytes.
template <scope Scope = scope::device, atomic_word T>
__device__ inline T load_acquire(T const* p) {
  return detail::load_ordered<memory_order::acquire, Scope>(p);
}
template <scope Scope = scope::device, atomic_word T>
__device__ inline void store_release(T* p, std::type_identity_t<T> v) {
  detail::store_ordered<memory_order::release, Scope>(p, v);
}
/// Without order, but never torn and never out of a stale line.
template <scope Scope = scope::device, atomic_word T>
__device__ inline T load_relaxed(T const* p) {
  return detail::load_ordered<memory_order::relaxed, Scope>(p);
}
template <scope Scope = scope::device, atomic_word T>
__device__ inline void store_relaxed(T* p, std::type_identity_t<T> v) {
  detail::store_ordered<memory_order::relaxed, Scope>(p, v);
}

/// Stores v where *p is `expected`; the value before.
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_word T>
__device__ inline T atomic_compare_exchange(T* p, T expected, T v) {
  if constexpr (sizeof(T) == 4) {
    std::uint32_t before;
    asm volatile("atom%4%5.cas.b32 %0, [%1], %2, %3;"
                 : "=r"(before)
                 : "l"(p), "r"(bit_cast<std::uint32_t>(expected)), "r"(bit_cast<std::uint32_t>(v)),
                   "C"(detail::order_word<Order>::text), "C"(detail::scope_word<Scope>::text)
                 : "memory");
    return bit_cast<T>(before);
  } else {
    std::uint64_t before;
    asm volatile("atom%4%5.cas.b64 %0, [%1], %2, %3;"
                 : "=l"(before)
                 : "l"(p), "l"(bit_cast<std::uint64_t>(expected)), "l"(bit_cast<std::uint64_t>(v)),
                   "C"(detail::order_word<Order>::text), "C"(detail::scope_word<Scope>::text)
                 : "memory");
    return bit_cast<T>(before);
  }
}

template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_word T>
__device__ inline T atomic_exchange(T* p, T v) {
  return detail::atom<Order, Scope, detail::op_exchange, detail::bits_word<T>>(p, v);
}

/// *p += v; the value before. Sums round to nearest even; those of pairs keep subnormals, those of float flush them to
/// zero in global memory. Pairs of bf16 are a loop before sm_90.
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_summand T>
__device__ inline T atomic_add(T* p, T v) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  if constexpr (std::is_same_v<T, vec<bf16, 2>>) {
    T before = load_relaxed<Scope>(p);
    while (true) {
      T const sum{{bf16(static_cast<float>(before[0]) + static_cast<float>(v[0])),
                   bf16(static_cast<float>(before[1]) + static_cast<float>(v[1]))}};
      T const found = atomic_compare_exchange<Order, Scope>(p, before, sum);
      if (bit_cast<std::uint32_t>(found) == bit_cast<std::uint32_t>(before)) return before;
      before = found;
    }
  } else
#endif
    return detail::atom<Order, Scope, detail::sum_op<T>, detail::sum_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline T atomic_max(T* p, T v) {
  return detail::atom<Order, Scope, detail::op_max, detail::ordered_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline T atomic_min(T* p, T v) {
  return detail::atom<Order, Scope, detail::op_min, detail::ordered_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline T atomic_and(T* p, T v) {
  return detail::atom<Order, Scope, detail::op_and, detail::bits_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline T atomic_or(T* p, T v) {
  return detail::atom<Order, Scope, detail::op_or, detail::bits_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline T atomic_xor(T* p, T v) {
  return detail::atom<Order, Scope, detail::op_xor, detail::bits_word<T>>(p, v);
}

/// *p = *p >= last ? 0 : *p + 1: counts 0, 1, ... last and begins again; the value before.
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device>
__device__ inline unsigned atomic_increment(unsigned* p, unsigned last) {
  return detail::atom<Order, Scope, detail::op_inc, detail::type_u32>(p, last);
}
/// *p = *p == 0 || *p > last ? last : *p - 1; the value before.
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device>
__device__ inline unsigned atomic_decrement(unsigned* p, unsigned last) {
  return detail::atom<Order, Scope, detail::op_dec, detail::type_u32>(p, last);
}

/// The same without the value before, which costs a round trip.
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_summand T>
__device__ inline void red_add(T* p, T v) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  if constexpr (std::is_same_v<T, vec<bf16, 2>>) atomic_add<Order, Scope>(p, v);
  else
#endif
    detail::red<Order, Scope, detail::sum_op<T>, detail::sum_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline void red_max(T* p, T v) {
  detail::red<Order, Scope, detail::op_max, detail::ordered_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline void red_min(T* p, T v) {
  detail::red<Order, Scope, detail::op_min, detail::ordered_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline void red_and(T* p, T v) {
  detail::red<Order, Scope, detail::op_and, detail::bits_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline void red_or(T* p, T v) {
  detail::red<Order, Scope, detail::op_or, detail::bits_word<T>>(p, v);
}
template <memory_order Order = memory_order::relaxed, scope Scope = scope::device, atomic_integer T>
__device__ inline void red_xor(T* p, T v) {
  detail::red<Order, Scope, detail::op_xor, detail::bits_word<T>>(p, v);
}

/// *p += v with acquire and release order at device scope: what this thread (and, after a block barrier, its block)
/// wrote before is visible to whoever reads the new value.
__device__ inline unsigned atomic_add_ordered(unsigned* p, unsigned v) {
  return atomic_add<memory_order::acquire_release>(p, v);
}

}  // namespace tenon::inline cuda::arch
