#include <tenon/compress/least_squares.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace {

using tenon::dense, tenon::errc, tenon::index_t;
using test::expect_error, test::expect_ok, test::matrix;

/// x with x a = b, by Gauss and Jordan with pivots: nothing in common with Cholesky.
matrix solved_from_the_right(matrix const& b, matrix a) {
  matrix        x = b;
  index_t const n = a.rows;
  for (index_t k = 0; k < n; ++k) {  // columns of a are equations, as x stands on the left
    index_t best = k;
    for (index_t j = k; j < n; ++j)
      if (std::abs(a(k, j)) > std::abs(a(k, best))) best = j;
    for (index_t i = 0; i < n; ++i) std::swap(a(i, k), a(i, best));
    for (index_t i = 0; i < x.rows; ++i) std::swap(x(i, k), x(i, best));
    double const pivot = a(k, k);
    for (index_t i = 0; i < n; ++i) a(i, k) /= pivot;
    for (index_t i = 0; i < x.rows; ++i) x(i, k) /= pivot;
    for (index_t j = 0; j < n; ++j) {
      double const f = a(k, j);
      if (j == k || f == 0) continue;
      for (index_t i = 0; i < n; ++i) a(i, j) -= f * a(i, k);
      for (index_t i = 0; i < x.rows; ++i) x(i, j) -= f * x(i, k);
    }
  }
  return x;
}

/// sum over rows of |W a + b - r|^2
double residual(std::vector<float> const& x, std::vector<float> const& w, std::vector<float> const& bias,
                matrix const& r, index_t inputs) {
  auto const y   = test::outputs_of(x, w, inputs);
  double     all = 0;
  for (index_t t = 0; t < r.rows; ++t)
    for (index_t o = 0; o < r.columns; ++o) {
      double const b = bias.empty() ? 0. : static_cast<double>(bias[static_cast<std::size_t>(o)]);
      all += (y(t, o) + b - r(t, o)) * (y(t, o) + b - r(t, o));
    }
  return all;
}

/// The columns `kept` of rows of width n.
std::vector<float> columns_of(std::vector<float> const& x, index_t n, std::vector<index_t> const& kept) {
  std::vector<float> y;
  for (std::size_t r = 0; r < x.size() / static_cast<std::size_t>(n); ++r)
    for (index_t const j : kept) y.push_back(x[r * static_cast<std::size_t>(n) + static_cast<std::size_t>(j)]);
  return y;
}

tenon::cross_statistics cross_of(std::vector<float> const& a, std::vector<float> const& r, index_t inputs,
                                 index_t outputs) {
  tenon::cross_accumulator sums;
  expect_ok(sums.add(dense(a.data(), static_cast<index_t>(a.size()) / inputs, inputs),
                     dense(r.data(), static_cast<index_t>(r.size()) / outputs, outputs)));
  return sums.take();
}

TEST(least_squares, refit_of_normal_equations) {
  for (index_t const inputs : {1, 6, 23}) {
    index_t const rows = 120, outputs = 5;
    auto const    a = test::correlated(rows, inputs, 1), r = test::normal(rows * outputs, 2);
    auto const    w    = test::normal(outputs * inputs, 3);
    auto const    gram = test::gram_of(a, inputs);
    for (double const ridge : {1e-6, 1e-3, 1.}) {
      auto const am = test::as_matrix(a, rows, inputs), rm = test::as_matrix(r, rows, outputs);
      auto       h = test::transposed_product(am, am), b = test::transposed_product(rm, am);
      double     mean = 0;
      for (index_t i = 0; i < inputs; ++i) mean += h(i, i) / static_cast<double>(inputs);
      for (index_t i = 0; i < inputs; ++i) h(i, i) += ridge * mean;
      for (std::size_t i = 0; i < b.values.size(); ++i) b.values[i] += ridge * mean * static_cast<double>(w[i]);
      auto const naive = solved_from_the_right(b, h);

      std::vector<float>  out(w.size());
      tenon::refit_report report;
      expect_ok(tenon::refit(dense(out.data(), outputs, inputs), dense(w.data(), outputs, inputs), gram,
                             cross_of(a, r, inputs, outputs), ridge, &report));
      for (std::size_t i = 0; i < out.size(); ++i)
        EXPECT_NEAR(static_cast<double>(out[i]), naive.values[i], 1e-6 * (1 + std::abs(naive.values[i])));
      double const before = residual(a, w, {}, rm, inputs), after = residual(a, out, {}, rm, inputs);
      EXPECT_NEAR(report.before, before, 1e-9 * before);
      EXPECT_NEAR(report.after, after, 1e-9 * before);
      EXPECT_LT(after, before);
    }
  }
}

