#include <tenon/compress/awq.hpp>
#include <tenon/compress/gptq.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::awq_factors_options, tenon::dense, tenon::errc, tenon::index_t, tenon::quantized_weight,
    tenon::weight_code, tenon::weight_format;
using method  = tenon::weight_scale_method;
using weights = std::vector<tenon::tensor_view<float const, 2>>;
using test::expect_error, test::expect_ok;

constexpr weight_format int4(int group = 0, bool zero_points = false) {
  return {weight_code::int4, group, 1, zero_points};
}

std::vector<float> quantised(std::vector<float> const& w, index_t columns, weight_format format, method how) {
  quantized_weight q;
  expect_ok(tenon::quantize_weight(q, dense(w.data(), static_cast<index_t>(w.size()) / columns, columns), format,
                                   {.method = how}));
  return q.dequantized();
}

/// Squared error of the outputs on the rows x of quantised(w s, clipped or not) / s.
double error_on(std::vector<float> const& x, std::vector<float> const& w, std::vector<float> const& s, index_t columns,
                weight_format format, method how, tenon::gram_statistics const* clip_by = nullptr) {
  auto v = w;
  for (std::size_t i = 0; i < v.size(); ++i) v[i] *= s[i % s.size()];
  if (clip_by) {
    auto gram = *clip_by;
    expect_ok(tenon::scale_gram(gram, s));
    expect_ok(tenon::awq_clip(dense(v.data(), static_cast<index_t>(w.size()) / columns, columns), gram, format,
                              {.method = how}));
  }
  v = quantised(v, columns, format, how);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] /= s[i % s.size()];
  return test::squared_output_error(x, w, v, columns);
}

// Every r of the grid, with rows instead of a Gram matrix.
TEST(awq, factors_of_the_naive_search) {
  index_t const columns = 24, tokens = 60, group = 8;
  auto const    x = test::correlated(tokens, columns, 1);
  auto const    a = test::normal(6 * columns, 2), b = test::normal(10 * columns, 3, 0.1);
  auto const    gram = test::gram_of(x, columns);
  for (bool const duo : {false, true})
    for (auto const how : {method::absmax, method::searched}) {
      std::vector<double> x_mean(static_cast<std::size_t>(columns)), w_mean(x_mean);
      for (std::size_t i = 0; i < x.size(); ++i) x_mean[i % 24] += std::abs(static_cast<double>(x[i])) / tokens;
      for (auto const* w : {&a, &b})
        for (std::size_t i = 0; i < w->size(); ++i) {
          std::size_t const first = i / 8 * 8;
          double            most  = 0;
          for (std::size_t j = first; j < first + 8; ++j) most = std::max(most, std::abs(static_cast<double>((*w)[j])));
          w_mean[i % 24] += std::abs(static_cast<double>((*w)[i])) / most / 16;
        }
      std::vector<float> best(static_cast<std::size_t>(columns), 1.f);
      auto const         error = [&](std::vector<float> const& s) {
        return error_on(x, a, s, columns, int4(group), how) + error_on(x, b, s, columns, int4(group), how);
      };
      double least = error(best), nearest = least;
      for (int i = 0; i < 20; ++i) {
        double const        r = i / 20.;
        std::vector<double> s;
        for (std::size_t j = 0; j < 24; ++j)
          s.push_back(std::pow(x_mean[j], r) / (duo ? std::pow(w_mean[j], 1 - r) + 1e-4 : 1));
        double const middle = std::sqrt(*std::max_element(s.begin(), s.end()) * *std::min_element(s.begin(), s.end()));
        std::vector<float> f;
        for (double const v : s) f.push_back(static_cast<float>(v / middle));
        if (double const e = error(f); e < least) least = e, best = f;
      }
      std::vector<float> s;
      tenon::awq_report  report;
      expect_ok(tenon::awq_factors(s, weights{dense(a.data(), 6, columns), dense(b.data(), 10, columns)}, gram,
                                   int4(group), {.method = how, .duo_scaling = duo}, &report));
      ASSERT_EQ(s.size(), best.size());
      for (std::size_t j = 0; j < s.size(); ++j) EXPECT_NEAR(s[j], best[j], 1e-5f * best[j]);
      EXPECT_NEAR(report.nearest_error, nearest, 1e-5 * nearest);
      EXPECT_NEAR(report.error, least, 1e-5 * nearest);
      auto const [low, high] = std::minmax_element(s.begin(), s.end());
      EXPECT_NEAR(*low * *high, 1, 1e-5);
    }
}

