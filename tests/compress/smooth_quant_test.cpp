#include <tenon/compress/smooth_quant.hpp>
#include <tenon/core/numeric.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using tenon::dense, tenon::errc, tenon::index_t;
using test::expect_error, test::expect_ok;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> factors(std::vector<float> const& x, std::vector<float> const& w,
                           tenon::smooth_quant_options const& options = {}) {
  std::vector<float> s(x.size());
  auto const         n = static_cast<index_t>(x.size());
  expect_ok(tenon::smooth_quant_factors(dense(s.data(), n), dense(x.data(), n), dense(w.data(), n), options));
  return s;
}

TEST(smooth_quant, formula) {
  std::vector<float> x = test::normal(40, 1), w = test::normal(40, 2);
  for (auto* v : {&x, &w})
    for (auto& e : *v) e = std::abs(e) + 0.01f;
  for (double const alpha : {0., 0.25, 0.5, 0.8, 1.}) {
    auto const s = factors(x, w, {.alpha = alpha});
    for (std::size_t j = 0; j < s.size(); ++j) {
      double const log =
          alpha * std::log(static_cast<double>(x[j])) - (1 - alpha) * std::log(static_cast<double>(w[j]));
      EXPECT_NEAR(static_cast<double>(s[j]), std::exp(log), 1e-6 * std::exp(log));
    }
  }
  EXPECT_EQ(factors({16, 0, 4, 0, 1e30f, 1e-30f}, {4, 2, 0, 0, 1e-30f, 1e30f}),
            (std::vector<float>{2, 1, 1, 1, 1e5f, 1e-5f}));
  EXPECT_EQ(factors({16, 1}, {1, 16}, {.lowest = 0.5, .highest = 2}), (std::vector<float>{2, 0.5}));
  EXPECT_TRUE(factors({}, {}).empty());
}

TEST(smooth_quant, largest_of_all_readers) {
  index_t const            columns = 9;
  auto const               a = test::normal(5 * columns, 3), b = test::normal(7 * columns, 4);
  std::vector<tenon::bf16> narrow(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) narrow[i] = tenon::bf16(b[i]);
  std::vector<float> out(static_cast<std::size_t>(columns));
  expect_ok(tenon::column_absmax(dense(out.data(), columns), dense(a.data(), 5, columns)));
  expect_ok(tenon::column_absmax(dense(out.data(), columns), dense(narrow.data(), 7, columns)));
  for (index_t j = 0; j < columns; ++j) {
    float most = 0;
    for (index_t i = 0; i < 5; ++i) most = std::max(most, std::abs(a[static_cast<std::size_t>(i * columns + j)]));
    for (index_t i = 0; i < 7; ++i)
      most = std::max(most, std::abs(static_cast<float>(narrow[static_cast<std::size_t>(i * columns + j)])));
    EXPECT_EQ(out[static_cast<std::size_t>(j)], most);
  }
  auto       bad    = a;
  auto const before = out;
  bad[11]           = nan;
  expect_error(tenon::column_absmax(dense(out.data(), columns), dense(bad.data(), 5, columns)), errc::out_of_range, "w",
               1, 2);
  expect_error(tenon::column_absmax(dense(out.data(), 8), dense(a.data(), 5, columns)), errc::shape_mismatch, "columns",
               9, 8);
  EXPECT_EQ(out, before);
}

/// Squared error of y = x w' with one int8 scale for all of x and one per row of w.
double int8_error(std::vector<float> const& x, std::vector<float> const& w, index_t columns) {
  auto const rounded = [](std::vector<float> v, std::size_t run) {
    for (std::size_t at = 0; at < v.size(); at += run) {
      float most = 0;
      for (std::size_t i = at; i < at + run; ++i) most = std::max(most, std::abs(v[i]));
      for (std::size_t i = at; i < at + run; ++i) v[i] = std::nearbyint(v[i] / (most / 127)) * (most / 127);
    }
    return v;
  };
  auto const xq = rounded(x, x.size()), wq = rounded(w, static_cast<std::size_t>(columns));
  double     all = 0;
  for (std::size_t t = 0; t < x.size(); t += static_cast<std::size_t>(columns))
    for (std::size_t o = 0; o < w.size(); o += static_cast<std::size_t>(columns)) {
      double e = 0;
      for (std::size_t j = 0; j < static_cast<std::size_t>(columns); ++j)
        e += static_cast<double>(xq[t + j]) * static_cast<double>(wq[o + j]) -
             static_cast<double>(x[t + j]) * static_cast<double>(w[o + j]);
      all += e * e;
    }
  return all;
}

