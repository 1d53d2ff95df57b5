#pragma once
//  What calibration rows say about the inputs of a linear layer: their Gram matrix X'X, and per column the sums that
//  scales and scores need. One pass over the rows serves GPTQ, AWQ, refits and width scores.
//
//    gram[i,j] = sum over rows of x[row,i] x[row,j]
//
//  Rows wait until there are 256 of them. Then the block's sums are taken in double, row by row, and added to the
//  total. So bits depend on the rows and their order alone, not on how calls divide them; and whoever uses threads
//  gives each its own fixed run of rows and merges the results in order.
//
//  Sources. The Gram matrix as all that a layer's output error needs: Hassibi and Stork, "Second order derivatives for
//  network pruning: optimal brain surgeon", 1993; Frantar et al., "GPTQ", 2023. Mean magnitudes: Lin et al., "AWQ",
//  2024.
#include <tenon/compress/dot.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace tenon {

/// Rows that are summed by themselves before they join the total.
inline constexpr index_t gram_block_rows = 256;

/// The most columns of a Gram matrix: its triangle is half a terabyte of doubles by then.
inline constexpr index_t most_gram_columns = index_t{1} << 18;

/// X'X and sums over rows x of width `columns`. Plain data: read it, save it, merge it.
struct gram_statistics {
  index_t             columns = 0;
  index_t             rows    = 0;
  std::vector<double> upper;    // (columns (columns + 1) / 2): row i of the upper triangle from its diagonal on
  std::vector<double> sum;      // (columns)  sum x
  std::vector<double> sum_abs;  // (columns)  sum |x|
  std::vector<double> absmax;   // (columns)  max |x|

  /// Where element (i, j) of `upper` is, less j, for j >= i.
  std::size_t row_offset(index_t i) const { return static_cast<std::size_t>(i * columns - i * (i + 1) / 2); }

  double operator()(index_t i, index_t j) const {
    return i <= j ? upper[row_offset(i) + static_cast<std::size_t>(j)] : operator()(j, i);
  }
  double sum_squares(index_t j) const { return operator()(j, j); }

  double mean(index_t j) const { return per_row(sum[static_cast<std::size_t>(j)]); }
  double mean_abs(index_t j) const { return per_row(sum_abs[static_cast<std::size_t>(j)]); }
  double mean_square(index_t j) const { return per_row(sum_squares(j)); }
  /// Of all rows (divided by rows, not by one less), never below zero.
  double variance(index_t j) const { return max(mean_square(j) - mean(j) * mean(j), 0.); }

 private:
  double per_row(double v) const { return rows > 0 ? v / static_cast<double>(rows) : 0.; }
};

namespace calibration {

/// Columns that lie side by side in a panel: a panel of a block is then 16 KiB and two of them stay in a first-level
/// cache.
inline constexpr index_t panel = 8;

/// A block of rows as doubles in panels: (ceil(columns / 8), rows, 8), zeros behind the last column.
inline void fill_panels(std::vector<double>& to, std::vector<float> const& rows, index_t count, index_t columns) {
  to.assign(static_cast<std::size_t>(round_up(columns, panel) * count), 0.);
  for (index_t r = 0; r < count; ++r)
    for (index_t j = 0; j < columns; ++j)
      to[static_cast<std::size_t>((j / panel * count + r) * panel + j % panel)] =
          static_cast<double>(rows[static_cast<std::size_t>(r * columns + j)]);
}

/// out[i,j] = sum over r of a[r,i] b[r,j], of two panels, r ascending
inline void multiply_panels(double (&out)[panel][panel], double const* a, double const* b, index_t rows) {
  for (index_t i = 0; i < panel; i += 2) {
    double first[panel] = {}, second[panel] = {};
    for (index_t r = 0; r < rows; ++r) {
      double const x = a[r * panel + i], y = a[r * panel + i + 1];
      for (index_t j = 0; j < panel; ++j) first[j] += x * b[r * panel + j];
      for (index_t j = 0; j < panel; ++j) second[j] += y * b[r * panel + j];
    }
    for (index_t j = 0; j < panel; ++j) out[i][j] = first[j], out[i + 1][j] = second[j];
  }
}

/// The first element that is not finite, as a status; ok if there is none.
template <class X>
status all_finite(char const* primitive, char const* subject, tensor_view<X, 2> v) {
  for (index_t i = 0; i < v.extent[0]; ++i)
    for (index_t j = 0; j < v.extent[1]; ++j)
      if (!(std::abs(static_cast<float>(v(i, j))) <= std::numeric_limits<float>::max()))
        return {errc::out_of_range, primitive, subject, i, j};
  return {};
}

}  // namespace calibration

