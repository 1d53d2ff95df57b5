#include <tenon/kv/position_scores.hpp>
#include <tenon/kv/select_tokens.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "../support/expect_status.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::always_kept, tenon::errc, tenon::index_t, tenon::kept_tokens;

std::vector<float> random_scores(index_t count, std::uint64_t seed, int values) {
  std::mt19937_64    random(seed);
  std::vector<float> scores(static_cast<std::size_t>(count));
  for (float& s : scores) s = float(random() % std::uint64_t(values));
  return scores;
}

std::size_t total(kept_tokens const& kept) {
  std::size_t sum = 0;
  for (auto const& head : kept) sum += head.size();
  return sum;
}

/// The definition, one token at a time: the best one that is left, the first of equal ones.
kept_tokens one_by_one(std::vector<float> const& scores, index_t heads, index_t tokens, std::vector<index_t> const& own,
                       index_t budget, always_kept always) {
  std::vector<bool>    taken(scores.size());
  std::vector<index_t> count(static_cast<std::size_t>(heads));
  auto const           take = [&](index_t h, index_t t) {
    taken[std::size_t(h * tokens + t)] = true;
    ++count[std::size_t(h)], --budget;
  };
  auto const take_best = [&](index_t first_head, index_t last_head) {
    index_t best_head = -1, best = -1;
    for (index_t t = 0; t < tokens; ++t)
      for (index_t h = first_head; h <= last_head; ++h)
        if (!taken[std::size_t(h * tokens + t)] &&
            (best < 0 || scores[std::size_t(h * tokens + t)] > scores[std::size_t(best_head * tokens + best)]))
          best_head = h, best = t;
    take(best_head, best);
  };
  for (index_t h = 0; h < heads; ++h)
    for (index_t t = 0; t < tokens; ++t)
      if (t < always.sinks || t >= tokens - always.recent) take(h, t);
  for (index_t h = 0; h < heads; ++h)
    while (count[std::size_t(h)] < own[std::size_t(h)]) take_best(h, h);
  while (budget > 0) take_best(0, heads - 1);
  kept_tokens kept(static_cast<std::size_t>(heads));
  for (index_t h = 0; h < heads; ++h)
    for (index_t t = 0; t < tokens; ++t)
      if (taken[std::size_t(h * tokens + t)]) kept[std::size_t(h)].push_back(std::int32_t(t));
  return kept;
}

TEST(select_tokens, per_head_takes_the_best_of_each) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    index_t const        heads = 1 + index_t(seed % 3), tokens = index_t(seed);
    always_kept const    always{index_t(seed % 5), index_t(seed % 4)};
    auto const           scores = random_scores(heads * tokens, seed, seed % 2 ? 3 : 1000);  // many ties, or few
    std::vector<index_t> budget;
    index_t              sum = 0;
    for (index_t h = 0; h < heads; ++h) {
      budget.push_back(std::min(tokens, always.count(tokens) + h * 5 + index_t(seed / 3)));
      sum += budget.back();
    }
    kept_tokens kept;
    test::expect_ok(tenon::select_per_head(kept, test::over(scores, heads, tokens), budget, always));
    EXPECT_EQ(kept, one_by_one(scores, heads, tokens, budget, sum, always)) << "seed " << seed;
    EXPECT_EQ(total(kept), std::size_t(sum));
  }
}

TEST(select_tokens, jointly_takes_the_best_of_all_above_each_head_s_floor) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    index_t const     heads = 1 + index_t(seed % 3), tokens = 2 + index_t(seed);
    always_kept const always{index_t(seed % 5), index_t(seed % 4)};
    double const      floor  = double(seed % 6) / 5;
    auto const        scores = random_scores(heads * tokens, seed, seed % 2 ? 3 : 1000);
    index_t const     budget = std::min(heads * tokens, heads * always.count(tokens) + index_t(seed));
    auto const        own    = std::vector<index_t>(
        std::size_t(heads),
        std::max(always.count(tokens), index_t(std::floor(floor * double(budget) / double(heads)))));
    kept_tokens kept;
    test::expect_ok(tenon::select_jointly(kept, test::over(scores, heads, tokens), budget, floor, always));
    EXPECT_EQ(kept, one_by_one(scores, heads, tokens, own, budget, always)) << "seed " << seed;
    EXPECT_EQ(total(kept), std::size_t(budget));
  }
}

