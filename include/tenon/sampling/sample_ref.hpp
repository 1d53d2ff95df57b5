#pragma once
//  The definition of sample: once as a distribution in double precision, once as a draw, by sorting.
#include <tenon/core/tensor_view.hpp>
#include <tenon/sampling/philox.hpp>
#include <tenon/sampling/probability_mass.hpp>
#include <tenon/sampling/sampling_params.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace tenon::ref {

/// Ids of a row in order: by logit, descending; among equals by id, ascending. NaN counts as -infinity.
template <class Logit>
std::vector<std::int32_t> order_of_logits(tensor_view<Logit, 1> row) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(row.extent[0]));
  std::iota(order.begin(), order.end(), 0);
  auto const value = [&](std::int32_t id) { return std::isnan(row(id)) ? no_logit : row(id); };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return value(a) > value(b); });
  return order;
}

/// Keeps of `order` what top-k, then top-p, then min-p leave; weight is a logit's, largest first, of any numeric type.
template <class Weight, class Reaches>
std::size_t restricted_count(std::vector<Weight> const& weight, sampling_params const& how, Reaches const& target) {
  std::size_t kept = weight.size();
  if (how.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(how.top_k));
  if (how.top_p < 1) {
    Weight const all = std::accumulate(weight.begin(), weight.begin() + static_cast<std::ptrdiff_t>(kept), Weight{0});
    Weight const wanted = target(how.top_p, all);
    Weight       mass   = 0;
    for (std::size_t i = 0; i < kept; ++i)
      if ((mass += weight[i]) >= wanted) kept = i + 1;
  }
  if (how.min_p > 0) {
    Weight const least = static_cast<Weight>(static_cast<double>(std::min(how.min_p, 1.0f)) * double(weight[0]));
    while (kept > 1 && weight[kept - 1] < least) --kept;
  }
  return kept;
}

/// The probability of every id, in double precision; all zero where no logit is above -infinity.
template <class Logit>
std::vector<double> sampling_distribution(tensor_view<Logit, 1> row, sampling_params const& how) {
  auto const          order = order_of_logits(row);
  std::vector<double> probability(order.size()), weight;
  double const        largest = double(row(order[0]));
  if (!(largest > double(no_logit))) return probability;
  if (!(how.temperature > 0)) {
    probability[static_cast<std::size_t>(order[0])] = 1;
    return probability;
  }
  for (auto id : order) {
    double const w = std::exp((double(row(id)) - largest) / double(how.temperature));
    weight.push_back(std::isnan(w) ? 0 : w);
  }
  auto const kept = restricted_count(weight, how, [](float p, double all) { return double(p) * all; });
  double     all  = 0;
  for (std::size_t i = 0; i < kept; ++i) all += weight[i];
  for (std::size_t i = 0; i < kept; ++i) probability[static_cast<std::size_t>(order[i])] = weight[i] / all;
  return probability;
}

/// The id that sample answers, bit for bit: its integer masses, by sorting.
template <class Logit>
std::int32_t sample(tensor_view<Logit, 1> row, sampling_params const& how) {
  auto const  order   = order_of_logits(row);
  float const largest = row(order[0]);
  if (std::isnan(largest) || !(largest > no_logit)) return 0;
  if (!(how.temperature > 0)) return order[0];
  logit_mass const    mass{largest, log2_e / how.temperature};
  std::vector<mass_t> weight, by_id(order.size());
  for (auto id : order) weight.push_back(mass(row(id)));
  auto const kept = restricted_count(weight, how, share_of_mass);
  mass_t     all  = 0;
  for (std::size_t i = 0; i < kept; ++i) by_id[static_cast<std::size_t>(order[i])] = weight[i], all += weight[i];
  mass_t const target = multiply_wide(uniform_bits(how.seed, how.position), all).high;
  mass_t       upto   = 0;
  for (std::size_t id = 0; id < by_id.size(); ++id)
    if ((upto += by_id[id]) > target) return static_cast<std::int32_t>(id);
  return order[0];
}

}  // namespace tenon::ref