/// Collects gram_statistics from rows as they come.
class gram_accumulator {
 public:
  /// Adds the rows of x.
  ///
  /// x        (rows, columns)  f32 f16 bf16, every value finite; any strides. The first call with columns fixes their
  ///                           number
  ///
  /// Arithmetic  double, rows in order; see the top of this file
  /// Cost        columns^2 / 2 multiplications per row; memory: the triangle, and 768 rows of columns floats
  /// Errors      shape_mismatch(columns), out_of_range(x: `got` is the row and `want` the column of the first value
  ///             that is not finite), misaligned, unsupported(columns: more than most_gram_columns). Nothing is added
  ///             then.
  /// Test tests/compress/gram_test.cpp.   Page docs/operators/calibration.md.
  template <class X>
  status add(tensor_view<X, 2> x) {
    extent   rows{"rows"}, columns{"columns", started_ ? total_.columns : -1};
    contract c{"gram_accumulator::add"};
    c.shape(x, rows, columns)
        .addressable(x, "x")
        .require(x.extent[1] <= most_gram_columns, errc::unsupported, "columns", x.extent[1], most_gram_columns);
    TENON_TRY(c.result);
    TENON_TRY(calibration::all_finite("gram_accumulator::add", "x", x));
    if (!started_) start(columns.value);
    for (index_t i = 0; i < x.extent[0]; ++i) {
      for (index_t j = 0; j < total_.columns; ++j) waiting_.push_back(static_cast<float>(x(i, j)));
      if (++waiting_rows_ == gram_block_rows) add_block();
    }
    return {};
  }

  /// Rows so far.
  index_t rows() const { return total_.rows + waiting_rows_; }

  /// Everything so far; what waits counts as a block of its own. The accumulator is empty afterwards.
  gram_statistics take() {
    if (waiting_rows_ > 0) add_block();
    auto all = std::move(total_);
    *this    = gram_accumulator{};
    return all;
  }

 private:
  void start(index_t columns) {
    started_       = true;
    total_.columns = columns;
    auto const n   = static_cast<std::size_t>(columns);
    total_.upper.resize(n * (n + 1) / 2);
    for (auto* v : {&total_.sum, &total_.sum_abs, &total_.absmax}) v->resize(n);
  }

  void add_block() {
    index_t const n = total_.columns, count = waiting_rows_;
    calibration::fill_panels(panels_, waiting_, count, n);
    for (index_t i = 0; i < n; i += calibration::panel)
      for (index_t j = i; j < n; j += calibration::panel) {
        double tile[calibration::panel][calibration::panel];
        calibration::multiply_panels(tile, panels_.data() + i * count, panels_.data() + j * count, count);
        for (index_t a = 0; a < min(calibration::panel, n - i); ++a)
          for (index_t b = i == j ? a : 0; b < min(calibration::panel, n - j); ++b)
            total_.upper[total_.row_offset(i + a) + static_cast<std::size_t>(j + b)] += tile[a][b];
      }
    for (index_t j = 0; j < n; ++j) {
      double sum = 0, sum_abs = 0, absmax = 0;
      for (index_t r = 0; r < count; ++r) {
        auto const x = static_cast<double>(waiting_[static_cast<std::size_t>(r * n + j)]);
        sum += x, sum_abs += std::abs(x), absmax = max(absmax, std::abs(x));
      }
      auto const at = static_cast<std::size_t>(j);
      total_.sum[at] += sum, total_.sum_abs[at] += sum_abs, total_.absmax[at] = max(total_.absmax[at], absmax);
    }
    total_.rows += count;
    waiting_.clear();
    waiting_rows_ = 0;
  }

  bool                started_ = false;
  gram_statistics     total_;
  std::vector<float>  waiting_;  // (waiting_rows_, columns)
  index_t             waiting_rows_ = 0;
  std::vector<double> panels_;
};

/// into += other: the statistics of the rows of both. Merge in a fixed order to have fixed bits.
///
/// Errors  shape_mismatch(columns), unless one of them has no rows and no columns
/// Test tests/compress/gram_test.cpp.   Page docs/operators/calibration.md.
inline status merge(gram_statistics& into, gram_statistics const& other) {
  if (other.columns == 0 && other.rows == 0) return {};
  if (into.columns == 0 && into.rows == 0) {
    into = other;
    return {};
  }
  if (into.columns != other.columns) return {errc::shape_mismatch, "merge", "columns", other.columns, into.columns};
  auto const add = [](std::vector<double>& a, std::vector<double> const& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  };
  add(into.upper, other.upper), add(into.sum, other.sum), add(into.sum_abs, other.sum_abs);
  for (std::size_t i = 0; i < into.absmax.size(); ++i) into.absmax[i] = max(into.absmax[i], other.absmax[i]);
  into.rows += other.rows;
  return {};
}

/// A'R of pairs of rows, and what a least squares fit of R to A needs besides A's own Gram matrix.
struct cross_statistics {
  index_t             inputs  = 0;  // columns of A
  index_t             outputs = 0;  // columns of R
  index_t             rows    = 0;
  std::vector<double> products;            // (outputs, inputs): sum over rows of r[o] a[i]
  double              target_squares = 0;  // sum over all of r^2
};