// The clip of each row and group, tried one by one on rows.
TEST(awq, clip_of_the_naive_search) {
  index_t const columns = 20, rows = 6, tokens = 80, group = 8;
  auto const    x = test::correlated(tokens, columns, 4);
  auto          w = test::normal(rows * columns, 5);
  for (std::size_t i = 0; i < w.size(); i += 7) w[i] *= 3;
  auto const gram = test::gram_of(x, columns);
  for (auto const how : {method::absmax, method::searched})
    for (bool const zero_points : {false, true}) {
      auto    expected = w;
      index_t count    = 0;
      for (index_t i = 0; i < rows; ++i)
        for (index_t first = 0; first < columns; first += group) {
          index_t const      width = std::min(group, columns - first);
          std::vector<float> part(static_cast<std::size_t>(width)), xs;
          for (index_t j = 0; j < width; ++j)
            part[static_cast<std::size_t>(j)] = w[static_cast<std::size_t>(i * columns + first + j)];
          for (index_t t = 0; t < tokens; ++t)
            for (index_t j = 0; j < width; ++j) xs.push_back(x[static_cast<std::size_t>(t * columns + first + j)]);
          float most = 0;
          for (float const v : part) most = std::max(most, std::abs(v));
          double best = std::numeric_limits<double>::infinity();
          float  size = most;
          for (int step = 0; step < 10; ++step) {
            auto const limit = static_cast<float>(static_cast<double>(most) * (1 - step / 20.));
            auto       v     = part;
            for (auto& e : v) e = std::clamp(e, -limit, limit);
            double const error =
                test::squared_output_error(xs, part, quantised(v, width, int4(0, zero_points), how), width);
            if (error < best * (1 - 1e-9)) best = error, size = limit;
          }
          count += size < most;
          for (index_t j = 0; j < width; ++j) {
            float& v = expected[static_cast<std::size_t>(i * columns + first + j)];
            v        = std::clamp(v, -size, size);
          }
        }
      auto    clipped = w;
      index_t shrunk  = 0;
      expect_ok(tenon::awq_clip(dense(clipped.data(), rows, columns), gram, int4(group, zero_points), {.method = how},
                                &shrunk));
      EXPECT_EQ(clipped, expected);
      EXPECT_EQ(shrunk, count);
      EXPECT_GT(count, 0);
    }
}

// On rows that were not seen: AWQ with clipping before AWQ before rounding to nearest, and GPTQ before all.
TEST(awq, beats_rounding_to_nearest) {
  index_t const            columns = 96, rows = 48, seen = 1200, fresh = 300;
  auto const               all    = test::correlated(seen + fresh, columns, 6);
  auto const               middle = all.begin() + static_cast<std::ptrdiff_t>(seen * columns);
  std::vector<float> const x(all.begin(), middle), other(middle, all.end());
  auto const               gram = test::gram_of(x, columns);
  auto const               w    = test::normal(rows * columns, 7, 0.02);
  for (auto const& format : {int4(32), int4(32, true), int4()})
    for (auto const how : {method::absmax, method::searched}) {
      std::vector<float> const one(static_cast<std::size_t>(columns), 1.f);
      std::vector<float>       s;
      expect_ok(tenon::awq_factors(s, weights{dense(w.data(), rows, columns)}, gram, format, {.method = how}));
      double const nearest = error_on(other, w, one, columns, format, how),
                   scaled  = error_on(other, w, s, columns, format, how),
                   clipped = error_on(other, w, s, columns, format, how, &gram);
      quantized_weight q;
      expect_ok(tenon::gptq(q, dense(w.data(), rows, columns), gram, format, {.method = how}));
      double const      gptq = test::squared_output_error(other, w, q.dequantized(), columns);
      std::string const name = std::string(format.zero_points ? "zero_" : "") + std::to_string(format.group) +
                               (how == method::absmax ? "_absmax" : "_searched");
      RecordProperty("scaled_" + name, std::to_string(scaled / nearest));
      RecordProperty("clipped_" + name, std::to_string(clipped / nearest));
      RecordProperty("gptq_" + name, std::to_string(gptq / nearest));
      EXPECT_LT(scaled, 0.9 * nearest) << name;
      EXPECT_LT(clipped, scaled) << name;
      EXPECT_LT(gptq, clipped) << name;
    }
}

