#pragma once
//  N consecutive elements of a row as floats of one thread, see cuda/stripe.cuh; here a vector of the compiler (GCC and
//  clang split it where the machine's registers are narrower).
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tenon::inline host::arch {

template <int N>
struct stripe {
  static_assert(N >= 4 && (N & (N - 1)) == 0, "tenon::arch::stripe: N must be a power of two from 4 on");
  typedef float         floats __attribute__((vector_size(4 * N)));
  typedef std::uint32_t words __attribute__((vector_size(4 * N)));
  typedef std::uint16_t halves __attribute__((vector_size(2 * N)));

  floats v;
};

namespace detail {
/// words = the bits of the floats that the f16 in the lower halves of `bits` stand for; the upper halves are zero.
template <int N>
inline void f16_to_float(typename stripe<N>::words& words, typename stripe<N>::words const& bits) {
  // The exponent's bias grows from 15 to 127 by a multiplication, which makes subnormals normal on the way.
  auto const                 magnitude = (bits & 0x7fffu) << 13;
  typename stripe<N>::floats f;
  std::memcpy(&f, &magnitude, sizeof f);
  f *= 0x1p112f;
  std::memcpy(&words, &f, sizeof f);
  auto const special = reinterpret_cast<typename stripe<N>::words>((bits & 0x7c00u) == 0x7c00u);
  words |= (special & 0x7f800000u) | (bits & 0x8000u) << 16;
}
}  // namespace detail

template <int N, class T>
inline stripe<N> load_stripe(T const* from) {
  using words = typename stripe<N>::words;
  stripe<N> r;
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(&r.v, from, sizeof r.v);
  } else {
    typename stripe<N>::halves halves;
    std::memcpy(&halves, from, sizeof halves);
    auto const bits = __builtin_convertvector(halves, words);
    if constexpr (std::is_same_v<T, bf16>) {
      words const all = bits << 16;
      std::memcpy(&r.v, &all, sizeof all);
    } else {
      static_assert(std::is_same_v<T, f16>, "tenon::arch::load_stripe: T must be f32, f16 or bf16");
      words all;
      detail::f16_to_float<N>(all, bits);
      std::memcpy(&r.v, &all, sizeof all);
    }
  }
  return r;
}

template <int N>
inline void store_stripe(float* to, stripe<N> const& r) {
  std::memcpy(to, &r.v, sizeof r.v);
}

template <int N>
inline stripe<N> broadcast_stripe(float v) {
  return {v - typename stripe<N>::floats{}};
}

template <int N>
inline void multiply_add(stripe<N>& sum, stripe<N> const& a, stripe<N> const& b) {
  sum.v += a.v * b.v;
}

namespace detail {
/// Elements i, i + 4, i + 8, ... of r, added by halving.
template <int N>
inline stripe<4> fold_stripe(stripe<N> const& r) {
  if constexpr (N == 4) {
    return r;
  } else {
    stripe<N / 2> low, high;
    std::memcpy(&low, &r, sizeof low);
    std::memcpy(&high, reinterpret_cast<char const*>(&r) + sizeof low, sizeof high);
    low.v += high.v;
    return fold_stripe(low);
  }
}
}  // namespace detail

template <int N>
inline void sum(float (&sums)[4], stripe<N> const (&r)[4]) {
  auto const a = detail::fold_stripe(r[0]).v, b = detail::fold_stripe(r[1]).v;
  auto const c = detail::fold_stripe(r[2]).v, d = detail::fold_stripe(r[3]).v;
  auto const ab  = __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
  auto const cd  = __builtin_shufflevector(c, d, 0, 2, 4, 6) + __builtin_shufflevector(c, d, 1, 3, 5, 7);
  auto const all = __builtin_shufflevector(ab, cd, 0, 2, 4, 6) + __builtin_shufflevector(ab, cd, 1, 3, 5, 7);
  std::memcpy(sums, &all, sizeof all);
}

}  // namespace tenon::inline host::arch
