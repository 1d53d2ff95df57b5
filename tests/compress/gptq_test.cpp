#include <tenon/compress/gptq.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace {

using tenon::dense, tenon::errc, tenon::gptq_quantize_options, tenon::index_t, tenon::quantized_weight,
    tenon::weight_code, tenon::weight_format;
using method = tenon::weight_scale_method;
using test::expect_error, test::expect_ok, test::matrix;

constexpr weight_format int8(int group = 0) { return {weight_code::int8, group}; }
constexpr weight_format int4(int group = 0, bool zero_points = false) {
  return {weight_code::int4, group, 1, zero_points};
}

quantized_weight gptq_of(std::vector<float> const& w, tenon::gram_statistics const& gram, weight_format format,
                         gptq_quantize_options const& options = {}, tenon::gptq_report* report = nullptr) {
  quantized_weight q;
  expect_ok(tenon::gptq(q, dense(w.data(), static_cast<index_t>(w.size()) / gram.columns, gram.columns), gram, format,
                        options, report));
  return q;
}

quantized_weight nearest_of(std::vector<float> const& w, index_t columns, weight_format format,
                            tenon::quantize_weight_options const& options) {
  quantized_weight q;
  expect_ok(
      tenon::quantize_weight(q, dense(w.data(), static_cast<index_t>(w.size()) / columns, columns), format, options));
  return q;
}

double error_of(tenon::gram_statistics const& gram, std::vector<float> const& w, quantized_weight const& q) {
  auto const          back = q.dequantized();
  std::vector<double> d(w.size());
  for (std::size_t i = 0; i < w.size(); ++i) d[i] = static_cast<double>(w[i]) - static_cast<double>(back[i]);
  return tenon::output_error(gram, d);
}

/// The upper factor of the inverse, by Gauss and Jordan and the textbook's Cholesky.
matrix textbook_factor(matrix a) {
  index_t const n = a.rows;
  matrix        inverse(n, n);
  for (index_t i = 0; i < n; ++i) inverse(i, i) = 1;
  for (index_t k = 0; k < n; ++k) {
    double const pivot = a(k, k);
    for (index_t j = 0; j < n; ++j) a(k, j) /= pivot, inverse(k, j) /= pivot;
    for (index_t i = 0; i < n; ++i) {
      if (i == k) continue;
      double const f = a(i, k);
      for (index_t j = 0; j < n; ++j) a(i, j) -= f * a(k, j), inverse(i, j) -= f * inverse(k, j);
    }
  }
  matrix u(n, n);
  for (index_t i = 0; i < n; ++i)
    for (index_t j = i; j < n; ++j) {
      double v = inverse(i, j);
      for (index_t k = 0; k < i; ++k) v -= u(k, i) * u(k, j);
      u(i, j) = i == j ? std::sqrt(v) : v / u(i, i);
    }
  return u;
}

struct textbook_result {
  std::vector<int> codes;  // with their offset
  double           error = 0;
};

