#include <tenon/precision/logits_error.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace {

using tenon::errc, tenon::logits_error;
using numbers = std::vector<float>;

TEST(logits_error, of_the_same_is_nothing) {
  logits_error e;
  ASSERT_TRUE(e.add(numbers{1, 2, 3}, numbers{1, 2, 3}, 0).ok());
  ASSERT_TRUE(e.add(numbers{1, 2, 3}, numbers{11, 12, 13}, 1).ok());  // a shift of all changes nothing
  EXPECT_EQ(e.count(), 2);
  EXPECT_NEAR(e.mean_kl(), 0, 1e-15);
  EXPECT_EQ(e.top1_agreement(), 1);
  EXPECT_NEAR(e.nll_difference(), 0, 1e-15);
  EXPECT_NEAR(e.rms_delta_p(), 0, 1e-15);
  EXPECT_EQ(logits_error().mean_kl(), 0);
  EXPECT_EQ(logits_error().kl_quantile(1), 0);
}

// p = (1/2, 1/2), q = (3/4, 1/4).
TEST(logits_error, has_the_figures_of_a_sum_by_hand) {
  logits_error e;
  ASSERT_TRUE(e.add(numbers{0, 0}, numbers{std::log(3.f), 0}, 1).ok());
  double const kl = .5 * std::log(.5 / .75) + .5 * std::log(.5 / .25);
  EXPECT_NEAR(e.mean_kl(), kl, 1e-7);
  EXPECT_NEAR(e.kl_quantile(.99), kl, 1e-7);
  EXPECT_NEAR(e.nll_difference(), std::log(2.), 1e-6);
  EXPECT_NEAR(e.rms_delta_p(), .25, 1e-7);
  EXPECT_EQ(e.top1_agreement(), 1) << "of equals the first";
  EXPECT_EQ(e.kl_standard_error(), 0) << "of one position";
}

TEST(logits_error, tells_near_ties_from_changes) {
  logits_error e;
  ASSERT_TRUE(e.add(numbers{1, .97f, 0}, numbers{.97f, 1, 0}).ok());
  EXPECT_EQ(e.near_ties(), 1);
  ASSERT_TRUE(e.add(numbers{1, .9f, 0}, numbers{.9f, 1, 0}).ok());
  EXPECT_EQ(e.near_ties(), 1);
  EXPECT_EQ(e.top1_agreement(), 0);
  EXPECT_EQ(e.top1_agreement_but_ties(), .5);
}

TEST(logits_error, standard_errors_are_those_of_the_mean) {
  std::mt19937                    random(1);
  std::normal_distribution<float> normal;
  logits_error                    e;
  std::vector<double>             kl, loss;
  for (int i = 0; i < 50; ++i) {
    numbers x(7), y(7);
    for (std::size_t j = 0; j < x.size(); ++j) x[j] = normal(random), y[j] = x[j] + .3f * normal(random);
    logits_error one;
    ASSERT_TRUE(one.add(x, y, 2).ok());
    ASSERT_TRUE(e.add(x, y, 2).ok());
    kl.push_back(one.mean_kl()), loss.push_back(one.nll_difference());
  }
  auto const error_of = [](std::vector<double> const& v) {
    double mean = 0, squares = 0;
    for (double const x : v) mean += x / static_cast<double>(v.size());
    for (double const x : v) squares += (x - mean) * (x - mean);
    return std::sqrt(squares / static_cast<double>(v.size() - 1) / static_cast<double>(v.size()));
  };
  EXPECT_NEAR(e.kl_standard_error(), error_of(kl), 1e-9);
  EXPECT_NEAR(e.nll_standard_error(), error_of(loss), 1e-9);
  std::sort(kl.begin(), kl.end());
  EXPECT_NEAR(e.kl_quantile(.5), kl[24], 1e-7);
  EXPECT_NEAR(e.kl_quantile(1), kl.back(), 1e-7);
  EXPECT_NEAR(e.kl_quantile(0), kl.front(), 1e-7);
}

TEST(logits_error, counts_what_is_not_finite_apart) {
  logits_error e;
  ASSERT_TRUE(e.add(numbers{1, 2}, numbers{1, NAN}).ok());
  ASSERT_TRUE(e.add(numbers{1, -INFINITY}, numbers{1, 2}).ok());
  EXPECT_EQ(e.broken(), 2);
  EXPECT_EQ(e.count(), 0);
}

TEST(logits_error, refuses_what_does_not_fit) {
  logits_error e;
  EXPECT_EQ(e.add(numbers{1, 2}, numbers{1}).code, errc::shape_mismatch);
  EXPECT_EQ(e.add(numbers{}, numbers{}).code, errc::shape_mismatch);
  EXPECT_EQ(e.add(numbers{1, 2}, numbers{1, 2}, 2).code, errc::out_of_range);
  EXPECT_EQ(e.add(numbers{1, 2}, numbers{1, 2}, -2).code, errc::out_of_range);
  EXPECT_EQ(e.count(), 0);
}

}  // namespace
