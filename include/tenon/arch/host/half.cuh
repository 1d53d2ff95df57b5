#pragma once
//  Arithmetic on packed pairs of f16 or bf16, see cuda/half.cuh.
//
//  A product of two such numbers is exact in double. The sum is rounded to odd there, and again in float: neither decides
//  which way the last rounding goes. S. Boldo and G. Melquiond, "Emulation of a FMA and correctly rounded sums", 2008.
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/conversion.hpp>
#include <tenon/core/numeric.hpp>

#include <cstdint>

namespace tenon::inline host::arch {

namespace detail {

/// a + b: where it is not exact, the neighbour whose last bit is one.
inline double add_to_odd(double a, double b) {
  double const  sum = a + b, from_b = sum - a;
  double const  lost = (a - (sum - from_b)) + (b - from_b);
  std::uint64_t bits = bit_cast<std::uint64_t>(sum);
  if (!(sum - sum == 0) || lost == 0 || (bits & 1) != 0) return sum;  // not finite, exact, odd
  return bit_cast<double>((lost < 0) == (sum < 0) ? bits + 1 : bits - 1);
}
inline float narrow_to_odd(double v) {
  auto const nearest = static_cast<float>(v);
  auto const back    = static_cast<double>(nearest);
  auto const bits    = bit_cast<std::uint32_t>(nearest);
  if (back == v || v != v || (bits & 1) != 0) return nearest;
  bool const outward = v < 0 ? v < back : v > back;
  return bit_cast<float>(outward ? bits + 1 : bits - 1);
}
template <class T>
inline std::uint16_t fma_half(std::uint16_t a, std::uint16_t b, std::uint16_t c) {
  auto const  wide = [](std::uint16_t bits) { return static_cast<double>(static_cast<float>(T::from_bits(bits))); };
  float const sum  = narrow_to_odd(add_to_odd(wide(a) * wide(b), wide(c)));
  return sum == sum ? T(sum).bits : std::uint16_t{0x7fff};
}

}  // namespace detail

template <class T>
inline std::uint32_t fma_pair(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  static_assert(tenon::detail::is_half<T>, "tenon::arch::fma_pair: f16 or bf16");
  auto const low  = [](std::uint32_t v) { return static_cast<std::uint16_t>(v); };
  auto const high = [](std::uint32_t v) { return static_cast<std::uint16_t>(v >> 16); };
  return detail::fma_half<T>(low(a), low(b), low(c)) |
         static_cast<std::uint32_t>(detail::fma_half<T>(high(a), high(b), high(c))) << 16;
}

}  // namespace tenon::inline host::arch