/// GPTQ as the paper has it, a column at a time, everything behind it updated at once. Scales are those of
/// quantize_weight for the group's weights as they are when it is entered, or as they were (`sorted`).
textbook_result textbook(std::vector<float> const& w, index_t columns, std::vector<float> const& x,
                         weight_format format, tenon::quantize_weight_options const& scales, double damping,
                         bool sorted) {
  index_t const rows = static_cast<index_t>(w.size()) / columns, tokens = static_cast<index_t>(x.size()) / columns;
  auto const    xm   = test::as_matrix(x, tokens, columns);
  matrix const  h    = test::transposed_product(xm, xm);
  double        mean = 0;
  for (index_t j = 0; j < columns; ++j) mean += h(j, j) / static_cast<double>(columns);
  std::vector<index_t> order(static_cast<std::size_t>(columns));
  std::iota(order.begin(), order.end(), 0);
  if (sorted) std::sort(order.begin(), order.end(), [&](index_t a, index_t b) { return h(a, a) > h(b, b); });
  matrix damped(columns, columns);
  for (index_t i = 0; i < columns; ++i)
    for (index_t j = 0; j < columns; ++j)
      damped(i, j) =
          h(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]) + (i == j ? damping * mean : 0);
  matrix const u = textbook_factor(damped);

  index_t const   group = format.group > 0 ? format.group : columns;
  textbook_result result;
  result.codes.resize(w.size());
  for (index_t r = 0; r < rows; ++r) {
    std::vector<double> v;
    for (index_t i = 0; i < columns; ++i)
      v.push_back(static_cast<double>(w[static_cast<std::size_t>(r * columns + order[static_cast<std::size_t>(i)])]));
    std::vector<quantized_weight> grids(static_cast<std::size_t>((columns + group - 1) / group));
    for (index_t i = 0; i < columns; ++i) {
      index_t const column = order[static_cast<std::size_t>(i)], g = column / group;
      auto&         grid = grids[static_cast<std::size_t>(g)];
      if (grid.columns == 0) {
        std::vector<float> now;
        for (index_t j = g * group; j < std::min((g + 1) * group, columns); ++j)
          now.push_back(sorted ? w[static_cast<std::size_t>(r * columns + j)]
                               : static_cast<float>(v[static_cast<std::size_t>(j)]));
        auto one  = format;
        one.group = 0;
        if (format.code == weight_code::int8 && format.group > 0) one.group = static_cast<int>(now.size());
        grid = nearest_of(now, static_cast<index_t>(now.size()), one, scales);
      }
      auto const   at    = static_cast<std::size_t>(i);
      double const scale = static_cast<double>(grid.scale(0, 0));
      int const    zero  = format.code == weight_code::int8 ? 0 : format.zero_points ? grid.zeros[0] : 8;
      bool const   full  = scales.method != method::absmax;
      int const    low   = format.code == weight_code::int8 ? (full ? -128 : -127)
                           : format.zero_points             ? -zero
                           : full                           ? -8
                                                            : -7;
      int const    high  = format.code == weight_code::int8 ? 127 : format.zero_points ? 15 - zero : 7;
      int const    code  = std::clamp(static_cast<int>(std::nearbyint(v[at] / scale)), low, high);
      double const e     = (v[at] - scale * code) / u(i, i);
      result.error += e * e;
      result.codes[static_cast<std::size_t>(r * columns + column)] =
          format.code == weight_code::int8 ? (code & 255) : code + zero;
      for (index_t j = i + 1; j < columns; ++j) v[static_cast<std::size_t>(j)] -= e * u(i, j);
    }
  }
  return result;
}

TEST(gptq, codes_of_the_textbook) {
  struct form {
    index_t       columns;
    weight_format format;
    method        how;
  };
  constexpr form forms[] = {
      {1, int4(), method::absmax},
      {24, int4(), method::absmax},
      {48, int4(16), method::absmax},
      {50, int4(16), method::absmax},
      {50, int4(16, true), method::absmax},
      {40, int4(64, true), method::absmax},
      {48, int4(16), method::signed_absmax},
      {48, int4(16), method::searched},
      {48, int4(16, true), method::searched},
      {30, int8(), method::absmax},
      {30, int8(8), method::searched},
      {180, int4(), method::absmax},
      {220, int4(100), method::absmax},
      {150, int4(128), method::absmax},
      {150, int4(48, true), method::searched},
      {170, int4(32), method::searched},
      {210, int4(200), method::absmax},
  };
  for (auto const& f : forms)
    for (bool const sorted : {false, true}) {
      SCOPED_TRACE(to_string(f.format) + " of " + std::to_string(f.columns) + ", method " +
                   std::to_string(static_cast<int>(f.how)) + (sorted ? ", sorted" : ""));
      index_t const rows = f.columns > 150 ? 3 : 18;
      auto const    x = test::correlated(2 * f.columns + 9, f.columns, 1), w = test::normal(rows * f.columns, 2, 0.02);
      auto const    expected = textbook(w, f.columns, x, f.format, {.method = f.how}, 0.01, sorted);
      auto const    gram     = test::gram_of(x, f.columns);
      tenon::gptq_report report;
      auto const         q =
          gptq_of(w, gram, f.format, {.method = f.how, .weighted = false, .activation_order = sorted}, &report);
      std::size_t different = 0;
      for (std::size_t i = 0; i < q.codes.size(); ++i) different += q.codes[i] != expected.codes[i];
      EXPECT_EQ(different, 0u);
      EXPECT_TRUE(q.order.empty());
      EXPECT_EQ(report.raised, 0);
      EXPECT_EQ(report.damping, 0.01);
      // The errors of the steps are the error of the outputs.
      double const error = error_of(gram, w, q);
      EXPECT_NEAR(report.error, error, 1e-6 * error);
      EXPECT_LT(error, expected.error);  // which counts the damping
    }
}