// Targets that the layer can reach are reached; in place, too.
TEST(least_squares, refit_finds_the_layer) {
  index_t const            rows = 200, inputs = 12, outputs = 4;
  auto const               a = test::correlated(rows, inputs, 4), truth = test::normal(outputs * inputs, 5);
  auto const               y = test::outputs_of(a, truth, inputs).values;
  std::vector<float> const r(y.begin(), y.end());
  std::vector<float>       w(truth.size());
  auto const               view = dense(w.data(), outputs, inputs);
  expect_ok(tenon::refit(view, view, test::gram_of(a, inputs), cross_of(a, r, inputs, outputs), 1e-12));
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(w[i], truth[i], 1e-4);
}

// No rows, or inputs that are always zero: the weights stay.
TEST(least_squares, nothing_known_nothing_changed) {
  index_t const      inputs = 4, outputs = 3, rows = 50;
  auto               a = test::normal(rows * inputs, 6);
  auto const         r = test::normal(rows * outputs, 7), w = test::normal(outputs * inputs, 8);
  std::vector<float> out(w.size());
  for (index_t t = 0; t < rows; ++t) a[static_cast<std::size_t>(t * inputs + 2)] = 0;
  expect_ok(tenon::refit(dense(out.data(), outputs, inputs), dense(w.data(), outputs, inputs), test::gram_of(a, inputs),
                         cross_of(a, r, inputs, outputs)));
  for (index_t o = 0; o < outputs; ++o) {
    EXPECT_EQ(out[static_cast<std::size_t>(o * inputs + 2)], w[static_cast<std::size_t>(o * inputs + 2)]);
    EXPECT_NE(out[static_cast<std::size_t>(o * inputs)], w[static_cast<std::size_t>(o * inputs)]);
  }
  std::vector<float> const none;
  expect_ok(tenon::refit(dense(out.data(), outputs, inputs), dense(w.data(), outputs, inputs),
                         test::gram_of(none, inputs), cross_of(none, none, inputs, outputs)));
  EXPECT_EQ(out, w);
}

TEST(least_squares, survivors_against_fitting_the_outputs) {
  index_t const              rows = 300, inputs = 20, outputs = 6;
  auto const                 x    = test::correlated(rows, inputs, 9);
  auto const                 w    = test::normal(outputs * inputs, 10);
  auto const                 gram = test::gram_of(x, inputs);
  std::vector<index_t> const kept{0, 1, 3, 4, 5, 8, 9, 11, 12, 13, 14, 16, 18, 19};
  auto const                 k    = static_cast<index_t>(kept.size());
  auto const                 y    = test::outputs_of(x, w, inputs);
  auto const                 left = columns_of(x, inputs, kept), plain = columns_of(w, inputs, kept);

  for (bool const with_bias : {false, true}) {
    // The same by normal equations on rows: centred where a bias takes the means.
    matrix     xk = test::as_matrix(left, rows, k), target = y;
    auto const said = test::outputs_of(left, plain, k);
    for (std::size_t i = 0; i < target.values.size(); ++i) target.values[i] -= said.values[i];
    auto const centre = [&](matrix& m) {
      for (index_t j = 0; j < m.columns; ++j) {
        double mean = 0;
        for (index_t t = 0; t < rows; ++t) mean += m(t, j) / static_cast<double>(rows);
        for (index_t t = 0; t < rows; ++t) m(t, j) -= mean;
      }
    };
    if (with_bias) centre(xk), centre(target);
    auto   h    = test::transposed_product(xk, xk);
    double mean = 0;
    for (index_t i = 0; i < k; ++i) mean += h(i, i) / static_cast<double>(k);
    for (index_t i = 0; i < k; ++i) h(i, i) += 1e-3 * mean;
    auto const change = solved_from_the_right(test::transposed_product(target, xk), h);

    std::vector<float>  out(static_cast<std::size_t>(outputs * k)), bias(with_bias ? 6 : 0, 0.f);
    tenon::refit_report report;
    expect_ok(tenon::refit_survivors(dense(out.data(), outputs, k),
                                     with_bias ? dense(bias.data(), outputs) : tenon::tensor_view<float, 1>{},
                                     dense(w.data(), outputs, inputs), gram, kept, {}, &report));
    for (std::size_t i = 0; i < out.size(); ++i)
      EXPECT_NEAR(static_cast<double>(out[i]), static_cast<double>(plain[i]) + change.values[i], 1e-5);
    double const before = residual(left, plain, {}, y, k), after = residual(left, out, bias, y, k);
    EXPECT_NEAR(report.before, before, 1e-9 * before);
    EXPECT_NEAR(report.after, after, 1e-6 * before);
    EXPECT_LT(after, 0.5 * before);
  }
}

