#pragma once
//  What both sides of arch/convert agree on: which format converts how, and how wide a packed pair is.
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon {

namespace detail {

template <class T>
inline constexpr bool is_half = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;
template <class T>
inline constexpr bool is_eight_bit_float = std::is_same_v<T, e4m3> || std::is_same_v<T, e5m2>;
template <class T>
inline constexpr bool is_tiny = std::is_same_v<T, e3m2> || std::is_same_v<T, e2m3> || std::is_same_v<T, e2m1>;
template <class T>
inline constexpr bool is_byte = std::is_same_v<T, std::int8_t> || std::is_same_v<T, std::uint8_t>;

template <class T>
inline constexpr rounding default_rounding = rounding::nearest_even;
template <>
inline constexpr rounding default_rounding<tf32> = rounding::nearest_away;
template <>
inline constexpr rounding default_rounding<ue8m0> = rounding::up;

template <class T, rounding How>
inline constexpr bool is_rounding = How == default_rounding<T> ||
                                    (How == rounding::toward_zero && (is_half<T> || std::is_same_v<T, ue8m0>));

template <class T>
struct pair {
  using type = std::uint16_t;
};
template <>
struct pair<f16> {
  using type = std::uint32_t;
};
template <>
struct pair<bf16> {
  using type = std::uint32_t;
};
template <>
struct pair<e2m1> {
  using type = std::uint8_t;
};

}  // namespace detail

/// Two values, the first in the lower half; formats of six bits in a byte each.
template <class T>
using packed_pair = typename detail::pair<T>::type;

}  // namespace tenon
