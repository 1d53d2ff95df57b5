#pragma once
//  SmoothQuant: a factor per channel that moves outliers of activations into weights, where a scale per row takes them.
//
//    s[j] = max|X_j|^alpha / max|W_j|^(1 - alpha);    X_j / s[j] and W_j s[j]: the product is the same
//
//  Source. Xiao et al., "SmoothQuant: accurate and efficient post-training quantization for large language models",
//  2023.
#include <tenon/compress/fold_report.hpp>
#include <tenon/compress/gram.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace tenon {

/// out[j] = max(out[j], max over i of |w[i,j]|): of several layers that read the same channels, one call each. Start
/// with 0.
///
/// out     (columns)        f32
/// w       (rows, columns)  f32 f16 bf16, every value finite; any strides
///
/// Errors  shape_mismatch(columns), out_of_range(w: `got` the row, `want` the column), misaligned. out is untouched
///         then.
/// Test tests/compress/smooth_quant_test.cpp.   Page docs/operators/calibration.md.
template <class W>
status column_absmax(tensor_view<float, 1> out, tensor_view<W, 2> w) {
  extent   rows{"rows"}, columns{"columns"};
  contract c{"column_absmax"};
  c.shape(out, columns).shape(w, rows, columns).addressable(out, "out").addressable(w, "w");
  TENON_TRY(c.result);
  TENON_TRY(calibration::all_finite("column_absmax", "w", w));
  for (index_t i = 0; i < rows.value; ++i)
    for (index_t j = 0; j < columns.value; ++j) out(j) = max(out(j), std::abs(static_cast<float>(w(i, j))));
  return {};
}

struct smooth_quant_options {
  double alpha   = 0.5;   // how much of the range goes to the weights: 0.5 to 0.85
  double lowest  = 1e-5;  // factors are clamped to this
  double highest = 1e5;   // and this
};

/// s[j] = clamp(x_absmax[j]^alpha / w_absmax[j]^(1 - alpha)); 1 where either is 0: a dead channel has nothing to
/// balance
///
/// s          (channels)  f32; may share memory with either
/// x_absmax   (channels)  f32, finite, >= 0: of the activations, over calibration
/// w_absmax   (channels)  f32, finite, >= 0: of all weights that read the channel (column_absmax)
/// options    alpha, lowest, highest
///
/// Arithmetic  double, rounded once
/// Errors      shape_mismatch(channels), out_of_range(alpha: not in [0, 1]; lowest: not in (0, highest]; highest;
///             x_absmax, w_absmax: `got` is the channel), misaligned. s is untouched then.
/// Test tests/compress/smooth_quant_test.cpp.   Page docs/operators/calibration.md.
inline status smooth_quant_factors(tensor_view<float, 1> s, tensor_view<float const, 1> x_absmax,
                                   tensor_view<float const, 1> w_absmax, smooth_quant_options const& options = {}) {
  extent   channels{"channels"};
  contract c{"smooth_quant_factors"};
  c.shape(s, channels)
      .shape(x_absmax, channels)
      .shape(w_absmax, channels)
      .addressable(s, "s")
      .addressable(x_absmax, "x_absmax")
      .addressable(w_absmax, "w_absmax")
      .require(options.alpha >= 0 && options.alpha <= 1, errc::out_of_range, "alpha")
      .require(options.lowest > 0 && options.lowest <= options.highest, errc::out_of_range, "lowest")
      .require(options.highest <= static_cast<double>(std::numeric_limits<float>::max()), errc::out_of_range,
               "highest");
  auto const magnitude = [](float v) { return v >= 0 && v <= std::numeric_limits<float>::max(); };
  for (index_t j = 0; j < channels.value && c.result.ok(); ++j)
    c.require(magnitude(x_absmax(j)), errc::out_of_range, "x_absmax", j)
        .require(magnitude(w_absmax(j)), errc::out_of_range, "w_absmax", j);
  TENON_TRY(c.result);
  for (index_t j = 0; j < channels.value; ++j) {
    auto const   x = static_cast<double>(x_absmax(j)), w = static_cast<double>(w_absmax(j));
    double const v = x > 0 && w > 0 ? std::pow(x, options.alpha) / std::pow(w, 1 - options.alpha) : 1.;
    s(j)           = static_cast<float>(min(max(v, options.lowest), options.highest));
  }
  return {};
}

/// w[i,j] *= s[j], or /= s[j] (`divide`): what readers of a channel, and its writer, do with factors
///
/// w       (rows, columns)  f32 f64 f16 bf16, any strides, in place. A norm's gain is one row; a writer's rows are
///                          columns of its transposed view
/// s       (columns)        f32, finite, > 0
///
/// Arithmetic  double, rounded once to w's type: exact where s is a power of two
/// Errors      shape_mismatch(columns), out_of_range(s: `got` is the column; w: `got` and `want` are row and column of
///             the first result that its type cannot hold), misaligned. w is untouched then.
/// Test tests/compress/smooth_quant_test.cpp.   Page docs/operators/calibration.md.
template <fold_element W>
status scale_channels(tensor_view<W, 2> w, tensor_view<float const, 1> s, bool divide = false) {
  extent   rows{"rows"}, columns{"columns"};
  contract c{"scale_channels"};
  c.shape(w, rows, columns).shape(s, columns).addressable(w, "w").addressable(s, "s");
  for (index_t j = 0; j < columns.value && c.result.ok(); ++j)
    c.require(s(j) > 0 && s(j) <= std::numeric_limits<float>::max(), errc::out_of_range, "s", j);
  TENON_TRY(c.result);
  auto const scaled = [&](index_t const* i) {
    double const v = fold::number(w(i[0], i[1])), by = fold::number(s(i[1]));
    return divide ? v / by : v * by;
  };
  TENON_TRY(fold::check("scale_channels", "w", w, scaled));
  fold::write(w, scaled);
  return {};
}

}  // namespace tenon
