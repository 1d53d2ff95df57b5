#pragma once
//  AWQ: a factor per input that gives the weights of large inputs a finer share of the code, found by trying; then a
//  search of how far each group's range may be clipped.
//
//    s[j] = mean|x_j|^r / (wmean[j]^(1 - r) + 1e-4),  r = 0, 1/20 .. 19/20;   s /= sqrt(max s * min s)
//    the r with the least squared error of the outputs of  quantised(W s) / s
//
//  Errors come from the Gram matrix, trace(D X'X D'), so no rows are kept and nothing is sampled. Factors of 1 are
//  tried as well: the original's grid does not hold them with duo scaling, and can end behind rounding to nearest.
//
//  Source. Lin et al., "AWQ: activation-aware weight quantization for LLM compression and acceleration", 2024; duo
//  scaling, the normalisation and the clip search are of the authors' and AutoAWQ's code.
#include <tenon/compress/gram.hpp>
#include <tenon/compress/integer_groups.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantize_weight.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace tenon {

struct awq_factors_options {
  weight_scale_method method        = weight_scale_method::searched;  // of quantize_weight
  bool                signed_scales = true;                           // likewise
  int                 steps         = 20;                             // sizes of r
  bool                duo_scaling   = true;                           // false: s = mean|x|^r alone
  // (columns) in [0, columns): columns with the same number share a factor, found for the mean of their inputs and of
  // their weights. None: each has its own. The queries of a group read one value head
  std::span<index_t const> tied = {};
};

struct awq_report {
  double ratio         = -1;  // r of the factors that were chosen; -1: factors of 1
  double nearest_error = 0;   // squared error of the outputs over all calibration rows, with factors of 1
  double error         = 0;   // with the chosen ones
};

namespace calibration {

/// (rows, columns) of w[i,j] s[j] as f32
inline std::vector<float> scaled_weights(tensor_view<float const, 2> w, std::vector<float> const& s) {
  std::vector<float> v(static_cast<std::size_t>(w.size()));
  for (index_t i = 0; i < w.extent[0]; ++i)
    for (index_t j = 0; j < w.extent[1]; ++j)
      v[static_cast<std::size_t>(i * w.extent[1] + j)] = w(i, j) * s[static_cast<std::size_t>(j)];
  return v;
}

/// Squared error of the outputs of quantised(w s) / s.
inline status scaled_error(double& error, tensor_view<float const, 2> w, std::vector<float> const& s,
                           gram_statistics const& gram, weight_format const& format,
                           quantize_weight_options const& options) {
  index_t const    rows = w.extent[0], columns = w.extent[1];
  auto const       v = scaled_weights(w, s);
  quantized_weight q;
  TENON_TRY(quantize_weight(q, dense(v.data(), rows, columns), format, options));
  std::vector<double> d(v.size());
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j)
      d[static_cast<std::size_t>(i * columns + j)] =
          static_cast<double>(w(i, j)) -
          static_cast<double>(q.scale(i, j) * q.number(i, j)) / static_cast<double>(s[static_cast<std::size_t>(j)]);
  error = output_error(gram, d);
  return {};
}

/// Mean over all rows of all matrices of |w[i,j]| over the largest magnitude of its group: (columns)
inline std::vector<double> relative_magnitudes(std::span<tensor_view<float const, 2> const> weights, index_t columns,
                                               index_t group) {
  std::vector<double> mean(static_cast<std::size_t>(columns));
  index_t             rows = 0;
  for (auto const& w : weights) {
    rows += w.extent[0];
    for (index_t i = 0; i < w.extent[0]; ++i)
      for (index_t first = 0; first < columns; first += group) {
        index_t const end  = min(first + group, columns);
        float         most = 0;
        for (index_t j = first; j < end; ++j) most = max(most, std::abs(w(i, j)));
        if (most > 0)
          for (index_t j = first; j < end; ++j)
            mean[static_cast<std::size_t>(j)] += static_cast<double>(std::abs(w(i, j))) / static_cast<double>(most);
      }
  }
  for (double& m : mean) m /= static_cast<double>(max(rows, index_t{1}));
  return mean;
}

/// Every element becomes the mean of those with its number.
inline void average_tied(std::vector<double>& v, std::span<index_t const> tied) {
  std::vector<double> sum(v.size()), count(v.size());
  for (std::size_t j = 0; j < v.size(); ++j)
    sum[static_cast<std::size_t>(tied[j])] += v[j], ++count[static_cast<std::size_t>(tied[j])];
  for (std::size_t j = 0; j < v.size(); ++j)
    v[j] = sum[static_cast<std::size_t>(tied[j])] / count[static_cast<std::size_t>(tied[j])];
}

}  // namespace calibration

