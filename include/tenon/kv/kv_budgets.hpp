#pragma once
//  How many tokens each layer may keep, given how many there are to give away: exact totals, in plain C++.
//
//    uniform    the same for each, what does not divide goes to the first ones
//    pyramid    falling with depth: weights from 2 - 1/beta in the first layer to 1/beta in the last, above what is
//               always kept
//    by weight  any others: an explicit table, or what a measurement says
//
//  Sources. Cai et al. 2024, "PyramidKV"; the bounds are resolved as flexible lengths of CSS are (W3C, "CSS flexible
//  box layout", section 9.7), the rest goes to the largest remainders (Hamilton's method).
//  Test tests/kv/kv_budgets_test.cpp.   Page docs/operators/kv_budgets.md.
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace tenon {

/// What one part, a layer or a head, gets at least and at most, in tokens.
struct budget_bounds {
  index_t least = 0;  // what is always kept: sinks and window
  index_t most  = 0;  // the tokens there are
};

/// budgets[i] of sum `total`: least + what is above it in proportion to weight[i], nowhere more than most
///
/// budgets  becomes (weights); untouched where the call fails
/// total    tokens to give away
/// weights  of each part; finite, none negative. What all bounded parts leave goes to the others, where their weights
///          are 0 in equal shares.
/// bounds   of each part, in tokens
///
/// Arithmetic  double; parts are rounded down, and what is left goes to the largest remainders, among equals to
///             the first
/// Errors      out_of_range(least, most; weights: `got` the first bad one; total: less than the sum of least, `want`,
///             or more than that of most)
/// Range       parts and bounds with sums below 2^52
inline status budgets_by_weight(std::vector<index_t>& budgets, index_t total, std::span<double const> weights,
                                budget_bounds bounds) {
  constexpr index_t limit = index_t{1} << 52;
  auto const        parts = static_cast<index_t>(weights.size());
  contract          check{"budgets_by_weight"};
  check.require(bounds.least >= 0, errc::out_of_range, "least", bounds.least, 0)
      .require(bounds.most >= bounds.least, errc::out_of_range, "most", bounds.most, bounds.least)
      .require(bounds.most < limit / max(parts, index_t{1}), errc::out_of_range, "most", bounds.most,
               limit / max(parts, index_t{1}) - 1);
  TENON_TRY(check.result);
  for (index_t i = 0; i < parts; ++i) {
    double const w = weights[static_cast<std::size_t>(i)];
    check.require(w >= 0 && std::isfinite(w), errc::out_of_range, "weights", i, parts);
  }
  TENON_TRY(check.require(total >= parts * bounds.least, errc::out_of_range, "total", total, parts * bounds.least)
                .require(total <= parts * bounds.most, errc::out_of_range, "total", total, parts * bounds.most)
                .result);

  // Shares above `least`: whoever would get more than there is place for gets that, until nobody does. Weights are
  // measured by the largest, so that their sum is finite.
  auto const          count   = static_cast<std::size_t>(parts);
  double const        largest = parts > 0 ? *std::max_element(weights.begin(), weights.end()) : 0;
  double const        unit    = largest > 0 ? largest : 1;
  double const        place   = static_cast<double>(bounds.most - bounds.least);
  std::vector<double> share(count, 0);
  std::vector<bool>   full(count, false);
  for (bool again = true; again;) {
    double  rest = static_cast<double>(total - parts * bounds.least), weight = 0;
    index_t open = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (full[i]) rest -= place;
      else weight += weights[i] / unit, ++open;
    }
    again = false;
    for (std::size_t i = 0; i < count; ++i) {
      if (full[i]) continue;
      share[i] = weight > 0 ? rest * (weights[i] / unit / weight) : rest / static_cast<double>(open);
      if (share[i] > place) share[i] = place, full[i] = true, again = true;
    }
  }

  // Whole tokens.
  std::vector<index_t>     whole(count);
  std::vector<std::size_t> order(count);
  index_t                  left = total;
  for (std::size_t i = 0; i < count; ++i)
    whole[i] = bounds.least + static_cast<index_t>(std::floor(share[i])), left -= whole[i];
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return share[a] - std::floor(share[a]) > share[b] - std::floor(share[b]);
  });
  // More rounds than one only where rounding of doubles has made shares smaller or larger than they are.
  while (left != 0)
    for (std::size_t const i : order) {
      if (left > 0 && whole[i] < bounds.most) ++whole[i], --left;
      else if (left < 0 && whole[i] > bounds.least) --whole[i], ++left;
      if (left == 0) break;
    }
  budgets = std::move(whole);
  return {};
}

/// The same for each of `layers`.
inline status uniform_budgets(std::vector<index_t>& budgets, index_t layers, index_t total, budget_bounds bounds) {
  TENON_TRY(contract{"uniform_budgets"}.require(layers >= 0, errc::out_of_range, "layers", layers, 0).result);
  return budgets_by_weight(budgets, total, std::vector<double>(static_cast<std::size_t>(layers), 1.), bounds);
}

/// More for the first layers: weights fall linearly from 2 - 1/beta to 1/beta, beta >= 1 (1: uniform).
inline status pyramid_budgets(std::vector<index_t>& budgets, index_t layers, index_t total, budget_bounds bounds,
                              double beta = 20) {
  TENON_TRY(contract{"pyramid_budgets"}
                .require(layers >= 0, errc::out_of_range, "layers", layers, 0)
                .require(beta >= 1 && std::isfinite(beta), errc::out_of_range, "beta",
                         std::isfinite(beta) ? static_cast<index_t>(max(min(beta, 1e9), -1e9)) : 0, 1)
                .result);
  std::vector<double> weights(static_cast<std::size_t>(layers));
  for (index_t i = 0; i < layers; ++i) {
    double const depth                   = layers > 1 ? static_cast<double>(i) / static_cast<double>(layers - 1) : 0.5;
    weights[static_cast<std::size_t>(i)] = 2 - 1 / beta - depth * (2 - 2 / beta);
  }
  return budgets_by_weight(budgets, total, weights, bounds);
}

}  // namespace tenon