// Among all subsets of 2 heads x 6 tokens that keep what must be kept, none has a larger sum of scores.
TEST(select_tokens, jointly_is_the_best_of_all_subsets) {
  index_t const     heads = 2, tokens = 6, budget = 7, own = 2;  // floor 0.6: 2.1
  always_kept const always{1, 0};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    auto const  scores = random_scores(heads * tokens, seed, 1 << 20);
    kept_tokens kept;
    test::expect_ok(tenon::select_jointly(kept, test::over(scores, heads, tokens), budget, 0.6, always));
    double best = -1, mine = 0;
    for (unsigned set = 0; set < 1u << 12; ++set) {
      unsigned const first = set & 63, second = set >> 6;
      if (std::popcount(set) != budget || !(first & 1) || !(second & 1)) continue;
      if (std::popcount(first) < own || std::popcount(second) < own) continue;
      double sum = 0;
      for (unsigned i = 0; i < 12; ++i) sum += (set >> i & 1) ? double(scores[i]) : 0.;
      best = std::max(best, sum);
    }
    for (std::size_t h = 0; h < 2; ++h)
      for (auto const t : kept[h]) mine += double(scores[h * 6 + std::size_t(t)]);
    EXPECT_EQ(mine, best) << "seed " << seed;
    EXPECT_GE(std::ssize(kept[0]), own);
    EXPECT_GE(std::ssize(kept[1]), own);
  }
}

TEST(select_tokens, a_budget_of_everything_keeps_everything) {
  auto const  scores = random_scores(2 * 5, 1, 100);
  kept_tokens per_head, jointly, all{{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}};
  test::expect_ok(tenon::select_per_head(per_head, test::over(scores, 2, 5), 1000));
  test::expect_ok(tenon::select_jointly(jointly, test::over(scores, 2, 5), 1000));
  EXPECT_EQ(per_head, all);
  EXPECT_EQ(jointly, all);
  kept_tokens none{{1}};
  test::expect_ok(tenon::select_jointly(none, test::over(scores, 0, 5), 0));
  EXPECT_TRUE(none.empty());
  test::expect_ok(tenon::select_per_head(none, test::over(scores, 2, 0), 3));
  EXPECT_EQ(none, kept_tokens(2));
}

TEST(select_tokens, infinite_scores_come_first_and_last) {
  float const              much = std::numeric_limits<float>::infinity();
  std::vector<float> const scores{-much, 1, much, -much, 2, much};
  kept_tokens              kept;
  test::expect_ok(tenon::select_per_head(kept, test::over(scores, 1, 6), 3, {0, 0}));
  EXPECT_EQ(kept, (kept_tokens{{2, 4, 5}}));
  test::expect_ok(tenon::select_per_head(kept, test::over(scores, 1, 6), 5, {0, 0}));
  EXPECT_EQ(kept, (kept_tokens{{0, 1, 2, 4, 5}}));
}

TEST(select_tokens, reads_scores_of_any_strides) {
  auto const                               scores = random_scores(3 * 20, 5, 1000);
  tenon::tensor_view<float const, 2> const across{scores.data(), {3, 20}, {1, 3}};
  std::vector<float>                       dense;
  for (index_t h = 0; h < 3; ++h)
    for (index_t t = 0; t < 20; ++t) dense.push_back(across(h, t));
  kept_tokens a, b;
  test::expect_ok(tenon::select_jointly(a, across, 25, 0.2, {1, 2}));
  test::expect_ok(tenon::select_jointly(b, test::over(dense, 3, 20), 25, 0.2, {1, 2}));
  EXPECT_EQ(a, b);
}

TEST(select_tokens, the_rest_are_runs) {
  using runs    = std::vector<tenon::token_run>;
  auto const of = [](std::vector<std::int32_t> const& kept, std::int32_t tokens) {
    return tenon::dropped_runs(kept, tokens);
  };
  EXPECT_EQ(of({}, 0), runs{});
  EXPECT_EQ(of({}, 3), (runs{{0, 3}}));
  EXPECT_EQ(of({0, 1, 2}, 3), runs{});
  EXPECT_EQ(of({1, 2, 5}, 9), (runs{{0, 1}, {3, 2}, {6, 3}}));
}

