#pragma once
//  An fp32 value as an element of D: floats round to nearest even, int8 rounds to nearest even and saturates.
#include <tenon/config.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon {

/// NaN becomes 0 in int8. e4m3 and e5m2 saturate (core/numeric.hpp).
template <class D>
TENON_HD constexpr D store_as(float v) {
  if constexpr (std::is_same_v<D, std::int8_t>) {
    float const inside = v > 127.f ? 127.f : v < -128.f ? -128.f : v == v ? v : 0.f;
    return static_cast<std::int8_t>(static_cast<int>((inside + 12582912.f) - 12582912.f));  // 1.5 * 2^23: whole numbers
  } else {
    return static_cast<D>(v);
  }
}

}  // namespace tenon
