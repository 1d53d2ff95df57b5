#pragma once
//  Integer arithmetic of index maps.
#include <tenon/config.hpp>

#include <concepts>

namespace tenon {

/// ceil(a / b) for a >= 0, b > 0
template <std::integral T, std::integral U>
TENON_HD constexpr auto ceil_div(T a, U b) {
  return (a + b - 1) / b;
}

/// The least multiple of b that is >= a, for a >= 0, b > 0
template <std::integral T, std::integral U>
TENON_HD constexpr auto round_up(T a, U b) {
  return ceil_div(a, b) * b;
}

template <class T>
TENON_HD constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
TENON_HD constexpr T max(T a, T b) {
  return a < b ? b : a;
}

}  // namespace tenon
