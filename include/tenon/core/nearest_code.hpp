#pragma once
//  A float to the nearest code, ties to even, saturated: the same bits on both targets and without a branch, so that loops
//  over it vectorise.
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon {

/// What a code of a quantised row may be.
template <class T>
concept row_code = std::is_same_v<T, std::int8_t> || std::is_same_v<T, e4m3>;

/// The number that the largest magnitude of a row becomes.
template <row_code Code>
inline constexpr float largest_code = std::is_same_v<Code, std::int8_t> ? 127.f : 448.f;

/// NaN becomes 0 (int8) or NaN (e4m3).
template <row_code Code>
TENON_HD constexpr Code nearest_code(float v) {
  if constexpr (std::is_same_v<Code, std::int8_t>) {
    float const low     = v < -128.f ? -128.f : v;
    float const clamped = low > 127.f ? 127.f : low;
    // 1.5 * 2^23: an ulp is 1 there, and the sum's low bits are the integer.
    auto const bits = bit_cast<std::uint32_t>(clamped + 12582912.f);
    return static_cast<std::int8_t>(v == v ? bits & 0xff : 0u);
  } else {
    std::uint32_t const u         = bit_cast<std::uint32_t>(v);
    float const         magnitude = bit_cast<float>(u & 0x7fffffff);
    float const         clamped   = magnitude > 448.f ? 448.f : magnitude;
    std::uint32_t const m         = bit_cast<std::uint32_t>(clamped);
    // Twenty fraction bits go, the rest moves from bias 127 to 7. Below 2^-6 the step is 2^-9, an ulp of 2^14.
    std::uint32_t const normal    = ((m + 0x7ffff + ((m >> 20) & 1)) >> 20) - (120u << 3);
    std::uint32_t const subnormal = bit_cast<std::uint32_t>(clamped + 16384.f) - bit_cast<std::uint32_t>(16384.f);
    std::uint32_t const code      = (clamped < 0.015625f ? subnormal : normal) | ((u >> 24) & 0x80);
    return e4m3::from_bits(static_cast<std::uint8_t>(v == v ? code : 0x7fu));
  }
}

}  // namespace tenon