// Scales found beforehand are exactly those of quantize_weight, so the order of columns leaves no trace.
TEST(gptq, static_scales) {
  index_t const      columns = 70, rows = 12;
  auto const         gram = test::gram_of(test::correlated(300, columns, 3), columns);
  auto const         w    = test::normal(rows * columns, 4, 0.02);
  std::vector<float> importance;
  for (index_t j = 0; j < columns; ++j) importance.push_back(static_cast<float>(gram(j, j)));
  for (auto const& format : {int4(32), int4(32, true), int8(), int8(32)}) {
    auto const a = gptq_of(w, gram, format, {.weighted = false});
    auto const b = nearest_of(w, columns, format, {.method = method::searched});
    EXPECT_EQ(a.scales, b.scales);
    EXPECT_EQ(a.zeros, b.zeros);
    EXPECT_EQ(a.factor, b.factor);
    EXPECT_NE(a.codes, b.codes);
    auto const positive = gptq_of(w, gram, format, {.signed_scales = false});
    for (float const s : positive.scales) EXPECT_GE(s, 0);
  }
}

// Inputs that have nothing to do with each other leave nothing to make up for.
TEST(gptq, independent_inputs_are_rounding_to_nearest) {
  index_t const      columns = 16, rows = 5;
  std::vector<float> x(static_cast<std::size_t>(columns * columns));
  for (index_t j = 0; j < columns; ++j) x[static_cast<std::size_t>(j * columns + j)] = static_cast<float>(1 + j);
  auto const w = test::normal(rows * columns, 5);
  for (bool const sorted : {false, true}) {
    auto const a = gptq_of(w, test::gram_of(x, columns), int4(8), {.weighted = false, .activation_order = sorted});
    auto const b = nearest_of(w, columns, int4(8), {.method = method::searched});
    EXPECT_EQ(a.codes, b.codes);
    EXPECT_EQ(a.scales, b.scales);
  }
}

/// Error of the outputs over rows that GPTQ has not seen, of rounding to nearest with the same scales.
TEST(gptq, beats_rounding_to_nearest) {
  index_t const columns = 96, rows = 64, seen = 1500, fresh = 400;
  auto const    all    = test::correlated(seen + fresh, columns, 6);
  auto const    middle = all.begin() + static_cast<std::ptrdiff_t>(seen * columns);
  auto const gram = test::gram_of({all.begin(), middle}, columns), other = test::gram_of({middle, all.end()}, columns);
  auto const w = test::normal(rows * columns, 7, 0.02);
  for (auto const& format : {int4(32), int4(64), int4(), int4(32, true), int8()}) {
    SCOPED_TRACE(to_string(format));
    auto const   nearest = nearest_of(w, columns, format, {.method = method::searched});
    double const rounded = error_of(other, w, nearest);
    double       error[4];
    int          form = 0;
    for (bool const sorted : {false, true})
      for (bool const weighted : {false, true}) {
        auto const q = gptq_of(w, gram, format, {.weighted = weighted, .activation_order = sorted});
        EXPECT_LT(error_of(gram, w, q), 0.5 * error_of(gram, w, nearest));
        error[form] = error_of(other, w, q);
        EXPECT_LT(error[form], 0.5 * rounded);
        RecordProperty(std::string(name_of(format.code)) + "_" + std::to_string(format.group) +
                           (format.zero_points ? "_zero" : "") + (sorted ? "_sorted" : "") +
                           (weighted ? "_weighted" : ""),
                       std::to_string(error[form] / rounded));
        ++form;
      }
    EXPECT_LT(error[2], error[0]);  // larger inputs first
  }
}

TEST(gptq, dead_columns) {
  index_t const columns = 20, rows = 4, tokens = 100;
  auto          x = test::correlated(tokens, columns, 8);
  for (index_t t = 0; t < tokens; ++t)
    for (index_t const j : {3, 4, 19}) x[static_cast<std::size_t>(t * columns + j)] = 0;
  auto w = test::normal(rows * columns, 9);
  w[3]   = 1000;  // would ruin the scale of its group
  for (auto const& format : {int4(8), int4(8, true), int8()})
    for (bool const sorted : {false, true}) {
      tenon::gptq_report report;
      auto const         q = gptq_of(w, test::gram_of(x, columns), format, {.activation_order = sorted}, &report);
      EXPECT_EQ(report.dead_columns, 3);
      EXPECT_EQ(report.raised, 0);
      for (index_t i = 0; i < rows; ++i)
        for (index_t const j : {3, 4, 19}) EXPECT_EQ(q.number(i, j), 0);
      EXPECT_LT(q.scale(0, 0), 1);
    }
  std::vector<float> const zeros(static_cast<std::size_t>(3 * columns));
  auto const               q = gptq_of(w, test::gram_of(zeros, columns), int4(8));
  for (float const v : q.dequantized()) EXPECT_EQ(v, 0);
}

