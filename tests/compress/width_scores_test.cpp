#include <tenon/compress/least_squares.hpp>
#include <tenon/compress/width_scores.hpp>
#include <tenon/core/numeric.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

using tenon::dense, tenon::errc, tenon::index_t, tenon::width_score;
using test::expect_error, test::expect_ok;

constexpr width_score all_scores[] = {width_score::flap, width_score::wanda, width_score::mean_abs,
                                      width_score::weight_norm};

std::vector<double> scores_of(std::vector<float> const& w, tenon::gram_statistics const& gram, width_score method,
                              index_t unit = 1) {
  std::vector<double> scores;
  expect_ok(tenon::width_scores(scores, dense(w.data(), static_cast<index_t>(w.size()) / gram.columns, gram.columns),
                                gram, method, unit));
  return scores;
}

std::vector<index_t> survivors(std::vector<double> const& scores, index_t count) {
  std::vector<index_t> kept;
  expect_ok(tenon::choose_survivors(kept, scores, count));
  return kept;
}

TEST(width_scores, formulas) {
  index_t const columns = 12, rows = 7, tokens = 90;
  auto const    x = test::correlated(tokens, columns, 1), w = test::normal(rows * columns, 2);
  auto const    gram = test::gram_of(x, columns);
  for (index_t const unit : {1, 3, 12})
    for (auto const method : all_scores) {
      std::vector<double> expected(static_cast<std::size_t>(columns / unit));
      for (index_t j = 0; j < columns; ++j) {
        double norm = 0, mean = 0, variance = 0, square = 0, magnitude = 0;
        for (index_t i = 0; i < rows; ++i)
          norm += std::pow(static_cast<double>(w[static_cast<std::size_t>(i * columns + j)]), 2);
        auto const at = [&](index_t t) { return static_cast<double>(x[static_cast<std::size_t>(t * columns + j)]); };
        for (index_t t = 0; t < tokens; ++t)
          mean += at(t) / tokens, square += at(t) * at(t) / tokens, magnitude += std::abs(at(t)) / tokens;
        for (index_t t = 0; t < tokens; ++t) variance += (at(t) - mean) * (at(t) - mean) / tokens;
        double const score = method == width_score::flap       ? variance * norm
                             : method == width_score::wanda    ? square * norm
                             : method == width_score::mean_abs ? magnitude
                                                               : norm;
        expected[static_cast<std::size_t>(j / unit)] += score / static_cast<double>(unit);
      }
      if (method == width_score::flap) {
        double     mean = 0, spread = 0;
        auto const n = static_cast<double>(expected.size());
        for (double const v : expected) mean += v / n;
        for (double const v : expected) spread += (v - mean) * (v - mean) / n;
        for (double& v : expected) v = spread > 0 ? (v - mean) / std::sqrt(spread) : 0;
      }
      auto const scores = scores_of(w, gram, method, unit);
      ASSERT_EQ(scores.size(), expected.size());
      for (std::size_t i = 0; i < scores.size(); ++i)
        EXPECT_NEAR(scores[i], expected[i], 1e-9 * (1 + std::abs(expected[i])));
    }
}

TEST(width_scores, survivors) {
  EXPECT_EQ(survivors({3, 1, 2, 5}, 2), (std::vector<index_t>{0, 3}));
  EXPECT_EQ(survivors({1, 1, 1, 1}, 2), (std::vector<index_t>{0, 1}));
  EXPECT_EQ(survivors({-1, -std::numeric_limits<double>::infinity(), -2}, 2), (std::vector<index_t>{0, 2}));
  EXPECT_EQ(survivors({4, 5}, 2), (std::vector<index_t>{0, 1}));
  EXPECT_TRUE(survivors({4, 5}, 0).empty());
  EXPECT_TRUE(survivors({}, 0).empty());
  EXPECT_EQ(tenon::columns_of_units({0, 2}, 3), (std::vector<index_t>{0, 1, 2, 6, 7, 8}));
  std::vector<index_t> kept{9};
  expect_error(tenon::choose_survivors(kept, {1, 2}, 3), errc::out_of_range, "count", 3, 2);
  expect_error(tenon::choose_survivors(kept, {1, 2}, -1), errc::out_of_range, "count", -1, 2);
  expect_error(tenon::choose_survivors(kept, {1, std::numeric_limits<double>::quiet_NaN()}, 1), errc::out_of_range,
               "scores", 1, 2);
  EXPECT_EQ(kept, (std::vector<index_t>{9}));
}

