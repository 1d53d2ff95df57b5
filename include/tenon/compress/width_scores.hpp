#pragma once
//  Which inputs of a layer to keep: a score per input, or per unit of inputs (a head's columns), from calibration rows.
//
//    FLAP         Var(x_j) |W_j|^2, standardised over the layer      Wanda-sp      mean(x_j^2) |W_j|^2
//    Minitron     mean |x_j|                                         weight norm   |W_j|^2
//
//  x_j is the input, W_j the column of weights that reads it. What a cut loses is best judged after its refit
//  (least_squares.hpp): scores propose, a measurement decides.
//
//  Sources. An et al., "Fluctuation-based adaptive structured pruning for large language models" (FLAP), 2024; Wanda-sp
//  is its form of Sun et al., "A simple and effective pruning approach for large language models" (Wanda), 2024;
//  Muralidharan et al., "Compact language models via pruning and knowledge distillation" (Minitron), 2024.
#include <tenon/compress/gram.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace tenon {

enum class width_score : std::uint8_t {
  flap,         // variance of the input times squared norm of its weights, minus the mean, over the deviation, of all
  wanda,        // mean square of the input times squared norm of its weights
  mean_abs,     // mean magnitude of the input
  weight_norm,  // squared norm of its weights: no calibration
};

/// score[u] of inputs u * unit .. (u + 1) * unit - 1: the mean of theirs
///
/// scores   becomes (columns / unit); untouched where the call fails
/// w        (rows, columns)  f32 f16 bf16, every value finite; any strides: the layer that reads the inputs
/// gram     of its inputs    gram_statistics with these columns and, but for weight_norm, at least one row
/// method                    FLAP's scores of layers and of kinds of layers compare with each other, the others do not
/// unit                      columns per unit: 1 for neurons, the head's dimension for heads
///
/// Arithmetic  double
/// Errors      shape_mismatch(columns; unit: does not divide them), out_of_range(unit, rows; w: `got` the row, `want`
///             the column), misaligned
/// Test tests/compress/width_scores_test.cpp.   Page docs/operators/healing.md.
template <class W>
status width_scores(std::vector<double>& scores, tensor_view<W, 2> w, gram_statistics const& gram, width_score method,
                    index_t unit = 1) {
  extent   rows{"rows"}, columns{"columns"};
  contract c{"width_scores"};
  c.shape(w, rows, columns)
      .addressable(w, "w")
      .require(gram.columns == columns.value, errc::shape_mismatch, "columns", gram.columns, columns.value)
      .require(gram.rows > 0 || method == width_score::weight_norm, errc::out_of_range, "rows", gram.rows, 1)
      .require(unit >= 1, errc::out_of_range, "unit", unit, 1);
  TENON_TRY(c.result);
  c.require(columns.value % unit == 0, errc::shape_mismatch, "unit", columns.value, unit);
  TENON_TRY(c.result);
  TENON_TRY(calibration::all_finite("width_scores", "w", w));

  std::vector<double> norms(static_cast<std::size_t>(columns.value));
  for (index_t i = 0; i < rows.value; ++i)
    for (index_t j = 0; j < columns.value; ++j) {
      auto const v = static_cast<double>(static_cast<float>(w(i, j)));
      norms[static_cast<std::size_t>(j)] += v * v;
    }
  std::vector<double> all(static_cast<std::size_t>(columns.value / unit));
  for (index_t j = 0; j < columns.value; ++j) {
    double const norm  = norms[static_cast<std::size_t>(j)];
    double       score = 0;
    switch (method) {
      case width_score::flap: score = gram.variance(j) * norm; break;
      case width_score::wanda: score = gram.mean_square(j) * norm; break;
      case width_score::mean_abs: score = gram.mean_abs(j); break;
      case width_score::weight_norm: score = norm; break;
    }
    all[static_cast<std::size_t>(j / unit)] += score / static_cast<double>(unit);
  }
  if (method == width_score::flap && !all.empty()) {
    auto const   n      = static_cast<double>(all.size());
    double const mean   = std::accumulate(all.begin(), all.end(), 0.) / n;
    double       spread = 0;
    for (double const v : all) spread += (v - mean) * (v - mean) / n;
    for (double& v : all) v = spread > 0 ? (v - mean) / std::sqrt(spread) : 0.;
  }
  scores = std::move(all);
  return {};
}

/// The `count` units with the highest scores, ascending; of equal scores the ones that come first.
///
/// kept     becomes (count): units; untouched where the call fails
/// scores   none of them NaN. Of several layers at once: theirs, one behind the other
///
/// Errors   out_of_range(count: not in [0, units]; scores: `got` is the first that is NaN)
/// Test tests/compress/width_scores_test.cpp.   Page docs/operators/healing.md.
inline status choose_survivors(std::vector<index_t>& kept, std::vector<double> const& scores, index_t count) {
  auto const units = static_cast<index_t>(scores.size());
  if (count < 0 || count > units) return {errc::out_of_range, "choose_survivors", "count", count, units};
  for (index_t i = 0; i < units; ++i)
    if (std::isnan(scores[static_cast<std::size_t>(i)]))
      return {errc::out_of_range, "choose_survivors", "scores", i, units};
  std::vector<index_t> order(scores.size());
  std::iota(order.begin(), order.end(), index_t{0});
  std::stable_sort(order.begin(), order.end(), [&](index_t a, index_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  kept = std::move(order);
  return {};
}

/// The columns of units, ascending: what refit_survivors and row selections take.
inline std::vector<index_t> columns_of_units(std::vector<index_t> const& units, index_t unit) {
  std::vector<index_t> columns;
  columns.reserve(units.size() * static_cast<std::size_t>(max(unit, index_t{0})));
  for (index_t const u : units)
    for (index_t j = 0; j < unit; ++j) columns.push_back(u * unit + j);
  return columns;
}

}  // namespace tenon