// Rows that repeat each other need damping, and a matrix that is no Gram matrix needs more than there is.
TEST(gptq, damping_is_raised_then_reported) {
  index_t const columns = 6, rows = 2;
  auto const    w     = test::normal(rows * columns, 10);
  auto          x     = test::normal(columns, 11);
  auto const    alone = gptq_of(w, test::gram_of(x, columns), int4());
  EXPECT_EQ(alone.rows, rows);

  auto const broken_by = [&](double part) {  // an eigenvalue of about -part of the mean
    auto gram = test::gram_of(test::normal(50 * columns, 12), columns);
    auto mean = 0.;
    for (index_t j = 0; j < columns; ++j) mean += gram(j, j) / static_cast<double>(columns);
    std::fill(gram.upper.begin(), gram.upper.end(), 0.);
    for (index_t j = 0; j < columns; ++j) gram.upper[gram.row_offset(j) + static_cast<std::size_t>(j)] = mean;
    gram.upper[gram.row_offset(2) + 4] = (1 + part) * mean;
    return gram;
  };
  tenon::gptq_report report;
  for (auto const& [part, raised] : {std::pair{0.005, 0}, {0.05, 1}, {0.5, 2}, {5., 3}}) {
    gptq_of(w, broken_by(part), int4(), {.activation_order = false}, &report);
    EXPECT_EQ(report.raised, raised) << part;
    EXPECT_NEAR(report.damping, 0.01 * std::pow(10, raised), 1e-9);
  }
  quantized_weight q;
  q.rows = 77;
  expect_error(
      tenon::gptq(q, dense(w.data(), rows, columns), broken_by(50), int4(), {.activation_order = false}, &report),
      errc::out_of_range, "pivot", 2, 6);
  EXPECT_EQ(q.rows, 77);
  EXPECT_EQ(report.raised, 3);
}

TEST(gptq, types_and_strides) {
  index_t const              columns = 24, rows = 7;
  auto const                 gram = test::gram_of(test::correlated(90, columns, 13), columns);
  auto const                 w    = test::normal(rows * columns, 14);
  test::other_storages const other(w, rows, columns);
  quantized_weight           a, b;
  expect_ok(tenon::gptq(a, dense(other.narrow.data(), rows, columns), gram, int4(8)));
  EXPECT_EQ(a.codes, gptq_of(other.rounded, gram, int4(8)).codes);
  expect_ok(tenon::gptq(b, tenon::tensor_view<float const, 2>{other.transposed.data(), {rows, columns}, {1, rows}},
                        gram, int4(8)));
  EXPECT_EQ(b.codes, gptq_of(w, gram, int4(8)).codes);
}

TEST(gptq, refuses) {
  index_t const    columns = 8, rows = 3;
  auto const       gram = test::gram_of(test::normal(40 * columns, 15), columns);
  auto             w    = test::normal(rows * columns, 16);
  quantized_weight q;
  auto const       call = [&](weight_format f, gptq_quantize_options const& o = {}) {
    return tenon::gptq(q, dense(w.data(), rows, columns), gram, f, o);
  };
  expect_error(call({weight_code::fp8}), errc::unsupported, "code", 0, 0);
  expect_error(call({weight_code::fp4, 16}), errc::unsupported, "code", 0, 0);
  expect_error(call({weight_code::int8, 0, 2}), errc::unsupported, "block_rows", 2, 1);
  expect_error(call(int4(-1)), errc::out_of_range, "group", -1, 0);
  expect_error(call({weight_code::int8, 0, 1, true}), errc::unsupported, "zero_points", 0, 0);
  expect_error(call(int4(), {.damping = 0}), errc::out_of_range, "damping", 0, 0);
  expect_error(call(int4(), {.damping = std::numeric_limits<double>::quiet_NaN()}), errc::out_of_range, "damping", 0,
               0);
  expect_error(tenon::gptq(q, dense(w.data(), rows, 7), gram, int4()), errc::shape_mismatch, "columns", 8, 7);
  expect_error(tenon::gptq(q, dense(w.data(), rows, columns), test::gram_of({}, columns), int4()), errc::out_of_range,
               "rows", 0, 1);
  w[13] = std::numeric_limits<float>::quiet_NaN();
  expect_error(call(int4()), errc::out_of_range, "w", 1, 5);
  EXPECT_EQ(q.rows, 0);

  expect_ok(tenon::gptq(q, dense(w.data(), 0, columns), gram, int4(4)));  // no rows
  EXPECT_EQ(q.columns, columns);
  EXPECT_TRUE(q.codes.empty());
}

}  // namespace