/// The factors of the inputs under which the outputs of all layers that read them suffer least from quantisation.
///
/// s        becomes (columns) f32, > 0: multiply the columns of every layer in `weights` by it before quantize_weight
///          or awq_clip, and divide what writes the inputs (a norm's gain, the rows of the projection in front)
/// weights  (rows of its own, columns) each  f32, every value finite; any strides
/// gram     of the inputs    gram_statistics with these columns and at least one row
/// format   int4 with or without zero points, int8; any group; block_rows 1
/// options  method, signed_scales, steps, duo_scaling, tied
/// report   what was chosen and what it is worth, or none
///
/// Arithmetic  factors in double, rounded once and clamped to [1e-4, 1e4]; errors in double. An input that is always
///             zero, or that nothing reads, gets the least factor of the others. Of equal errors the smaller r; factors
///             of 1 before all.
/// Cost        steps + 1 times quantize_weight and rows columns^2 / 2 multiplications; one thread
/// Errors      shape_mismatch(columns), out_of_range(rows: gram has none; steps: not in [1, 1000]; weights: `got` is
///             the matrix of which a value is not finite; group; tied: `got` is the column whose number is not below
///             columns), shape_mismatch(tied), unsupported(code, block_rows, zero_points, method), misaligned. s is
///             untouched then.
/// Test tests/compress/awq_test.cpp.   Page docs/operators/gptq.md.
inline status awq_factors(std::vector<float>& s, std::span<tensor_view<float const, 2> const> weights,
                          gram_statistics const& gram, weight_format format, awq_factors_options const& options = {},
                          awq_report* report = nullptr) {
  index_t const columns = gram.columns;
  contract      c{"awq_factors"};
  for (auto const& w : weights)
    c.require(w.extent[0] >= 0, errc::out_of_range, "weights", w.extent[0], 0)
        .require(w.extent[1] == columns, errc::shape_mismatch, "columns", w.extent[1], columns)
        .addressable(w, "weights");
  calibration::integer_format(c, gram, format, options.method)
      .require(options.steps >= 1 && options.steps <= 1000, errc::out_of_range, "steps", options.steps, 20);
  auto const ties = static_cast<index_t>(options.tied.size());
  c.require(ties == 0 || ties == columns, errc::shape_mismatch, "tied", ties, columns);
  for (index_t j = 0; j < ties && c.result.ok(); ++j) {
    index_t const t = options.tied[static_cast<std::size_t>(j)];
    c.require(t >= 0 && t < columns, errc::out_of_range, "tied", j, columns);
  }
  TENON_TRY(c.result);
  for (std::size_t m = 0; m < weights.size(); ++m)
    if (!calibration::all_finite("awq_factors", "weights", weights[m]).ok())
      return {errc::out_of_range, "awq_factors", "weights", static_cast<std::int64_t>(m), 0};

  auto const                    n = static_cast<std::size_t>(columns);
  quantize_weight_options const scales{.method = options.method, .signed_scales = options.signed_scales};
  auto const                    error_of = [&](double& all, std::vector<float> const& v) -> status {
    all = 0;
    for (auto const& w : weights) {
      double one = 0;
      TENON_TRY(calibration::scaled_error(one, w, v, gram, format, scales));
      all += one;
    }
    return {};
  };
  awq_report         did;
  std::vector<float> best(n, 1.f);
  TENON_TRY(error_of(did.nearest_error, best));
  did.error = did.nearest_error;

  auto magnitude = calibration::relative_magnitudes(weights, columns, calibration::group_columns(format, columns));
  std::vector<double> inputs(n);
  for (std::size_t j = 0; j < n; ++j) inputs[j] = gram.mean_abs(static_cast<index_t>(j));
  if (ties > 0)
    for (auto* v : {&magnitude, &inputs}) calibration::average_tied(*v, options.tied);
  for (int step = 0; step < options.steps; ++step) {
    double const        r = static_cast<double>(step) / options.steps;
    std::vector<double> v(n);
    double              least = std::numeric_limits<double>::infinity(), most = 0;
    for (std::size_t j = 0; j < n; ++j) {
      double const x = inputs[j];
      if (x == 0 || magnitude[j] == 0) continue;
      v[j]  = std::pow(x, r) / (options.duo_scaling ? std::pow(magnitude[j], 1 - r) + 1e-4 : 1.);
      least = min(least, v[j]), most = max(most, v[j]);
    }
    if (most == 0) break;
    double const       middle = std::sqrt(most) * std::sqrt(least);
    std::vector<float> factors(n);
    for (std::size_t j = 0; j < n; ++j)
      factors[j] = static_cast<float>(min(max((v[j] > 0 ? v[j] : least) / middle, 1e-4), 1e4));
    double error = 0;
    if (!error_of(error, factors).ok()) continue;  // a product left f32
    if (error < did.error) did.ratio = r, did.error = error, best = factors;
  }
  s = best;
  if (report) *report = did;
  return {};
}

struct awq_clip_options {
  weight_scale_method method        = weight_scale_method::searched;  // of quantize_weight
  bool                signed_scales = true;                           // likewise
  int                 steps         = 10;                             // sizes that are tried
  double              smallest      = 0.5;                            // part of a group's range that they end above
};