/// Collects cross_statistics.
class cross_accumulator {
 public:
  /// Adds the rows of a and r, which belong together.
  ///
  /// a        (rows, inputs)   f32 f16 bf16, every value finite; any strides
  /// r        (rows, outputs)  likewise
  ///
  /// Arithmetic  as gram_accumulator: double, 256 rows at a time
  /// Cost        inputs * outputs multiplications per row
  /// Errors      shape_mismatch(rows, inputs, outputs), out_of_range(a, r: `got` the row, `want` the column),
  ///             misaligned, unsupported(inputs, outputs: more than most_gram_columns). Nothing is added then.
  /// Test tests/compress/gram_test.cpp.   Page docs/operators/calibration.md.
  template <class A, class R>
  status add(tensor_view<A, 2> a, tensor_view<R, 2> r) {
    extent rows{"rows"}, inputs{"inputs", started_ ? total_.inputs : -1},
        outputs{"outputs", started_ ? total_.outputs : -1};
    contract c{"cross_accumulator::add"};
    c.shape(a, rows, inputs)
        .shape(r, rows, outputs)
        .addressable(a, "a")
        .addressable(r, "r")
        .require(a.extent[1] <= most_gram_columns, errc::unsupported, "inputs", a.extent[1], most_gram_columns)
        .require(r.extent[1] <= most_gram_columns, errc::unsupported, "outputs", r.extent[1], most_gram_columns);
    TENON_TRY(c.result);
    TENON_TRY(calibration::all_finite("cross_accumulator::add", "a", a));
    TENON_TRY(calibration::all_finite("cross_accumulator::add", "r", r));
    if (!started_) {
      started_      = true;
      total_.inputs = inputs.value, total_.outputs = outputs.value;
      total_.products.resize(static_cast<std::size_t>(inputs.value * outputs.value));
    }
    for (index_t i = 0; i < a.extent[0]; ++i) {
      for (index_t j = 0; j < total_.inputs; ++j) waiting_a_.push_back(static_cast<float>(a(i, j)));
      for (index_t j = 0; j < total_.outputs; ++j) waiting_r_.push_back(static_cast<float>(r(i, j)));
      if (++waiting_rows_ == gram_block_rows) add_block();
    }
    return {};
  }

  index_t rows() const { return total_.rows + waiting_rows_; }

  /// Everything so far; the accumulator is empty afterwards.
  cross_statistics take() {
    if (waiting_rows_ > 0) add_block();
    auto all = std::move(total_);
    *this    = cross_accumulator{};
    return all;
  }

 private:
  void add_block() {
    index_t const count = waiting_rows_, n = total_.inputs;
    calibration::fill_panels(panels_a_, waiting_a_, count, n);
    calibration::fill_panels(panels_r_, waiting_r_, count, total_.outputs);
    for (index_t o = 0; o < total_.outputs; o += calibration::panel)
      for (index_t i = 0; i < n; i += calibration::panel) {
        double tile[calibration::panel][calibration::panel];
        calibration::multiply_panels(tile, panels_r_.data() + o * count, panels_a_.data() + i * count, count);
        for (index_t a = 0; a < min(calibration::panel, total_.outputs - o); ++a)
          for (index_t b = 0; b < min(calibration::panel, n - i); ++b)
            total_.products[static_cast<std::size_t>((o + a) * n + i + b)] += tile[a][b];
      }
    double squares = 0;
    for (float const v : waiting_r_) squares += static_cast<double>(v) * static_cast<double>(v);
    total_.target_squares += squares;
    total_.rows += count;
    waiting_a_.clear(), waiting_r_.clear();
    waiting_rows_ = 0;
  }

  bool                started_ = false;
  cross_statistics    total_;
  std::vector<float>  waiting_a_, waiting_r_;
  index_t             waiting_rows_ = 0;
  std::vector<double> panels_a_, panels_r_;
};

/// sum over rows w of d of  w gram w':  the squared error of the outputs, over all calibration rows, of a layer whose
/// weights are off by d. Never below zero.
///
/// d  (rows, gram.columns) of a dense row-major array
inline double output_error(gram_statistics const& gram, std::vector<double> const& d) {
  index_t const     n        = gram.columns;
  index_t const     rows     = n > 0 ? static_cast<index_t>(d.size()) / n : 0;
  constexpr index_t together = 4;  // rows that share one pass over the triangle
  double            all      = 0;
  for (index_t first = 0; first < rows; first += together) {
    index_t const count         = min(together, rows - first);
    double        sum[together] = {};
    for (index_t i = 0; i < n; ++i) {
      double const* const row = gram.upper.data() + gram.row_offset(i);
      for (index_t r = 0; r < count; ++r) {
        double const* const v = d.data() + (first + r) * n;
        if (v[i] == 0) continue;
        sum[r] += v[i] * (row[i] * v[i] + 2 * calibration::dot(row + i + 1, v + i + 1, n - i - 1));
      }
    }
    for (index_t r = 0; r < count; ++r) all += max(sum[r], 0.);
  }
  return all;
}

}  // namespace tenon
