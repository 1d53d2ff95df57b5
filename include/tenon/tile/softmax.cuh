#pragma once
//  Softmax of a row whose scores arrive in tiles, in base 2:
//
//    m' = max(m, max_j s[j])     p[j] = 2^(s[j] - m')     l' = l 2^(m - m') + sum_j p[j]     o' = o 2^(m - m') + sum_j p[j] v[j]
//
//  and o / l at the end. Milakov and Gimelshein 2018, "Online normalizer calculation for softmax".
#include <tenon/arch/arch.cuh>
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/integer.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::tile {

inline constexpr float log2_e     = 1.4426950408889634f;
inline constexpr float ln_2       = 0.6931471805599453f;
inline constexpr float no_maximum = bit_cast<float>(0xff800000u);  // -inf: of a row that has seen no key

/// What scores are measured from: the row's maximum, 0 where no key was seen (so that 2^(-inf - it) is 0, never NaN).
TENON_HD constexpr float softmax_origin(float maximum) { return maximum == no_maximum ? 0.f : maximum; }

/// Natural log-sum-exp of a row: -inf where no key was seen.
__device__ inline float softmax_lse(float maximum, float sum) {
  return maximum == no_maximum ? no_maximum : (maximum + arch::log2(sum)) * ln_2;
}

/// What a row has seen of some keys: its largest score, and sum_j 2^(s[j] - maximum).
struct softmax_state {
  float maximum, sum;
};

/// The state of several sets of keys together: state(i) of each, add(i, share) with the factor of what was weighted by it, in
/// ascending order.
template <class State, class Add>
__device__ inline softmax_state merge_softmax(int parts, State const& state, Add const& add) {
  softmax_state all{no_maximum, 0};
  for (int i = 0; i < parts; ++i) {
    float const most = state(i).maximum;
    all.maximum      = all.maximum < most ? most : all.maximum;
  }
  float const origin = softmax_origin(all.maximum);
  for (int i = 0; i < parts; ++i) {
    auto const  part  = state(i);
    float const share = arch::exp2(part.maximum - origin);
    all.sum += part.sum * share;
    add(i, share);
  }
  return all;
}

/// 2^v for v <= 0, in additions and multiplications that a loop over an array can be vectorised with; 0 below -126. NaN
/// stays. 2^f on [-1/2, 1/2] is interpolated in the seven Chebyshev points (2^-28.5); with rounding 2 ulp.
TENON_HD constexpr float exp2_nonpositive(float v) {
  constexpr float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  float const     x     = v < -126.f ? -126.f : v;
  float const     shift = x + magic;
  float const     f     = x - (shift - magic);
  float           p     = 1.5461445e-4f;
  p                     = p * f + 1.3400428e-3f;
  p                     = p * f + 9.6180567e-3f;
  p                     = p * f + 5.5503272e-2f;
  p                     = p * f + 2.4022651e-1f;
  p                     = p * f + 6.9314721e-1f;
  p                     = p * f + 1.f;
  float const power     = bit_cast<float>((bit_cast<std::uint32_t>(shift) << 23) + 0x3f800000u);
  return v < -126.f ? 0.f : p * power;
}

}  // namespace tenon::inline TENON_TARGET::tile