// On rows that were not seen: deleting > moving means into a bias > fitting, and fitting with a bias is best.
TEST(least_squares, refit_beats_plain_deletion) {
  index_t const            inputs = 48, outputs = 16, seen = 2000, fresh = 600;
  auto const               all    = test::correlated(seen + fresh, inputs, 11);
  auto const               middle = all.begin() + static_cast<std::ptrdiff_t>(seen * inputs);
  std::vector<float> const x(all.begin(), middle), z(middle, all.end());
  auto const               w    = test::normal(outputs * inputs, 12);
  auto const               gram = test::gram_of(x, inputs);
  std::vector<index_t>     kept;
  for (index_t j = 0; j < inputs; ++j)
    if (j % 4 != 1) kept.push_back(j);
  auto const k     = static_cast<index_t>(kept.size());
  auto const y     = test::outputs_of(z, w, inputs);
  auto const left  = columns_of(z, inputs, kept);
  auto const error = [&](bool fit, bool with_bias) {
    std::vector<float> out(static_cast<std::size_t>(outputs * k)),
        bias(with_bias ? static_cast<std::size_t>(outputs) : 0);
    expect_ok(tenon::refit_survivors(dense(out.data(), outputs, k),
                                     with_bias ? dense(bias.data(), outputs) : tenon::tensor_view<float, 1>{},
                                     dense(w.data(), outputs, inputs), gram, kept, {.fit = fit}));
    if (!fit) {
      EXPECT_EQ(out, columns_of(w, inputs, kept));
    }
    return residual(left, out, bias, y, k);
  };
  double const plain = error(false, false), means = error(false, true), fitted = error(true, false),
               both = error(true, true);
  RecordProperty("means_over_plain", std::to_string(means / plain));
  RecordProperty("fitted_over_plain", std::to_string(fitted / plain));
  RecordProperty("both_over_plain", std::to_string(both / plain));
  EXPECT_LT(means, plain);
  EXPECT_LT(fitted, 0.2 * means);
  EXPECT_LT(both, fitted);
}

