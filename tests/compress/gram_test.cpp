#include <tenon/compress/gram.hpp>
#include <tenon/core/numeric.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using tenon::dense, tenon::errc, tenon::index_t;
using test::expect_error, test::expect_ok;

void expect_same(tenon::gram_statistics const& a, tenon::gram_statistics const& b) {
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.upper, b.upper);
  EXPECT_EQ(a.sum, b.sum);
  EXPECT_EQ(a.sum_abs, b.sum_abs);
  EXPECT_EQ(a.absmax, b.absmax);
}

TEST(gram, sums_of_naive_loops) {
  for (index_t const columns : {1, 7, 8, 9, 33})
    for (index_t const rows : {1, 2, 255, 256, 257, 700}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns));
      auto const x     = test::correlated(rows, columns, 3);
      auto const naive = test::transposed_product(test::as_matrix(x, rows, columns), test::as_matrix(x, rows, columns));
      auto const gram  = test::gram_of(x, columns);
      EXPECT_EQ(gram.rows, rows);
      for (index_t i = 0; i < columns; ++i) {
        double sum = 0, sum_abs = 0, absmax = 0, variance = 0;
        for (index_t r = 0; r < rows; ++r) {
          auto const v = static_cast<double>(x[static_cast<std::size_t>(r * columns + i)]);
          sum += v, sum_abs += std::abs(v), absmax = std::max(absmax, std::abs(v));
        }
        auto const n = static_cast<double>(rows);
        for (index_t r = 0; r < rows; ++r) {
          double const d = static_cast<double>(x[static_cast<std::size_t>(r * columns + i)]) - sum / n;
          variance += d * d / n;
        }
        EXPECT_NEAR(gram.mean(i), sum / n, 1e-12);
        EXPECT_NEAR(gram.mean_abs(i), sum_abs / n, 1e-12);
        EXPECT_NEAR(gram.mean_square(i), naive(i, i) / n, 1e-12 * naive(i, i));
        EXPECT_NEAR(gram.variance(i), variance, 1e-12 * naive(i, i));
        EXPECT_EQ(gram.absmax[static_cast<std::size_t>(i)], absmax);
        for (index_t j = 0; j < columns; ++j) {
          EXPECT_NEAR(gram(i, j), naive(i, j), 1e-12 * std::sqrt(naive(i, i) * naive(j, j)));
          EXPECT_EQ(gram(i, j), gram(j, i));
        }
      }
    }
}

// However calls divide the rows, the bits are the same.
TEST(gram, calls_do_not_matter) {
  index_t const columns = 19, rows = 900;
  auto const    x     = test::correlated(rows, columns, 4);
  auto const    whole = test::gram_of(x, columns);
  for (index_t const piece : {1, 100, 256, 300}) {
    tenon::gram_accumulator sums;
    for (index_t at = 0; at < rows; at += piece)
      expect_ok(sums.add(dense(x.data(), rows, columns).slice(at, std::min(piece, rows - at))));
    EXPECT_EQ(sums.rows(), rows);
    expect_same(sums.take(), whole);
    EXPECT_EQ(sums.rows(), 0);
  }
}

TEST(gram, strides_and_types) {
  index_t const              columns = 5, rows = 300;
  auto const                 x = test::correlated(rows, columns, 5);
  test::other_storages const other(x, rows, columns);
  tenon::gram_accumulator    bits, strided;
  expect_ok(bits.add(dense(other.narrow.data(), rows, columns)));
  expect_ok(strided.add(tenon::tensor_view<float const, 2>{other.transposed.data(), {rows, columns}, {1, rows}}));
  expect_same(bits.take(), test::gram_of(other.rounded, columns));
  expect_same(strided.take(), test::gram_of(x, columns));
}

TEST(gram, merged_runs) {
  index_t const columns = 6;
  auto const    x = test::correlated(512, columns, 6), y = test::correlated(130, columns, 7);
  auto          both = x;
  both.insert(both.end(), y.begin(), y.end());
  auto merged = test::gram_of(x, columns);
  expect_ok(merge(merged, test::gram_of(y, columns)));
  auto const whole = test::gram_of(both, columns);  // 512 is two blocks, so y's are the same, too
  EXPECT_EQ(merged.rows, 642);
  EXPECT_EQ(merged.absmax, whole.absmax);
  for (std::size_t i = 0; i < whole.upper.size(); ++i)
    EXPECT_NEAR(merged.upper[i], whole.upper[i], 1e-12 * std::abs(whole.upper[i]) + 1e-9);

  tenon::gram_statistics none;
  expect_ok(merge(none, merged));
  expect_same(none, merged);
  expect_ok(merge(none, {}));
  expect_same(none, merged);
  expect_error(merge(none, test::gram_of(x, 4)), errc::shape_mismatch, "columns", 4, 6);
  expect_same(none, merged);
}