TEST(select_tokens_contract, names_what_is_wrong_and_changes_nothing) {
  std::vector<float> scores(2 * 10, 1.f);
  kept_tokens        kept{{7}};
  auto const         view = test::over(scores, 2, 10);
  auto const         is   = [&](tenon::status const& s, errc code, char const* subject, index_t got, index_t want) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_EQ(s.got, got) << subject;
    EXPECT_EQ(s.want, want) << subject;
    EXPECT_EQ(kept, (kept_tokens{{7}}));
  };
  std::vector<index_t> const three{9, 9, 9}, small{9, 5};
  is(tenon::select_per_head(kept, view, three, {1, 1}), errc::shape_mismatch, "kv_heads", 3, 2);
  is(tenon::select_per_head(kept, view, small, {4, 2}), errc::out_of_range, "budget", 5, 6);
  is(tenon::select_jointly(kept, view, 11, 0.2, {4, 2}), errc::out_of_range, "budget", 11, 12);
  is(tenon::select_jointly(kept, view, 14, 1.5, {4, 2}), errc::out_of_range, "floor", 0, 1);
  is(tenon::select_jointly(kept, view, 14, 0.2, {-1, 2}), errc::out_of_range, "sinks", -1, 0);
  is(tenon::select_jointly(kept, view, 14, 0.2, {1, -2}), errc::out_of_range, "recent", -2, 0);
  auto nowhere = view;
  nowhere.data = nullptr;
  is(tenon::select_jointly(kept, nowhere, 14, 0.2, {1, 2}), errc::out_of_range, "scores", 0, 1);
  scores[13] = std::nanf("");
  is(tenon::select_per_head(kept, view, 9, {4, 2}), errc::out_of_range, "scores", 3, 10);
}

TEST(position_scores, recency_with_a_budget_of_both_is_sinks_and_window) {
  std::vector<float> scores(2 * 12);
  test::expect_ok(tenon::position_scores(test::over(scores, 2, 12), tenon::recency{2}));
  kept_tokens kept;
  test::expect_ok(tenon::select_per_head(kept, test::over(scores, 2, 12), 5, {0, 0}));
  EXPECT_EQ(kept, (kept_tokens{{0, 1, 9, 10, 11}, {0, 1, 9, 10, 11}}));
}

TEST(position_scores, coin_toss_is_uniform_and_depends_on_nothing_else) {
  index_t const      heads = 3, tokens = 20000;
  std::vector<float> scores(std::size_t(heads * tokens)), shorter(std::size_t(heads * 10)), other(scores.size());
  test::expect_ok(tenon::position_scores(test::over(scores, heads, tokens), tenon::coin_toss{7}));
  test::expect_ok(tenon::position_scores(test::over(shorter, heads, 10), tenon::coin_toss{7}));
  test::expect_ok(tenon::position_scores(test::over(other, heads, tokens), tenon::coin_toss{8}));
  for (index_t h = 0; h < heads; ++h) {
    double mean = 0, square = 0;
    for (index_t t = 0; t < tokens; ++t) {
      float const s = scores[std::size_t(h * tokens + t)];
      ASSERT_TRUE(s >= 0 && s < 1);
      mean += double(s) / double(tokens), square += double(s) * double(s) / double(tokens);
    }
    EXPECT_NEAR(mean, 0.5, 0.012);  // six deviations: 1 / sqrt(12 tokens) each
    EXPECT_NEAR(square - mean * mean, 1. / 12, 0.004);
    for (index_t t = 0; t < 10; ++t) EXPECT_EQ(shorter[std::size_t(h * 10 + t)], scores[std::size_t(h * tokens + t)]);
  }
  EXPECT_NE(scores, other);
  EXPECT_NE(std::vector<float>(scores.begin(), scores.begin() + tokens),
            std::vector<float>(scores.begin() + tokens, scores.begin() + 2 * tokens));
}

TEST(position_scores, names_what_is_wrong) {
  std::vector<float> scores(4);
  auto               view = test::over(scores, 2, 2);
  view.extent[1]          = (index_t{1} << 24) + 1;
  EXPECT_STREQ(tenon::position_scores(view, tenon::recency{}).subject, "tokens");
  view      = test::over(scores, 2, 2);
  view.data = nullptr;
  EXPECT_STREQ(tenon::position_scores(view, tenon::recency{}).subject, "scores");
}

}  // namespace
