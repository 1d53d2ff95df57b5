#include <tenon/compress/cholesky.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using tenon::dense, tenon::errc, tenon::index_t;
using test::expect_error, test::expect_ok, test::matrix;

auto view(matrix& m) { return dense(m.values.data(), m.rows, m.columns); }
auto view(matrix const& m) { return dense(m.values.data(), m.rows, m.columns); }

matrix positive_definite(index_t n, std::uint64_t seed) {
  auto const x = test::as_matrix(test::correlated(3 * n + 2, n, seed), 3 * n + 2, n);
  return test::transposed_product(x, x);
}

matrix product(matrix const& a, matrix const& b) {
  matrix c(a.rows, b.columns);
  for (index_t i = 0; i < a.rows; ++i)
    for (index_t k = 0; k < a.columns; ++k)
      for (index_t j = 0; j < b.columns; ++j) c(i, j) += a(i, k) * b(k, j);
  return c;
}

matrix transposed(matrix const& a) {
  matrix t(a.columns, a.rows);
  for (index_t i = 0; i < a.rows; ++i)
    for (index_t j = 0; j < a.columns; ++j) t(j, i) = a(i, j);
  return t;
}

void expect_near(matrix const& a, matrix const& b, double relative) {
  double size = 0;
  for (double const v : b.values) size = std::max(size, std::abs(v));
  for (std::size_t i = 0; i < a.values.size(); ++i) EXPECT_NEAR(a.values[i], b.values[i], relative * size) << i;
}

/// NaN above the diagonal, which nobody is to read.
matrix lower_half(matrix a) {
  for (index_t i = 0; i < a.rows; ++i)
    for (index_t j = i + 1; j < a.columns; ++j) a(i, j) = std::numeric_limits<double>::quiet_NaN();
  return a;
}

/// Zeros above a positive diagonal.
void expect_lower(matrix const& l) {
  for (index_t i = 0; i < l.rows; ++i) {
    EXPECT_GT(l(i, i), 0);
    for (index_t j = i + 1; j < l.columns; ++j) EXPECT_EQ(l(i, j), 0);
  }
}

TEST(cholesky, factors) {
  for (index_t const n : {0, 1, 2, 31, 32, 33, 70}) {
    SCOPED_TRACE(n);
    auto const a = positive_definite(n, 1);
    auto       l = lower_half(a);
    expect_ok(tenon::cholesky(view(l)));
    expect_lower(l);
    expect_near(product(l, transposed(l)), a, 1e-13);
  }
}

TEST(cholesky, solves) {
  for (index_t const n : {1, 5, 40})
    for (index_t const rows : {0, 1, 16, 19}) {
      auto const a = positive_definite(n, 2);
      auto const x = test::as_matrix(test::normal(rows * n, 3), rows, n);
      auto       b = product(x, a);
      auto       l = a;
      expect_ok(tenon::cholesky(view(l)));
      expect_ok(tenon::cholesky_solve(view(std::as_const(l)), view(b)));
      expect_near(b, x, 1e-9);
    }
}

// U'U is the inverse, U is upper, and U by way of the whole inverse is the same.
TEST(cholesky, upper_factor_of_the_inverse) {
  for (index_t const n : {0, 1, 2, 15, 16, 17, 50}) {
    SCOPED_TRACE(n);
    auto const a = positive_definite(n, 4);
    auto       u = lower_half(a);
    expect_ok(tenon::inverse_upper_factor(view(u)));
    expect_lower(transposed(u));
    matrix one(n, n);
    for (index_t i = 0; i < n; ++i) one(i, i) = 1;
    expect_near(product(product(transposed(u), u), a), one, 1e-9);

    auto l = a, inverse = one;
    expect_ok(tenon::cholesky(view(l)));
    expect_ok(tenon::cholesky_solve(view(std::as_const(l)), view(inverse)));
    expect_ok(tenon::cholesky(view(inverse)));
    expect_near(u, transposed(inverse), 1e-9);
  }
}

TEST(cholesky, names_the_pivot) {
  matrix a(4, 4);
  for (index_t i = 0; i < 4; ++i) a(i, i) = 4;
  a(2, 1) = a(1, 2) = 4;  // rows 1 and 2 are one
  auto before       = a;
  expect_error(tenon::cholesky(view(a)), errc::out_of_range, "pivot", 2, 4);
  EXPECT_EQ(a.values, before.values);
  expect_error(tenon::inverse_upper_factor(view(a)), errc::out_of_range, "pivot", 1, 4);
  EXPECT_EQ(a.values, before.values);
  a(3, 0) = std::numeric_limits<double>::quiet_NaN();
  a(2, 1) = 0;
  expect_error(tenon::cholesky(view(a)), errc::out_of_range, "pivot", 3, 4);
  matrix negative(1, 1);
  negative(0, 0) = -1;
  expect_error(tenon::cholesky(view(negative)), errc::out_of_range, "pivot", 0, 1);
  negative(0, 0) = std::numeric_limits<double>::infinity();
  expect_error(tenon::cholesky(view(negative)), errc::out_of_range, "pivot", 0, 1);
}

TEST(cholesky, refuses_shapes) {
  matrix a(3, 4), l(3, 3), b(2, 4);
  expect_error(tenon::cholesky(view(a)), errc::shape_mismatch, "n", 4, 3);
  expect_error(tenon::inverse_upper_factor(view(a)), errc::shape_mismatch, "n", 4, 3);
  expect_error(tenon::cholesky_solve(view(std::as_const(l)), view(b)), errc::shape_mismatch, "n", 4, 3);
  expect_error(tenon::cholesky({a.values.data(), {2, 2}, {1, 2}}), errc::bad_stride, "a", 2, 1);
}

}  // namespace
