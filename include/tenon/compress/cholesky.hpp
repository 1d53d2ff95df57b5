#pragma once
//  Cholesky factors of symmetric positive definite matrices, in double, on the host, and what calibration does with
//  them.
//
//    A = L L',  L lower;     a step takes the square root of a pivot, and a pivot that is not positive ends the call
//
//  Sums are taken in a fixed order of eight lanes, so bits depend on the matrix alone.
//
//  Sources. Golub and Van Loan, "Matrix computations", section 4.2. The upper factor of an inverse as all that GPTQ
//  needs of it: Frantar et al., "GPTQ", 2023; that it is the inverse of a factor from the other end, and takes no
//  inverse of the whole, is elementary.
#include <tenon/compress/dot.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tenon {

namespace calibration {

/// The lower triangle of a (n, n), dense, to L in place. Gives n, or the first row whose pivot is not a positive
/// number.
inline index_t factor_lower(double* a, index_t n) {
  constexpr index_t together = 32;  // rows that read a finished row while it is in the cache
  for (index_t first = 0; first < n; first += together) {
    index_t const end = min(first + together, n);
    for (index_t j = 0; j < end; ++j)
      for (index_t i = max(first, j); i < end; ++i) {
        double const rest = a[i * n + j] - dot(a + i * n, a + j * n, j);
        if (i > j) {
          a[i * n + j] = rest / a[j * n + j];
          continue;
        }
        if (!(rest > 0) || !std::isfinite(rest)) return j;
        a[j * n + j] = std::sqrt(rest);
      }
  }
  return n;
}

}  // namespace calibration

/// a = L L': the lower triangle of a becomes L, and what is above the diagonal becomes 0.
///
/// a  (n, n)  f64, dense rows; symmetric, of which only the lower triangle is read
///
/// Cost    n^3 / 6 multiplications; allocates n^2 doubles
/// Errors  shape_mismatch(n), bad_stride, misaligned, out_of_range(pivot: `got` is the row whose pivot is not positive,
///         or not a number). `a` is untouched then.
/// Test tests/compress/cholesky_test.cpp.   Page docs/operators/healing.md.
inline status cholesky(tensor_view<double, 2> a) {
  extent   n{"n"};
  contract c{"cholesky"};
  c.shape(a, n, n).contiguous(a, "a").addressable(a, "a");
  TENON_TRY(c.result);
  auto const          size = static_cast<std::size_t>(n.value);
  std::vector<double> l(size * size);
  for (index_t i = 0; i < n.value; ++i)
    for (index_t j = 0; j <= i; ++j) l[static_cast<std::size_t>(i * n.value + j)] = a(i, j);
  if (index_t const row = calibration::factor_lower(l.data(), n.value); row < n.value)
    return {errc::out_of_range, "cholesky", "pivot", row, n.value};
  for (index_t i = 0; i < n.value; ++i)
    for (index_t j = 0; j < n.value; ++j) a(i, j) = l[static_cast<std::size_t>(i * n.value + j)];
  return {};
}

/// x[r,:] = (L L')^-1 b[r,:] for every row r, in place: b becomes x.
///
/// l  (n, n)     f64, dense rows: what cholesky left
/// b  (rows, n)  f64, dense rows
///
/// Cost    n^2 multiplications per row
/// Errors  shape_mismatch(n), bad_stride, misaligned
/// Test tests/compress/cholesky_test.cpp.   Page docs/operators/healing.md.
inline status cholesky_solve(tensor_view<double const, 2> l, tensor_view<double, 2> b) {
  extent   n{"n"}, rows{"rows"};
  contract c{"cholesky_solve"};
  c.shape(l, n, n).shape(b, rows, n).contiguous(l, "l").contiguous(b, "b").addressable(l, "l").addressable(b, "b");
  TENON_TRY(c.result);
  constexpr index_t together = 16;  // rows of b that read a row of L while it is in the cache
  for (index_t first = 0; first < rows.value; first += together) {
    index_t const end = min(first + together, rows.value);
    for (index_t j = 0; j < n.value; ++j)
      for (index_t r = first; r < end; ++r) {
        double* const x = &b(r, 0);
        x[j]            = (x[j] - calibration::dot(&l(j, 0), x, j)) / l(j, j);
      }
    for (index_t j = n.value; j-- > 0;)
      for (index_t r = first; r < end; ++r) {
        double* const x = &b(r, 0);
        x[j] /= l(j, j);
        double const* const row = &l(j, 0);
        for (index_t i = 0; i < j; ++i) x[i] -= row[i] * x[j];
      }
  }
  return {};
}

/// The upper triangular U with U'U = a^-1 and a positive diagonal, in place of a; zeros below the diagonal.
///
///   a = M M' with M upper, factored from the last row on;   U = M^-1
///
/// Row i of U is what an error in input i does to the best values of the inputs behind it: GPTQ's table.
///
/// a  (n, n)  f64, dense rows; symmetric, of which only the lower triangle is read
///
/// Cost    n^3 / 3 multiplications; allocates n^2 doubles
/// Errors  as cholesky, of which `got` is the row of a: the last one comes first
/// Test tests/compress/cholesky_test.cpp.   Page docs/operators/healing.md.
inline status inverse_upper_factor(tensor_view<double, 2> a) {
  extent   rows{"n"};
  contract c{"inverse_upper_factor"};
  c.shape(a, rows, rows).contiguous(a, "a").addressable(a, "a");
  TENON_TRY(c.result);
  index_t const       n    = rows.value;
  auto const          size = static_cast<std::size_t>(n);
  std::vector<double> l(size * size);  // of a read from its last row to its first
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j <= i; ++j) l[static_cast<std::size_t>(i * n + j)] = a(n - 1 - j, n - 1 - i);
  if (index_t const row = calibration::factor_lower(l.data(), n); row < n)
    return {errc::out_of_range, "inverse_upper_factor", "pivot", n - 1 - row, n};
  // L^-1, row by row: row i is (e_i - sum over k < i of L[i,k] (L^-1)[k,:]) / L[i,i]. Sixteen rows read one of the
  // finished ones while it is in the cache.
  constexpr index_t together = 16;
  for (index_t first = 0; first < n; first += together) {
    index_t const       end = min(first + together, n);
    std::vector<double> fresh(static_cast<std::size_t>((end - first) * n));
    for (index_t k = 0; k < end; ++k) {
      if (k >= first) {  // row k is complete: all of its sums are in
        double* const row   = fresh.data() + (k - first) * n;
        double const  pivot = l[static_cast<std::size_t>(k * n + k)];
        for (index_t j = 0; j < k; ++j) row[j] /= -pivot;
        row[k] = 1 / pivot;
      }
      double const* const done = k < first ? l.data() + k * n : fresh.data() + (k - first) * n;
      for (index_t i = max(first, k + 1); i < end; ++i) {
        double const  factor = l[static_cast<std::size_t>(i * n + k)];
        double* const row    = fresh.data() + (i - first) * n;
        for (index_t j = 0; j <= k; ++j) row[j] += factor * done[j];
      }
    }
    for (index_t i = first; i < end; ++i) std::copy_n(fresh.data() + (i - first) * n, i + 1, l.data() + i * n);
  }
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j) a(i, j) = j >= i ? l[static_cast<std::size_t>((n - 1 - i) * n + n - 1 - j)] : 0.;
  return {};
}

}  // namespace tenon