/// w[i,j] clamped to +- c, c the part of its row's and group's absmax under which that group's share of the output
/// suffers least from quantisation: of 1, 1 - (1 - smallest) / steps, .. those above `smallest`.
///
/// w        (rows, columns)  f32, every value finite; any strides; in place
/// gram     of the inputs    gram_statistics with these columns and at least one row. After awq_factors the inputs are
///                           those divided by s: see scale_gram
/// format   as awq_factors
/// clipped  groups whose range shrank, or none
///
/// Cost     steps times rows columns group multiplications, and the search of scales; one thread
/// Errors   shape_mismatch(columns), out_of_range(rows; steps: not in [1, 1000]; smallest: not in [0, 1); w: `got` the
///          row, `want` the column; group), unsupported(code, block_rows, zero_points, method), misaligned. w is
///          untouched then.
/// Test tests/compress/awq_test.cpp.   Page docs/operators/gptq.md.
inline status awq_clip(tensor_view<float, 2> w, gram_statistics const& gram, weight_format format,
                       awq_clip_options const& options = {}, index_t* clipped = nullptr) {
  extent   rows{"rows"}, columns{"columns"};
  contract c{"awq_clip"};
  calibration::weight_and_inputs(c, w, rows, columns, gram);
  calibration::integer_format(c, gram, format, options.method)
      .require(options.steps >= 1 && options.steps <= 1000, errc::out_of_range, "steps", options.steps, 10)
      .require(options.smallest >= 0 && options.smallest < 1, errc::out_of_range, "smallest");
  TENON_TRY(c.result);
  TENON_TRY(calibration::all_finite("awq_clip", "w", w));

  index_t const n = columns.value, group = calibration::group_columns(format, n);
  auto const    factor = static_cast<double>(calibration::common_factor(format, rows.value, n, w));

  quantize_weight_options const scales{.method = options.method, .signed_scales = options.signed_scales};
  quantizer::weight_cell        cell;
  std::vector<double>           d, block;
  index_t                       shrunk = 0;
  for (index_t first = 0; first < n; first += group) {
    index_t const width = min(group, n - first);
    block.resize(static_cast<std::size_t>(width * width));
    for (index_t i = 0; i < width; ++i)
      for (index_t j = 0; j < width; ++j) block[static_cast<std::size_t>(i * width + j)] = gram(first + i, first + j);
    d.resize(static_cast<std::size_t>(width));
    for (index_t i = 0; i < rows.value; ++i) {
      float most = 0;
      for (index_t j = 0; j < width; ++j) most = max(most, std::abs(w(i, first + j)));
      if (most == 0) continue;
      double best = std::numeric_limits<double>::infinity();
      float  size = most;
      for (int step = 0; step < options.steps; ++step) {
        auto const limit =
            static_cast<float>(static_cast<double>(most) * (1 - (1 - options.smallest) * step / options.steps));
        calibration::fill_cell(cell, width,
                               [&](index_t j) { return quantizer::clamp(w(i, first + j), -limit, limit); });
        auto const grid = quantizer::choose_grid(cell, format, factor, scales);
        for (index_t j = 0; j < width; ++j) {
          auto const at = static_cast<std::size_t>(j);
          d[at]         = static_cast<double>(w(i, first + j)) -
                  static_cast<double>(grid.scale * static_cast<float>(quantizer::integer_code(cell.values[at], grid)));
        }
        double error = 0;
        for (index_t a = 0; a < width; ++a) {
          double sum = 0;
          for (index_t b = 0; b < width; ++b)
            sum += block[static_cast<std::size_t>(a * width + b)] * d[static_cast<std::size_t>(b)];
          error += d[static_cast<std::size_t>(a)] * sum;
        }
        if (error < best) best = error, size = limit;
      }
      if (size < most) {
        ++shrunk;
        for (index_t j = 0; j < width; ++j) w(i, first + j) = quantizer::clamp(w(i, first + j), -size, size);
      }
    }
  }
  if (clipped) *clipped = shrunk;
  return {};
}

/// The statistics of inputs x[j] / s[j], from those of x.
///
/// Errors  shape_mismatch(columns), out_of_range(s: `got` is the first that is not finite and > 0). gram is untouched
///         then.
/// Test tests/compress/awq_test.cpp.   Page docs/operators/gptq.md.
inline status scale_gram(gram_statistics& gram, std::vector<float> const& s) {
  if (static_cast<index_t>(s.size()) != gram.columns)
    return {errc::shape_mismatch, "scale_gram", "columns", static_cast<index_t>(s.size()), gram.columns};
  for (std::size_t j = 0; j < s.size(); ++j)
    if (!(s[j] > 0 && s[j] <= std::numeric_limits<float>::max()))
      return {errc::out_of_range, "scale_gram", "s", static_cast<index_t>(j), 0};
  for (index_t i = 0; i < gram.columns; ++i) {
    auto const a = static_cast<std::size_t>(i);
    auto const f = static_cast<double>(s[a]);
    for (index_t j = i; j < gram.columns; ++j)
      gram.upper[gram.row_offset(i) + static_cast<std::size_t>(j)] /=
          f * static_cast<double>(s[static_cast<std::size_t>(j)]);
    gram.sum[a] /= f, gram.sum_abs[a] /= f, gram.absmax[a] /= f;
  }
  return {};
}

}  // namespace tenon