// Activations with two channels far out: smoothing leaves the product as it was, and its int8 form much nearer to it.
TEST(smooth_quant, outliers_move_into_weights) {
  index_t const columns = 32, rows = 16, tokens = 64;
  auto          x = test::normal(tokens * columns, 5), w = test::normal(rows * columns, 6, 0.05);
  for (index_t t = 0; t < tokens; ++t)
    x[static_cast<std::size_t>(t * columns + 3)] *= 60, x[static_cast<std::size_t>(t * columns + 20)] *= 30;
  std::vector<float> x_absmax(static_cast<std::size_t>(columns)), w_absmax(x_absmax), s(x_absmax);
  auto const         line = [&](std::vector<float>& v) { return dense(v.data(), columns); };
  expect_ok(tenon::column_absmax(line(x_absmax), dense(x.data(), tokens, columns)));
  expect_ok(tenon::column_absmax(line(w_absmax), dense(w.data(), rows, columns)));
  expect_ok(tenon::smooth_quant_factors(line(s), line(x_absmax), line(w_absmax)));
  auto smooth_x = x, smooth_w = w;
  expect_ok(tenon::scale_channels(dense(smooth_x.data(), tokens, columns), line(s), true));
  expect_ok(tenon::scale_channels(dense(smooth_w.data(), rows, columns), line(s)));
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(smooth_x[i], x[i] / s[i % 32]);
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_EQ(smooth_w[i], w[i] * s[i % 32]);
  double const before = int8_error(x, w, columns), after = int8_error(smooth_x, smooth_w, columns);
  RecordProperty("after_over_before", std::to_string(after / before));
  EXPECT_LT(after, 0.1 * before);
}

// Powers of two undo themselves exactly, in bf16 too; the writer's rows are columns of its transposed view.
TEST(smooth_quant, scaling_by_powers_of_two) {
  std::vector<tenon::bf16> w(12);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = tenon::bf16(static_cast<float>(i) - 3.3f);
  auto const               before = w;
  std::vector<float> const s{0.5f, 4, 0.125f, 2};
  auto const as_floats = [](std::vector<tenon::bf16> const& v) { return std::vector<float>(v.begin(), v.end()); };
  expect_ok(tenon::scale_channels(dense(w.data(), 3, 4), dense(s.data(), 4)));
  EXPECT_EQ(static_cast<float>(w[5]), 4 * static_cast<float>(before[5]));
  expect_ok(tenon::scale_channels(dense(w.data(), 3, 4), dense(s.data(), 4), true));
  EXPECT_EQ(as_floats(w), as_floats(before));
  expect_ok(tenon::scale_channels(tenon::tensor_view<tenon::bf16, 2>{w.data(), {3, 4}, {1, 3}}, dense(s.data(), 4)));
  EXPECT_EQ(static_cast<float>(w[4]), 4 * static_cast<float>(before[4]));
}

TEST(smooth_quant, refuses) {
  std::vector<float> x{1, 2, 3}, w{1, 2, 3}, s{7, 7, 7};
  auto const         call = [&](tenon::smooth_quant_options const& o = {}) {
    return tenon::smooth_quant_factors(dense(s.data(), 3), dense(x.data(), 3), dense(w.data(), 3), o);
  };
  expect_error(call({.alpha = -0.1}), errc::out_of_range, "alpha", 0, 0);
  expect_error(call({.alpha = 1.1}), errc::out_of_range, "alpha", 0, 0);
  expect_error(call({.lowest = 0}), errc::out_of_range, "lowest", 0, 0);
  expect_error(call({.lowest = 2, .highest = 1}), errc::out_of_range, "lowest", 0, 0);
  expect_error(call({.highest = std::numeric_limits<double>::infinity()}), errc::out_of_range, "highest", 0, 0);
  x[1] = nan;
  expect_error(call(), errc::out_of_range, "x_absmax", 1, 0);
  x[1] = 1, w[2] = -1;
  expect_error(call(), errc::out_of_range, "w_absmax", 2, 0);
  expect_error(tenon::smooth_quant_factors(dense(s.data(), 3), dense(x.data(), 2), dense(w.data(), 3)),
               errc::shape_mismatch, "channels", 2, 3);
  EXPECT_EQ(s, (std::vector<float>{7, 7, 7}));
  s[1] = 0;
  expect_error(tenon::scale_channels(dense(x.data(), 1, 3), dense(s.data(), 3)), errc::out_of_range, "s", 1, 0);
  expect_error(tenon::scale_channels(dense(x.data(), 1, 2), dense(s.data(), 3)), errc::shape_mismatch, "columns", 3, 2);
  EXPECT_EQ(x, (std::vector<float>{1, 1, 3}));
  std::vector<tenon::f16> narrow{tenon::f16(2.f), tenon::f16(60000.f)};
  s = {2, 1.2f};
  expect_error(tenon::scale_channels(dense(narrow.data(), 1, 2), dense(s.data(), 2)), errc::out_of_range, "w", 0, 1);
  EXPECT_EQ(static_cast<float>(narrow[0]), 2);
}

// The product lies just above the middle of two f16 numbers, as an f32 on it, and that would go to the even one.
TEST(smooth_quant, rounds_once) {
  tenon::f16  w(1 + 0x1p-10f);
  float const s = 0x1.ffc01p-1f;
  ASSERT_EQ(tenon::f16(static_cast<float>(w) * s).bits, tenon::f16(1.f).bits);
  expect_ok(tenon::scale_channels(dense(&w, 1, 1), dense(&s, 1)));
  EXPECT_EQ(static_cast<float>(w), 1 + 0x1p-10f);
}

}  // namespace