// Inputs of one size and weights of one kind: nothing to scale, and it is not made worse.
TEST(awq, never_worse_than_factors_of_one) {
  index_t const      columns = 16, rows = 4;
  std::vector<float> x(static_cast<std::size_t>(columns * columns));
  for (index_t j = 0; j < columns; ++j) x[static_cast<std::size_t>(j * columns + j)] = 1;
  std::vector<float> const w(static_cast<std::size_t>(rows * columns), 0.7f);
  std::vector<float>       s;
  tenon::awq_report        report;
  expect_ok(
      tenon::awq_factors(s, weights{dense(w.data(), rows, columns)}, test::gram_of(x, columns), int4(8), {}, &report));
  EXPECT_EQ(s, std::vector<float>(16, 1.f));
  EXPECT_EQ(report.ratio, -1);
  EXPECT_LE(report.error, report.nearest_error);
}

TEST(awq, dead_inputs_and_extremes) {
  index_t const columns = 8, rows = 3, tokens = 40;
  auto          x = test::correlated(tokens, columns, 8);
  for (index_t t = 0; t < tokens; ++t) {
    x[static_cast<std::size_t>(t * columns + 2)] = 0;
    x[static_cast<std::size_t>(t * columns + 5)] *= 1e20f;
  }
  auto               w = test::normal(rows * columns, 9);
  std::vector<float> s;
  for (index_t i = 0; i < rows; ++i) w[static_cast<std::size_t>(i * columns + 6)] = 0;  // nobody reads this one
  expect_ok(tenon::awq_factors(s, weights{dense(w.data(), rows, columns)}, test::gram_of(x, columns), int4(4)));
  EXPECT_EQ(s[6], s[2]);
  for (float const v : s) {
    EXPECT_GE(v, 1e-4f);
    EXPECT_LE(v, 1e4f);
  }
  EXPECT_EQ(s[2], *std::min_element(s.begin(), s.end()));
  std::vector<float> const zeros(x.size());
  expect_ok(tenon::awq_factors(s, weights{dense(w.data(), rows, columns)}, test::gram_of(zeros, columns), int4(4)));
  EXPECT_EQ(s, std::vector<float>(8, 1.f));
  expect_ok(tenon::awq_factors(s, {}, test::gram_of(x, columns), int4(4)));  // nobody reads the inputs
  EXPECT_EQ(s, std::vector<float>(8, 1.f));
}

// Two value heads of four columns, each read by two query heads.
TEST(awq, tied_columns_share_a_factor) {
  index_t const        columns = 16, rows = 10, tokens = 60;
  auto const           x    = test::correlated(tokens, columns, 13);
  auto const           w    = test::normal(rows * columns, 14);
  auto const           gram = test::gram_of(x, columns);
  std::vector<index_t> tied, own;
  for (index_t j = 0; j < columns; ++j) tied.push_back(j / 8 * 4 + j % 4), own.push_back(j);
  std::vector<double> mean(static_cast<std::size_t>(columns));  // of |x| over a number's columns
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < 16; ++j)
      if (tied[j] == tied[i % 16]) mean[j] += std::abs(static_cast<double>(x[i])) / tokens / 2;
  auto const factors = [&](std::vector<index_t> const& ties, tenon::awq_report* report = nullptr) {
    std::vector<float> s;
    expect_ok(tenon::awq_factors(s, weights{dense(w.data(), rows, columns)}, gram, int4(8),
                                 {.duo_scaling = false, .tied = ties}, report));
    return s;
  };
  EXPECT_EQ(factors(own), factors({}));
  tenon::awq_report report;
  auto const        s = factors(tied, &report);
  ASSERT_GT(report.ratio, 0);
  auto const [low, high] = std::minmax_element(mean.begin(), mean.end());
  double best            = std::numeric_limits<double>::infinity();
  for (int step = 0; step < 20; ++step) {
    double const       r = step / 20.;
    std::vector<float> f;
    for (double const m : mean)
      f.push_back(static_cast<float>(std::pow(m, r) / std::sqrt(std::pow(*low, r) * std::pow(*high, r))));
    double const e = error_on(x, w, f, columns, int4(8), method::searched);
    best           = std::min(best, e);
    if (r == report.ratio) {
      EXPECT_NEAR(report.error, e, 1e-5 * report.nearest_error);
      for (std::size_t j = 0; j < 16; ++j) EXPECT_NEAR(s[j], f[j], 1e-5f * f[j]);
    }
  }
  EXPECT_NEAR(report.error, best, 1e-5 * report.nearest_error);
  for (std::size_t j = 0; j < 16; ++j) EXPECT_EQ(s[j], s[j ^ 4]) << "the other head of the group";
}

