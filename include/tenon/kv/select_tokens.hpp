#pragma once
//  Which tokens each kv head of a layer keeps, given their scores and how many may stay.
//
//    per head   every head its own best, as many as its budget says
//    jointly    every head a floor of its own best, the rest of the layer's budget to the best of all heads (Ada-KV)
//
//  Some tokens are always kept: the first ones, which attention leans on, and the last ones. Higher scores are kept; of
//  equal ones the earlier token, then the lower head. So the answer is a function of the scores alone.
//
//  Sources. Xiao et al. 2024 (sinks); Feng et al. 2024, "Ada-KV".
//  Test tests/kv/select_tokens_test.cpp.   Page docs/operators/kv_budgets.md.
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace tenon {

/// Tokens that stay whatever their scores: the first `sinks` and the last `recent` of a sequence.
struct always_kept {
  index_t sinks  = 4;
  index_t recent = 32;

  constexpr bool    holds(index_t token, index_t tokens) const { return token < sinks || token >= tokens - recent; }
  constexpr index_t count(index_t tokens) const { return min(tokens, sinks + recent); }
};

/// Of each kv head, the indices of the tokens that stay, ascending.
using kept_tokens = std::vector<std::vector<std::int32_t>>;

namespace selection {

struct scored_token {
  float        score;
  std::int32_t token, head;

  /// Whether it is kept before `other` is.
  constexpr bool operator<(scored_token const& other) const {
    if (score != other.score) return score > other.score;
    return token != other.token ? token < other.token : head < other.head;
  }
};

/// Tokens of a head: those that are always kept, ascending, to `kept`, the others to `open`.
inline void divide(std::vector<std::int32_t>& kept, std::vector<scored_token>& open, tensor_view<float const, 2> scores,
                   index_t head, always_kept always) {
  index_t const tokens = scores.extent[1];
  open.clear();
  for (index_t t = 0; t < tokens; ++t) {
    auto const token = static_cast<std::int32_t>(t);
    if (always.holds(t, tokens)) kept.push_back(token);
    else open.push_back({scores(head, t), token, static_cast<std::int32_t>(head)});
  }
}

/// Moves the `count` that are kept first to the front.
inline void keep_best(std::vector<scored_token>& of, index_t count) {
  auto const middle = of.begin() + static_cast<std::ptrdiff_t>(count);
  if (middle != of.end()) std::nth_element(of.begin(), middle, of.end());
}

inline contract& check_scores(contract& check, tensor_view<float const, 2> scores, always_kept always) {
  constexpr index_t limit = index_t{1} << 31;
  extent            kv_heads{"kv_heads"}, tokens{"tokens"};
  check.shape(scores, kv_heads, tokens)
      .addressable(scores, "scores")
      .require(tokens.value < limit, errc::out_of_range, "tokens", tokens.value, limit - 1)
      .require(kv_heads.value < limit, errc::out_of_range, "kv_heads", kv_heads.value, limit - 1)
      .require(always.sinks >= 0 && always.sinks < limit, errc::out_of_range, "sinks", always.sinks, 0)
      .require(always.recent >= 0 && always.recent < limit, errc::out_of_range, "recent", always.recent, 0);
  if (!check.result.ok()) return check;
  for (index_t h = 0; h < kv_heads.value && check.result.ok(); ++h)
    for (index_t t = 0; t < tokens.value && check.result.ok(); ++t)
      check.require(!std::isnan(scores(h, t)), errc::out_of_range, "scores", t, tokens.value);
  return check;
}

}  // namespace selection

/// kept[h] = the always kept tokens and the best others of head h, budget[h] in all
///
/// kept    becomes (kv_heads) lists, ascending; untouched where the call fails
/// scores  (kv_heads, tokens)  f32  any strides; infinities are fine
/// budget  (kv_heads) tokens of each head; more than there are keep all
/// always  {sinks, recent}
///
/// Cost    linear in the scores
/// Errors  shape_mismatch(kv_heads), misaligned(scores), out_of_range(scores: null, or NaN, `got` its token; sinks,
///         recent; budget: `got` less than the always kept tokens, `want`; tokens, kv_heads: 2^31 or more)
inline status select_per_head(kept_tokens& kept, tensor_view<float const, 2> scores, std::span<index_t const> budget,
                              always_kept always = {}) {
  contract check{"select_per_head"};
  TENON_TRY(selection::check_scores(check, scores, always).result);
  index_t const heads = scores.extent[0], tokens = scores.extent[1], fixed = always.count(tokens);
  check.require(static_cast<index_t>(budget.size()) == heads, errc::shape_mismatch, "kv_heads",
                static_cast<index_t>(budget.size()), heads);
  for (index_t const b : budget) check.require(b >= fixed, errc::out_of_range, "budget", b, fixed);
  TENON_TRY(check.result);

  kept_tokens                          all(static_cast<std::size_t>(heads));
  std::vector<selection::scored_token> open;
  for (index_t h = 0; h < heads; ++h) {
    auto& mine = all[static_cast<std::size_t>(h)];
    selection::divide(mine, open, scores, h, always);
    index_t const more = min(budget[static_cast<std::size_t>(h)], tokens) - fixed;
    selection::keep_best(open, more);
    for (index_t i = 0; i < more; ++i) mine.push_back(open[static_cast<std::size_t>(i)].token);
    std::sort(mine.begin(), mine.end());
  }
  kept = std::move(all);
  return {};
}

/// The same budget for every head.
inline status select_per_head(kept_tokens& kept, tensor_view<float const, 2> scores, index_t budget,
                              always_kept always = {}) {
  std::vector<index_t> const each(static_cast<std::size_t>(max(scores.extent[0], index_t{0})), budget);
  return select_per_head(kept, scores, each, always);
}

/// kept[h] = the always kept tokens of every head, the best floor(floor budget / kv_heads) of each (always kept ones
/// count), and of all others the best of any head: `budget` in all
///
/// kept    becomes (kv_heads) lists, ascending; untouched where the call fails
/// scores  (kv_heads, tokens)  f32  any strides; infinities are fine
/// budget  tokens of all heads together; more than there are keep all
/// floor   in [0, 1]; 1: as select_per_head does (what does not divide goes to the best)
/// always  {sinks, recent}
///
/// Scores are compared between heads as they are: shares of attention are, norms and cosines are not made for it.
///
/// Cost    linear in the scores
/// Errors  as select_per_head's, and out_of_range(floor)
inline status select_jointly(kept_tokens& kept, tensor_view<float const, 2> scores, index_t budget, double floor = 0.2,
                             always_kept always = {}) {
  contract check{"select_jointly"};
  TENON_TRY(selection::check_scores(check, scores, always).result);
  index_t const heads = scores.extent[0], tokens = scores.extent[1], fixed = always.count(tokens);
  TENON_TRY(check.require(floor >= 0 && floor <= 1, errc::out_of_range, "floor", 0, 1)
                .require(budget >= heads * fixed, errc::out_of_range, "budget", budget, heads * fixed)
                .result);
  budget                = min(budget, heads * tokens);
  auto const    of_each = heads > 0 ? std::floor(floor * static_cast<double>(budget) / static_cast<double>(heads)) : 0;
  index_t const own     = max(min(static_cast<index_t>(of_each), tokens), fixed);

  kept_tokens                          all(static_cast<std::size_t>(heads));
  std::vector<selection::scored_token> open, shared;
  for (index_t h = 0; h < heads; ++h) {
    auto& mine = all[static_cast<std::size_t>(h)];
    selection::divide(mine, open, scores, h, always);
    selection::keep_best(open, own - fixed);
    for (index_t i = 0; i < own - fixed; ++i) mine.push_back(open[static_cast<std::size_t>(i)].token);
    shared.insert(shared.end(), open.begin() + static_cast<std::ptrdiff_t>(own - fixed), open.end());
  }
  index_t const more = budget - heads * own;
  selection::keep_best(shared, more);
  for (index_t i = 0; i < more; ++i) {
    auto const& best = shared[static_cast<std::size_t>(i)];
    all[static_cast<std::size_t>(best.head)].push_back(best.token);
  }
  for (auto& mine : all) std::sort(mine.begin(), mine.end());
  kept = std::move(all);
  return {};
}

/// A run of tokens.
struct token_run {
  std::int32_t first = 0, tokens = 0;

  friend constexpr bool operator==(token_run const&, token_run const&) = default;
};

/// The runs of tokens 0..tokens-1 that `kept`, ascending, lacks.
inline std::vector<token_run> dropped_runs(std::span<std::int32_t const> kept, std::int32_t tokens) {
  std::vector<token_run> runs;
  std::int32_t           next  = 0;
  auto const             until = [&](std::int32_t token) {
    if (token > next) runs.push_back({next, token - next});
    next = token + 1;
  };
  for (std::int32_t const token : kept) until(token);
  until(tokens);
  return runs;
}

}  // namespace tenon