TEST(gram, refuses_and_keeps) {
  index_t const           columns = 4;
  auto                    x       = test::normal(8 * columns, 1);
  tenon::gram_accumulator sums;
  expect_ok(sums.add(dense(x.data(), 8, columns)));
  expect_error(sums.add(dense(x.data(), 8, 3)), errc::shape_mismatch, "columns", 3, 4);
  auto bad                                       = x;
  bad[static_cast<std::size_t>(5 * columns + 2)] = std::numeric_limits<float>::quiet_NaN();
  expect_error(sums.add(dense(bad.data(), 8, columns)), errc::out_of_range, "x", 5, 2);
  bad[1] = std::numeric_limits<float>::infinity();
  expect_error(sums.add(dense(bad.data(), 8, columns)), errc::out_of_range, "x", 0, 1);
  expect_error(sums.add(dense(static_cast<float const*>(nullptr), 8, columns)), errc::out_of_range, "x", 0, 1);
  tenon::gram_accumulator other;
  expect_error(other.add(dense(x.data(), 0, tenon::most_gram_columns + 1)), errc::unsupported, "columns",
               tenon::most_gram_columns + 1, tenon::most_gram_columns);
  expect_same(sums.take(), test::gram_of(x, columns));
}

TEST(gram, empty) {
  tenon::gram_accumulator sums;
  expect_ok(sums.add(dense(static_cast<float const*>(nullptr), 0, 3)));
  auto const none = sums.take();
  EXPECT_EQ(none.columns, 3);
  EXPECT_EQ(none.rows, 0);
  EXPECT_EQ(none.mean(1), 0);
  EXPECT_EQ(none.variance(1), 0);
  EXPECT_EQ(none.upper, std::vector<double>(6));
  EXPECT_EQ(tenon::gram_accumulator{}.take().columns, 0);
}

TEST(gram, cross_products) {
  for (index_t const rows : {1, 256, 400}) {
    index_t const inputs = 11, outputs = 9;
    auto const    a = test::correlated(rows, inputs, 8), r = test::correlated(rows, outputs, 9);
    auto const    naive = test::transposed_product(test::as_matrix(r, rows, outputs), test::as_matrix(a, rows, inputs));
    tenon::cross_accumulator once, pieces;
    expect_ok(once.add(dense(a.data(), rows, inputs), dense(r.data(), rows, outputs)));
    for (index_t i = 0; i < rows; i += 77)
      expect_ok(pieces.add(dense(a.data(), rows, inputs).slice(i, std::min(index_t{77}, rows - i)),
                           dense(r.data(), rows, outputs).slice(i, std::min(index_t{77}, rows - i))));
    auto const cross = once.take(), same = pieces.take();
    EXPECT_EQ(cross.rows, rows);
    EXPECT_EQ(cross.products, same.products);
    EXPECT_EQ(cross.target_squares, same.target_squares);
    double squares = 0;
    for (float const v : r) squares += static_cast<double>(v) * static_cast<double>(v);
    EXPECT_NEAR(cross.target_squares, squares, 1e-12 * squares);
    for (std::size_t i = 0; i < cross.products.size(); ++i)
      EXPECT_NEAR(cross.products[i], naive.values[i], 1e-10 * (1 + std::abs(naive.values[i])));
  }
  std::vector<float>       x(12, 1.f);
  tenon::cross_accumulator sums;
  expect_error(sums.add(dense(x.data(), 3, 4), dense(x.data(), 2, 4)), errc::shape_mismatch, "rows", 2, 3);
  expect_ok(sums.add(dense(x.data(), 3, 4), dense(x.data(), 3, 2)));
  expect_error(sums.add(dense(x.data(), 3, 2), dense(x.data(), 3, 2)), errc::shape_mismatch, "inputs", 2, 4);
  x[5] = std::numeric_limits<float>::quiet_NaN();
  expect_error(sums.add(dense(x.data(), 1, 4), dense(x.data(), 1, 2).slice(0, 0)), errc::shape_mismatch, "rows", 0, 1);
  expect_error(sums.add(dense(x.data(), 3, 4), dense(x.data() + 6, 3, 2)), errc::out_of_range, "a", 1, 1);
  expect_error(sums.add(dense(x.data() + 6, 1, 4), dense(x.data() + 4, 1, 2)), errc::out_of_range, "r", 0, 1);
}

TEST(gram, output_error_of_all_rows) {
  for (index_t const columns : {1, 6, 17})
    for (index_t const outputs : {1, 4, 7}) {
      auto const          x = test::correlated(90, columns, 10);
      auto const          w = test::normal(outputs * columns, 11), v = test::normal(outputs * columns, 12);
      std::vector<double> d(w.size());
      for (std::size_t i = 0; i < d.size(); ++i) d[i] = static_cast<double>(w[i]) - static_cast<double>(v[i]);
      double const naive = test::squared_output_error(x, w, v, columns);
      EXPECT_NEAR(tenon::output_error(test::gram_of(x, columns), d), naive, 1e-11 * naive);
    }
  EXPECT_EQ(tenon::output_error({}, {}), 0);
}

}  // namespace
