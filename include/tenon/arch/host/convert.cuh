#pragma once
//  Conversions between float and the narrow formats, see cuda/convert.cuh.
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/conversion.hpp>
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline host::arch {

namespace detail {

/// f16 and bf16 without the bits that do not fit; what is finite stays so.
inline std::uint16_t truncate_to_f16(float v) {
  std::uint32_t const u = bit_cast<std::uint32_t>(v), magnitude = u & 0x7fffffff, sign = u >> 16 & 0x8000;
  if (magnitude == 0x7f800000) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (magnitude >= 0x47800000) return static_cast<std::uint16_t>(sign | 0x7bff);
  if (magnitude >= 0x38800000) return static_cast<std::uint16_t>(sign | (magnitude - 0x38000000) >> 13);
  std::uint32_t const drop = 126 - (magnitude >> 23);  // of the significand, to units of 2^-24
  return static_cast<std::uint16_t>(sign | (drop > 24 ? 0 : ((magnitude & 0x7fffff) | 0x800000) >> drop));
}
inline std::uint16_t truncate_to_bf16(float v) { return static_cast<std::uint16_t>(bit_cast<std::uint32_t>(v) >> 16); }

}  // namespace detail

template <class T, rounding How = tenon::detail::default_rounding<T>>
inline T convert(float v) {
  constexpr bool known = std::is_same_v<T, tf32> || std::is_same_v<T, ue8m0> || tenon::detail::is_half<T> ||
                         tenon::detail::is_eight_bit_float<T> || tenon::detail::is_tiny<T> || tenon::detail::is_byte<T>;
  static_assert(known && tenon::detail::is_rounding<T, How>, "tenon::arch::convert: no such format and rounding");
  bool const nan = v != v;
  if constexpr (tenon::detail::is_byte<T>) {
    constexpr float least = std::is_same_v<T, std::int8_t> ? -128.f : 0.f, greatest = least + 255.f;
    if (nan) return 0;
    return static_cast<T>(v <= least ? least : v >= greatest ? greatest : __builtin_rintf(v));
  } else if constexpr (std::is_same_v<T, ue8m0>) {
    return ue8m0::from_bits(tenon::detail::float_to_ue8m0(v, How == rounding::up));
  } else if constexpr (tenon::detail::is_half<T>) {
    if (nan) return T::from_bits(0x7fff);
    if constexpr (How == rounding::nearest_even) return T(v);
    else if constexpr (std::is_same_v<T, f16>) return T::from_bits(detail::truncate_to_f16(v));
    else return T::from_bits(detail::truncate_to_bf16(v));
  } else if constexpr (tenon::detail::is_eight_bit_float<T>) {
    return nan ? T::from_bits(0x7f) : T(v);
  } else {
    return T(v);
  }
}

template <class T, rounding How = tenon::detail::default_rounding<T>>
inline packed_pair<T> convert_pair(float low, float high) {
  static_assert(tenon::detail::is_half<T> || tenon::detail::is_eight_bit_float<T> || tenon::detail::is_tiny<T> ||
                    std::is_same_v<T, ue8m0>,
                "tenon::arch::convert_pair: no such format");
  constexpr int bits = tenon::detail::is_half<T> ? 16 : std::is_same_v<T, e2m1> ? 4 : 8;
  return static_cast<packed_pair<T>>(convert<T, How>(low).bits | static_cast<std::uint32_t>(convert<T, How>(high).bits)
                                                                     << bits);
}

template <class T>
inline std::uint32_t convert_pair_relu(float low, float high) {
  static_assert(tenon::detail::is_half<T>, "tenon::arch::convert_pair_relu: f16 or bf16");
  return convert_pair<T>(low <= 0 ? 0.f : low, high <= 0 ? 0.f : high);
}

template <class T>
inline std::uint16_t convert_pair(std::uint32_t f16_pair) {
  static_assert(tenon::detail::is_eight_bit_float<T>, "tenon::arch::convert_pair: e4m3 or e5m2");
  return convert_pair<T>(static_cast<float>(f16::from_bits(static_cast<std::uint16_t>(f16_pair))),
                         static_cast<float>(f16::from_bits(static_cast<std::uint16_t>(f16_pair >> 16))));
}

template <class T>
inline std::uint32_t widen_pair(packed_pair<T> v) {
  static_assert(tenon::detail::is_eight_bit_float<T> || tenon::detail::is_tiny<T> || std::is_same_v<T, ue8m0>,
                "tenon::arch::widen_pair: no such format");
  constexpr int bits = std::is_same_v<T, e2m1> ? 4 : 8;
  auto const    low  = T::from_bits(static_cast<std::uint8_t>(v & ((1 << bits) - 1)));
  auto const    high = T::from_bits(static_cast<std::uint8_t>(v >> bits));
  if constexpr (std::is_same_v<T, ue8m0>) return convert_pair<bf16>(static_cast<float>(low), static_cast<float>(high));
  else return convert_pair<f16>(static_cast<float>(low), static_cast<float>(high));
}

template <class T>
inline std::uint32_t convert_four(float a, float b, float c, float d) {
  static_assert(tenon::detail::is_byte<T>, "tenon::arch::convert_four: int8_t or uint8_t");
  auto const byte = [](float v) { return static_cast<std::uint32_t>(static_cast<std::uint8_t>(convert<T>(v))); };
  return byte(a) | byte(b) << 8 | byte(c) << 16 | byte(d) << 24;
}

}  // namespace tenon::inline host::arch