/// Error of the outputs with inputs deleted, over that of all zeros; after a refit, too.
struct cut_error {
  double plain, moved, refitted;
};
cut_error cut(std::vector<float> const& w, tenon::gram_statistics const& gram, std::vector<index_t> const& kept) {
  index_t const columns = gram.columns, rows = static_cast<index_t>(w.size()) / columns,
                k = static_cast<index_t>(kept.size());
  std::vector<float>  out(static_cast<std::size_t>(rows * k)), bias(static_cast<std::size_t>(rows));
  tenon::refit_report moved, refitted;
  auto const          call = [&](tenon::tensor_view<float, 1> b, bool fit, tenon::refit_report& report) {
    expect_ok(tenon::refit_survivors(dense(out.data(), rows, k), b, dense(w.data(), rows, columns), gram, kept,
                                              {.fit = fit}, &report));
  };
  call(dense(bias.data(), rows), false, moved);
  call({}, true, refitted);
  std::vector<double> all(w.begin(), w.end());
  double const        size = tenon::output_error(gram, all);
  return {moved.before / size, moved.after / size, refitted.after / size};
}

// Scores against chance: neurons of an MLP, most of which say little, some of which say the same all the time.
TEST(width_scores, better_than_chance) {
  index_t const columns = 64, rows = 32, tokens = 1500, count = 48;
  auto          x = test::correlated(tokens, columns, 3);
  for (index_t t = 0; t < tokens; ++t)
    for (index_t j = 0; j < columns; j += 8)
      x[static_cast<std::size_t>(t * columns + j)] = 2 + 0.1f * x[static_cast<std::size_t>(t * columns + j)];
  auto w = test::normal(rows * columns, 4);
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j) w[static_cast<std::size_t>(i * columns + j)] *= j % 3 == 0 ? 0.5f : 1.5f;
  auto const gram = test::gram_of(x, columns);

  cut_error       chance{};
  std::mt19937_64 engine(5);
  constexpr int   draws = 20;
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<double> random(static_cast<std::size_t>(columns));
    for (auto& v : random) v = static_cast<double>(engine() >> 11);
    auto const e = cut(w, gram, survivors(random, count));
    chance.plain += e.plain / draws, chance.moved += e.moved / draws, chance.refitted += e.refitted / draws;
  }
  cut_error   by[4];
  char const* names[] = {"flap", "wanda", "mean_abs", "weight_norm"};
  auto const  record  = [](std::string const& name, cut_error const& e) {
    RecordProperty(name + "_plain", std::to_string(e.plain));
    RecordProperty(name + "_moved", std::to_string(e.moved));
    RecordProperty(name + "_refitted", std::to_string(e.refitted));
  };
  record("chance", chance);
  for (int m = 0; m < 4; ++m)
    record(names[m], by[m] = cut(w, gram, survivors(scores_of(w, gram, all_scores[m]), count)));
  for (int m = 0; m < 3; ++m) {
    EXPECT_LT(by[m].plain, 0.5 * chance.plain) << names[m];
    EXPECT_LT(by[m].refitted, by[m].plain) << names[m];
  }
  EXPECT_LT(by[0].moved, by[1].moved);       // constants cost FLAP nothing, as they go into the bias
  EXPECT_LT(by[1].plain, by[0].plain);       // without one they do
  EXPECT_LT(by[1].plain, by[3].plain);       // weights alone know less
  EXPECT_LT(chance.refitted, chance.plain);  // a refit helps any choice
}

TEST(width_scores, refuses) {
  index_t const       columns = 6, rows = 2;
  auto const          gram = test::gram_of(test::normal(30 * columns, 6), columns);
  auto                w    = test::normal(rows * columns, 7);
  std::vector<double> scores{42};
  auto const          view = dense(w.data(), rows, columns);
  expect_error(tenon::width_scores(scores, view, gram, width_score::flap, 0), errc::out_of_range, "unit", 0, 1);
  expect_error(tenon::width_scores(scores, view, gram, width_score::flap, 4), errc::shape_mismatch, "unit", 6, 4);
  expect_error(tenon::width_scores(scores, dense(w.data(), rows, 5), gram, width_score::flap), errc::shape_mismatch,
               "columns", 6, 5);
  auto const none = test::gram_of({}, columns);
  expect_error(tenon::width_scores(scores, view, none, width_score::wanda), errc::out_of_range, "rows", 0, 1);
  EXPECT_EQ(scores, std::vector<double>{42});
  expect_ok(tenon::width_scores(scores, view, none, width_score::weight_norm));
  EXPECT_EQ(scores.size(), 6u);
  w[8] = std::numeric_limits<float>::infinity();
  expect_error(tenon::width_scores(scores, view, gram, width_score::flap), errc::out_of_range, "w", 1, 2);

  // All alike: no deviation to divide by.
  std::vector<float> const same(12, 1.f);
  for (double const v : scores_of({1, 1, 1}, test::gram_of(same, 3), width_score::flap)) EXPECT_EQ(v, 0);
}

}  // namespace
