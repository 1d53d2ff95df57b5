#pragma once
//  Probabilities as integers: a logit's weight is 2^40 exp((logit - largest) / temperature), rounded down.
//
//  Sums of integers do not depend on their order, so every threshold, every draw and every log-probability is the same bit
//  for bit on every target, under every policy, in every batch. What is lost is below 2^-40 of the largest probability
//  per token: nothing for a vocabulary of 2^18 that fp32 sums would have kept.
//
//  2^-f for f in [0, 1) is 1 - f (c1 - f (c2 - f (c3 - ...))) in 0.32 fixed point, the c interpolating at Chebyshev nodes:
//  relative error below 1.2e-8.
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>

#include <cstdint>
#include <limits>

namespace tenon {

using mass_t = unsigned long long;  // what 64-bit atomics take on every target

inline constexpr mass_t whole_mass  = mass_t{1} << 40;       // of the largest logit
inline constexpr int    largest_row = 1 << 22;               // logits whose masses still sum below 2^63
inline constexpr float  log2_e      = 1.44269504088896341f;  // exp(v) = 2^(log2_e v)
inline constexpr float  ln_2        = 0.693147180559945309f;
inline constexpr float  no_logit    = -std::numeric_limits<float>::infinity();

/// floor(2^40 2^-x) for x >= 0; 0 for NaN.
TENON_HD constexpr mass_t mass_of_exponent(float x) {
  constexpr std::uint32_t c[] = {0xb17217df, 0x3d7f7506, 0x0e353290, 0x0274f388, 0x0054a612, 0x00078809};

  float const         bounded  = x < 63.0f ? x : 63.0f;
  std::uint32_t const fixed    = static_cast<std::uint32_t>(static_cast<std::int32_t>(bounded * 33554432.0f));  // 6.25
  std::uint32_t const fraction = fixed << 7;
  std::uint32_t       r        = c[5];
  TENON_UNROLL
  for (int i = 4; i >= 0; --i) r = c[i] - static_cast<std::uint32_t>((static_cast<std::uint64_t>(r) * fraction) >> 32);
  r = static_cast<std::uint32_t>((static_cast<std::uint64_t>(r) * fraction) >> 32);
  return (((mass_t{1} << 32) - r) << 8) >> (fixed >> 25);
}

/// The weight of a logit in a row whose largest is `largest`; scale is log2(e) / temperature. NaN and -infinity weigh 0.
struct logit_mass {
  float largest;
  float scale;

  TENON_HD constexpr mass_t operator()(float logit) const {
    float const below = (largest - logit) * scale;  // NaN where both are infinite, and where one is NaN
    return mass_of_exponent(logit == largest ? 0.0f : below);
  }
};

/// Unsigned integers in the order of the logits: NaN counts as -infinity, -0 as +0.
TENON_HD constexpr std::uint32_t logit_key(float logit) {
  float const         v    = logit == logit ? logit + 0.0f : no_logit;
  std::uint32_t const bits = bit_cast<std::uint32_t>(v);
  return bits ^ (0x80000000u | (0u - (bits >> 31)));  // negative ones reversed
}

/// The logit that has this key.
TENON_HD constexpr float logit_of_key(std::uint32_t key) {
  return bit_cast<float>(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

/// The upper and the lower half of a * b.
struct product128 {
  mass_t high, low;
};
TENON_HD constexpr product128 multiply_wide(mass_t a, mass_t b) {
  mass_t const a0 = a & 0xffffffff, a1 = a >> 32, b0 = b & 0xffffffff, b1 = b >> 32;
  mass_t const middle = a1 * b0 + (a0 * b0 >> 32);
  mass_t const cross  = a0 * b1 + (middle & 0xffffffff);
  return {a1 * b1 + (middle >> 32) + (cross >> 32), a * b};
}

/// ceil(share * mass), at least 1, for share in (0, 1) (anything below counts as 0).
TENON_HD constexpr mass_t share_of_mass(float share, mass_t mass) {
  if (!(share > 0.0f)) return 1;
  product128 const p = multiply_wide(static_cast<mass_t>(share * 18446744073709551616.0f), mass);
  mass_t const     r = p.high + (p.low != 0 ? 1 : 0);
  return r == 0 ? 1 : r;
}

}  // namespace tenon
