#pragma once
//  cos and sin of the rotary angles, position by position, in double precision on the host.
//
//  angle[p,i] = p * frequency[i],  frequency[i] = theta^(-2 i / rotary_dim) changed by the scaling
//
//    none     frequency
//    linear   frequency / factor                                              Chen et al. 2023, position interpolation
//    llama3   by wavelength: short ones as they are, long ones / factor, a linear blend between        Llama 3.1
//    yarn     by rotations within the original length: many as they are, few / factor, a ramp between; and cos and sin
//             times an attention factor                                       Peng et al. 2023, "YaRN"
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <numbers>

namespace tenon {

enum class rope_scaling_kind { none, linear, llama3, yarn };

/// The scaling of a model's config; the names are those of `rope_scaling` there.
struct rope_scaling {
  rope_scaling_kind kind                  = rope_scaling_kind::none;
  double            factor                = 1;
  double            low_freq_factor       = 1;     // llama3
  double            high_freq_factor      = 4;     // llama3
  double            original_max_position = 8192;  // llama3, yarn: positions of the original training
  double            beta_fast             = 32;    // yarn: rotations above which a frequency stays
  double            beta_slow             = 1;     // yarn: rotations below which it is divided by factor
  double            attention_factor      = 0;     // yarn: of cos and sin; 0: from factor, mscale and mscale_all_dim
  double            mscale                = 0;     // yarn: both set: m(mscale) / m(mscale_all_dim), else m(1), where
  double            mscale_all_dim        = 0;     //       m(s) = 0.1 s ln(factor) + 1 for factor > 1, else 1
  double            extrapolation_factor  = 1;     // yarn: share of the unscaled frequency where rotations are many
  bool              truncate              = true;  // yarn: round the ramp's ends outwards to whole indices
};

/// What cos and sin are multiplied by: 1 but for yarn.
inline double rope_attention_factor(rope_scaling const& s) {
  if (s.kind != rope_scaling_kind::yarn) return 1;
  if (s.attention_factor != 0) return s.attention_factor;
  auto const m = [&](double scale) { return s.factor > 1 ? 0.1 * scale * std::log(s.factor) + 1 : 1.0; };
  return s.mscale != 0 && s.mscale_all_dim != 0 ? m(s.mscale) / m(s.mscale_all_dim) : m(1);
}

/// Radians per position of pair i of rotary_dim / 2.
inline double rope_frequency(index_t i, index_t rotary_dim, double theta, rope_scaling const& s) {
  double const dim       = static_cast<double>(rotary_dim);
  double const frequency = std::pow(theta, -2 * static_cast<double>(i) / dim);
  double const pi        = std::numbers::pi;
  switch (s.kind) {
    case rope_scaling_kind::none: return frequency;
    case rope_scaling_kind::linear: return frequency / s.factor;
    case rope_scaling_kind::llama3: {
      double const rotations = s.original_max_position * frequency / (2 * pi);  // within the original length
      if (rotations > s.high_freq_factor) return frequency;
      if (rotations < s.low_freq_factor) return frequency / s.factor;
      double const span  = s.high_freq_factor - s.low_freq_factor;
      double const blend = span > 0 ? (rotations - s.low_freq_factor) / span : 0;
      return (1 - blend) * frequency / s.factor + blend * frequency;
    }
    case rope_scaling_kind::yarn: {
      // The (fractional) index whose frequency makes `rotations` turns within the original length.
      auto const index_of = [&](double rotations) {
        return dim * std::log(s.original_max_position / (rotations * 2 * pi)) / (2 * std::log(theta));
      };
      double low = index_of(s.beta_fast), high = index_of(s.beta_slow);
      if (s.truncate) low = std::floor(low), high = std::ceil(high);
      low = std::fmax(low, 0), high = std::fmin(high, dim - 1);
      if (low == high) high += 0.001;
      double const ramp = std::fmin(std::fmax((static_cast<double>(i) - low) / (high - low), 0), 1);
      double const keep = (1 - ramp) * s.extrapolation_factor;
      return frequency / s.factor * (1 - keep) + frequency * keep;
    }
  }
  return frequency;
}

/// cos_sin[p, i] = m cos(angle), cos_sin[p, rotary_dim/2 + i] = m sin(angle), angle = (first_position + p) frequency[i]
///
/// cos_sin  (positions, rotary_dim)  f32   host memory, any strides; rotary_dim even
/// theta    > 1; m is rope_attention_factor(scaling)
///
/// Arithmetic  double, one rounding to f32: the error of an angle at position p is below p * 2^-52 radians.
/// Errors      out_of_range(rotary_dim, theta, factor, original_max_position, beta_fast, beta_slow).
/// Test tests/position/rope_table_test.cpp.   Page docs/operators/rope.md.
inline status fill_rope_table(tensor_view<float, 2> cos_sin, double theta, rope_scaling const& scaling = {},
                              index_t first_position = 0) {
  bool const    scaled = scaling.kind != rope_scaling_kind::none;
  bool const    ranged = scaling.kind == rope_scaling_kind::llama3 || scaling.kind == rope_scaling_kind::yarn;
  bool const    yarn   = scaling.kind == rope_scaling_kind::yarn;
  index_t const rotary = cos_sin.extent[1];
  extent        positions{"positions"}, rotary_dim{"rotary_dim"};
  TENON_TRY(
      contract{"fill_rope_table"}
          .shape(cos_sin, positions, rotary_dim)
          .addressable(cos_sin, "cos_sin")
          .require(rotary % 2 == 0, errc::out_of_range, "rotary_dim", rotary, rotary + 1)
          .require(theta > 1, errc::out_of_range, "theta", 0, 1)
          .require(!scaled || scaling.factor > 0, errc::out_of_range, "factor", 0, 1)
          .require(!ranged || scaling.original_max_position > 0, errc::out_of_range, "original_max_position", 0, 1)
          .require(!yarn || scaling.beta_fast > 0, errc::out_of_range, "beta_fast", 0, 1)
          .require(!yarn || scaling.beta_slow > 0, errc::out_of_range, "beta_slow", 0, 1)
          .result);
  double const m = rope_attention_factor(scaling);
  for (index_t i = 0; i < rotary / 2; ++i) {
    double const frequency = rope_frequency(i, rotary, theta, scaling);
    for (index_t p = 0; p < cos_sin.extent[0]; ++p) {
      double const angle         = static_cast<double>(first_position + p) * frequency;
      cos_sin(p, i)              = static_cast<float>(m * std::cos(angle));
      cos_sin(p, rotary / 2 + i) = static_cast<float>(m * std::sin(angle));
    }
  }
  return {};
}

}  // namespace tenon
