#include <tenon/kv/kv_budgets.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "../support/expect_status.hpp"

namespace {

using tenon::budget_bounds, tenon::errc, tenon::index_t;

index_t sum(std::vector<index_t> const& v) { return std::accumulate(v.begin(), v.end(), index_t{0}); }

/// What each part gets above `least` if tokens could be cut: weight times the factor that gives the total, found by
/// bisection.
std::vector<double> shares_by_bisection(index_t above, std::vector<double> const& weights, double place) {
  std::vector<double> share(weights.size());
  double              low = 0, high = 1e12;
  for (int step = 0; step < 200; ++step) {
    double const factor = (low + high) / 2;
    double       total  = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) total += share[i] = std::fmin(factor * weights[i], place);
    (total < double(above) ? low : high) = factor;
  }
  return share;
}

TEST(kv_budgets, are_proportional_within_their_bounds) {
  std::mt19937_64                  random(1);
  std::uniform_real_distribution<> uniform(0.01, 1);
  for (int run = 0; run < 300; ++run) {
    auto const          parts = 1 + index_t(random() % 9);
    budget_bounds const bounds{index_t(random() % 7), 7 + index_t(random() % 60)};
    std::vector<double> weights(static_cast<std::size_t>(parts));
    for (double& w : weights) w = std::pow(uniform(random), 3);
    index_t const place = bounds.most - bounds.least, above = index_t(random() % std::uint64_t(parts * place + 1));
    std::vector<index_t> budgets;
    test::expect_ok(tenon::budgets_by_weight(budgets, parts * bounds.least + above, weights, bounds));
    ASSERT_EQ(std::ssize(budgets), parts);
    EXPECT_EQ(sum(budgets), parts * bounds.least + above);
    auto const want = shares_by_bisection(above, weights, double(place));
    for (std::size_t i = 0; i < budgets.size(); ++i) {
      EXPECT_GE(budgets[i], bounds.least);
      EXPECT_LE(budgets[i], bounds.most);
      EXPECT_LT(std::fabs(double(budgets[i] - bounds.least) - want[i]), 1 + 1e-6) << "run " << run << ", part " << i;
    }
  }
}

TEST(kv_budgets, give_the_rest_to_the_largest_remainders_and_then_to_the_first) {
  std::vector<index_t> budgets;
  test::expect_ok(tenon::uniform_budgets(budgets, 4, 10, {0, 100}));
  EXPECT_EQ(budgets, (std::vector<index_t>{3, 3, 2, 2}));
  std::vector<double> const weights{1, 1, 2};  // of 7: 1.75, 1.75, 3.5
  test::expect_ok(tenon::budgets_by_weight(budgets, 7, weights, {0, 100}));
  EXPECT_EQ(budgets, (std::vector<index_t>{2, 2, 3}));
  std::vector<double> const steep{8, 1, 1};  // the first is full at 4, the others share 2
  test::expect_ok(tenon::budgets_by_weight(budgets, 6, steep, {0, 4}));
  EXPECT_EQ(budgets, (std::vector<index_t>{4, 1, 1}));
  std::vector<double> const one{5, 0, 0};  // what the first cannot take goes to those without a weight
  test::expect_ok(tenon::budgets_by_weight(budgets, 9, one, {1, 4}));
  EXPECT_EQ(budgets, (std::vector<index_t>{4, 3, 2}));
}

TEST(kv_budgets, of_a_pyramid_fall_by_equal_steps) {
  // 5 layers, 100 tokens each on average, beta 20: from 195 to 5 by 47.5.
  std::vector<index_t> budgets;
  test::expect_ok(tenon::pyramid_budgets(budgets, 5, 500, {0, 1000}));
  EXPECT_EQ(budgets, (std::vector<index_t>{195, 148, 100, 52, 5}));  // 147.5 and 52.5: the first is rounded up
  // With 36 that are always kept the pyramid is what stands above them.
  test::expect_ok(tenon::pyramid_budgets(budgets, 5, 500 + 5 * 36, {36, 1000}));
  EXPECT_EQ(budgets, (std::vector<index_t>{231, 184, 136, 88, 41}));
  // Not more than there is: what is cut off goes to the others.
  test::expect_ok(tenon::pyramid_budgets(budgets, 5, 500, {0, 120}));
  EXPECT_EQ(sum(budgets), 500);
  EXPECT_EQ(budgets[0], 120);
  EXPECT_EQ(budgets[3], 120);
  EXPECT_LT(budgets[4], budgets[3]);
  test::expect_ok(tenon::pyramid_budgets(budgets, 3, 100, {0, 100}, 1));
  EXPECT_EQ(budgets, (std::vector<index_t>{34, 33, 33}));
  test::expect_ok(tenon::pyramid_budgets(budgets, 1, 77, {0, 100}));
  EXPECT_EQ(budgets, (std::vector<index_t>{77}));
}

TEST(kv_budgets, of_nobody_are_none) {
  std::vector<index_t> budgets{1};
  test::expect_ok(tenon::uniform_budgets(budgets, 0, 0, {0, 10}));
  EXPECT_TRUE(budgets.empty());
}

TEST(kv_budgets, end_with_weights_of_any_size) {
  std::vector<index_t>      budgets;
  std::vector<double> const weights{1e308, 1e308, 1e-308};
  test::expect_ok(tenon::budgets_by_weight(budgets, index_t{1} << 40, weights, {0, index_t{1} << 40}));
  EXPECT_EQ(budgets, (std::vector<index_t>{index_t{1} << 39, index_t{1} << 39, 0}));
}

TEST(kv_budgets_contract, names_what_is_wrong_and_changes_nothing) {
  std::vector<index_t>       budgets{42};
  std::vector<index_t> const before = budgets;
  auto const                 is     = [&](tenon::status const& s, char const* subject, index_t got, index_t want) {
    EXPECT_EQ(s.code, errc::out_of_range) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_EQ(s.got, got) << subject;
    EXPECT_EQ(s.want, want) << subject;
    EXPECT_EQ(budgets, before);
  };
  std::vector<double> const good{1, 1}, negative{1, -1}, nan{std::nan(""), 1};
  is(tenon::budgets_by_weight(budgets, 3, good, {2, 8}), "total", 3, 4);
  is(tenon::budgets_by_weight(budgets, 17, good, {2, 8}), "total", 17, 16);
  is(tenon::budgets_by_weight(budgets, 8, negative, {2, 8}), "weights", 1, 2);
  is(tenon::budgets_by_weight(budgets, 8, nan, {2, 8}), "weights", 0, 2);
  is(tenon::budgets_by_weight(budgets, 8, good, {-1, 8}), "least", -1, 0);
  is(tenon::budgets_by_weight(budgets, 8, good, {9, 8}), "most", 8, 9);
  is(tenon::pyramid_budgets(budgets, 2, 8, {0, 8}, 0.5), "beta", 0, 1);
  is(tenon::uniform_budgets(budgets, -1, 8, {0, 8}), "layers", -1, 0);
}

}  // namespace