TEST(least_squares, edges_of_survivors) {
  index_t const        inputs = 5, outputs = 2;
  auto const           x    = test::correlated(40, inputs, 13);
  auto const           w    = test::normal(outputs * inputs, 14);
  auto const           gram = test::gram_of(x, inputs);
  std::vector<float>   out(w.size(), 7.f);
  std::vector<index_t> all{0, 1, 2, 3, 4};
  expect_ok(tenon::refit_survivors(dense(out.data(), outputs, 5), {}, dense(w.data(), outputs, inputs), gram, all));
  EXPECT_EQ(out, w);
  std::vector<float> bias{1, 2};
  expect_ok(tenon::refit_survivors(dense(out.data(), outputs, 0), dense(bias.data(), outputs),
                                   dense(w.data(), outputs, inputs), gram, {}));
  for (index_t o = 0; o < outputs; ++o) {
    double mean = static_cast<double>(o + 1);
    for (index_t j = 0; j < inputs; ++j)
      mean += static_cast<double>(w[static_cast<std::size_t>(o * inputs + j)]) * gram.mean(j);
    EXPECT_NEAR(bias[static_cast<std::size_t>(o)], mean, 1e-6);
  }

  out.assign(w.size(), 7.f);
  bias = {1, std::numeric_limits<float>::infinity()};
  expect_error(tenon::refit_survivors(dense(out.data(), outputs, 5), dense(bias.data(), outputs),
                                      dense(w.data(), outputs, inputs), gram, all),
               errc::out_of_range, "bias", 1, 0);
  EXPECT_EQ(bias[0], 1);
  auto const call = [&](std::vector<index_t> const& kept, tenon::refit_survivors_options const& options = {}) {
    return tenon::refit_survivors(dense(out.data(), outputs, static_cast<index_t>(kept.size())), {},
                                  dense(w.data(), outputs, inputs), gram, kept, options);
  };
  expect_error(call({0, 2, 2}), errc::out_of_range, "kept", 2, 5);
  expect_error(call({3, 1}), errc::out_of_range, "kept", 1, 5);
  expect_error(call({-1}), errc::out_of_range, "kept", -1, 5);
  expect_error(call({1, 5}), errc::out_of_range, "kept", 5, 5);
  expect_error(call({1}, {.ridge = 0}), errc::out_of_range, "ridge", 0, 0);
  expect_error(
      tenon::refit_survivors(dense(out.data(), outputs, 1), {}, dense(w.data(), outputs, inputs), gram, {1, 2}),
      errc::shape_mismatch, "kept", 1, 2);
  expect_error(tenon::refit_survivors(dense(out.data(), outputs, 1), {}, dense(w.data(), outputs, inputs),
                                      test::gram_of(x, 4), {1}),
               errc::shape_mismatch, "inputs", 4, 5);
  auto bad = w;
  bad[7]   = std::numeric_limits<float>::quiet_NaN();
  expect_error(tenon::refit_survivors(dense(out.data(), outputs, 1), {}, dense(bad.data(), outputs, inputs), gram, {1}),
               errc::out_of_range, "w", 1, 2);
  EXPECT_EQ(out, std::vector<float>(w.size(), 7.f));
}

TEST(least_squares, refuses_what_does_not_belong_together) {
  index_t const      inputs = 4, outputs = 3, rows = 9;
  auto const         a = test::normal(rows * inputs, 15), r = test::normal(rows * outputs, 16);
  auto               w = test::normal(outputs * inputs, 17);
  std::vector<float> out(w.size(), 7.f);
  auto const         gram  = test::gram_of(a, inputs);
  auto const         cross = cross_of(a, r, inputs, outputs);
  auto const         to    = dense(out.data(), outputs, inputs);
  auto const         from  = dense(static_cast<float const*>(w.data()), outputs, inputs);
  expect_error(tenon::refit(to, from, test::gram_of(a, 3), cross), errc::shape_mismatch, "inputs", 3, 4);
  expect_error(tenon::refit(to, from, gram, cross_of(r, r, outputs, outputs)), errc::shape_mismatch, "inputs", 3, 4);
  expect_error(tenon::refit(to, from, gram, cross_of(a, a, inputs, inputs)), errc::shape_mismatch, "outputs", 4, 3);
  auto fewer = cross;
  --fewer.rows;
  expect_error(tenon::refit(to, from, gram, fewer), errc::shape_mismatch, "rows", 8, 9);
  expect_error(tenon::refit(to, from, gram, cross, -1), errc::out_of_range, "ridge", 0, 0);
  auto broken     = gram;
  broken.upper[0] = -1e6;
  expect_error(tenon::refit(to, from, broken, cross), errc::out_of_range, "pivot", 0, 4);
  w[5] = std::numeric_limits<float>::infinity();
  expect_error(tenon::refit(to, from, gram, cross), errc::out_of_range, "w", 1, 1);
  EXPECT_EQ(out, std::vector<float>(w.size(), 7.f));
}

}  // namespace