TEST(awq, gram_of_scaled_inputs) {
  index_t const            columns = 6, tokens = 50;
  auto const               x = test::correlated(tokens, columns, 10);
  std::vector<float> const s{0.5f, 2, 4, 1, 0.25f, 8};
  auto                     y = x;
  for (std::size_t i = 0; i < y.size(); ++i) y[i] /= s[i % 6];
  auto       gram = test::gram_of(x, columns);
  auto const same = test::gram_of(y, columns);
  expect_ok(tenon::scale_gram(gram, s));
  EXPECT_EQ(gram.upper, same.upper);  // powers of two
  EXPECT_EQ(gram.sum, same.sum);
  EXPECT_EQ(gram.sum_abs, same.sum_abs);
  EXPECT_EQ(gram.absmax, same.absmax);
  expect_error(tenon::scale_gram(gram, {1, 2}), errc::shape_mismatch, "columns", 2, 6);
  expect_error(tenon::scale_gram(gram, {1, 2, 3, 0, 5, 6}), errc::out_of_range, "s", 3, 0);
  EXPECT_EQ(gram.upper, same.upper);
}

TEST(awq, refuses) {
  index_t const      columns = 8, rows = 3;
  auto const         gram = test::gram_of(test::normal(40 * columns, 11), columns);
  auto               w    = test::normal(rows * columns, 12);
  auto const         view = dense(static_cast<float const*>(w.data()), rows, columns);
  std::vector<float> s{42};
  auto const         factors = [&](weight_format f, awq_factors_options const& o = {}) {
    return tenon::awq_factors(s, weights{view}, gram, f, o);
  };
  auto const clip = [&](weight_format f, tenon::awq_clip_options const& o = {}) {
    return tenon::awq_clip(dense(w.data(), rows, columns), gram, f, o);
  };
  auto const before = w;
  for (bool const first : {true, false}) {
    auto const call = [&](weight_format f) { return first ? factors(f) : clip(f); };
    expect_error(call({weight_code::fp8}), errc::unsupported, "code", 0, 0);
    expect_error(call({weight_code::int8, 0, 4}), errc::unsupported, "block_rows", 4, 1);
    expect_error(call(int4(-2)), errc::out_of_range, "group", -2, 0);
    expect_error(call({weight_code::int8, 0, 1, true}), errc::unsupported, "zero_points", 0, 0);
  }
  expect_error(factors(int4(), {.steps = 0}), errc::out_of_range, "steps", 0, 20);
  std::vector<index_t> const few{0, 1}, wild{0, 1, 2, 3, 4, 8, 6, 7};
  expect_error(factors(int4(), {.tied = few}), errc::shape_mismatch, "tied", 2, 8);
  expect_error(factors(int4(), {.tied = wild}), errc::out_of_range, "tied", 5, 8);
  expect_error(clip(int4(), {.steps = 1001}), errc::out_of_range, "steps", 1001, 10);
  expect_error(clip(int4(), {.smallest = 1}), errc::out_of_range, "smallest", 0, 0);
  auto const none = test::gram_of({}, columns);
  expect_error(tenon::awq_factors(s, weights{view}, none, int4()), errc::out_of_range, "rows", 0, 1);
  expect_error(tenon::awq_clip(dense(w.data(), rows, columns), none, int4()), errc::out_of_range, "rows", 0, 1);
  expect_error(tenon::awq_factors(s, weights{view, dense(static_cast<float const*>(w.data()), 2, 6)}, gram, int4()),
               errc::shape_mismatch, "columns", 6, 8);
  EXPECT_EQ(w, before);
  w[9] = std::numeric_limits<float>::quiet_NaN();
  expect_error(factors(int4()), errc::out_of_range, "weights", 0, 0);
  expect_error(clip(int4()), errc::out_of_range, "w", 1, 1);
  EXPECT_EQ(s, std::vector<float>{42});
}

}  // namespace
