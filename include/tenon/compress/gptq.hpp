#pragma once
//  GPTQ: codes chosen one column after the other, and what each column got wrong is made up for by the columns behind
//  it.
//
//    H = X'X + damping mean(diag) I,   U'U = H^-1, U upper;   for each column i, in order:
//      code_i = round(w_i / scale);   e = (w_i - scale code_i) / U[i,i];   w_j -= e U[i,j] for all later j
//
//  The sum of all e^2 is the squared error of the layer's outputs over the calibration rows, damping included.
//
//  Sources. Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained transformers", 2023;
//  for one weight, Hassibi and Stork, "Optimal brain surgeon", 1993. Columns in order of their inputs' size (act-order)
//  is of the authors' code. Scales that are found beforehand (static groups), so that the order leaves no trace in the
//  result, are a later option of public quantisers. Scales whose sign and size are both searched, inside GPTQ, are
//  ours.
#include <tenon/compress/cholesky.hpp>
#include <tenon/compress/gram.hpp>
#include <tenon/compress/integer_groups.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantize_weight.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace tenon {

struct gptq_quantize_options {
  weight_scale_method method        = weight_scale_method::searched;  // of quantize_weight
  bool                signed_scales = true;   // searched: false keeps scales positive, for kernels that want that
  bool                weighted      = false;  // searched: each column's error weighted by its inputs' mean square
  double              damping       = 0.01;   // of the mean of H's diagonal
  // Columns with larger inputs first; scales are then found beforehand. False: columns as they come, and the scale of a
  // group is found when its first column is reached, for the weights as they are by then.
  bool activation_order = true;
};

struct gptq_report {
  double  damping      = 0;  // that was used
  int     raised       = 0;  // how often it had to be raised tenfold
  index_t dead_columns = 0;  // whose inputs were always zero
  double  error        = 0;  // squared error of the outputs over all calibration rows, dead columns left out
};

namespace calibration {

/// Columns between updates of all that is behind them.
inline constexpr index_t gptq_block = 128;

/// Where the block that begins at `start` ends: no group begins within a block and ends behind it, so that whoever
/// enters a group finds all of its weights up to date.
inline index_t gptq_block_end(index_t start, index_t columns, index_t group) {
  index_t const end = min(start + gptq_block, columns);
  if (end == columns && columns - start <= group) return end;
  index_t const boundary = end / group * group;
  return end % group != 0 && boundary > start ? boundary : end;
}

}  // namespace calibration

/// The codes of w that leave the layer's outputs nearest to what they were; see the top of this file
///
/// out      written whole when the call succeeds, untouched when it does not; no order, whatever
///          options.activation_order
/// w        (rows, columns)  f32 f16 bf16   any strides; every value finite
/// gram     of the inputs    gram_statistics with these columns and at least one row
/// format   int4: any group, with or without zero points; int8: any group; a last group may be partial; block_rows 1
/// options  method, signed_scales, weighted, damping, activation_order
/// report   what happened, or none; also written, but for its error, where no damping was enough
///
/// Arithmetic  double; scales and codes as quantize_weight chooses and stores them. A column whose inputs were always
///             zero gets weights of 0. Where the Cholesky factor fails, the damping is raised tenfold, up to three
///             times.
/// Cost        columns^3 / 3 + rows columns^2 / 2 multiplications, and the search of scales; one thread. Allocates
///             2 columns^2 doubles.
/// Errors      shape_mismatch(columns), out_of_range(rows: gram has none; damping; w: `got` the row, `want` the column;
///             group; pivot: `got` is the column that fails with the highest damping, for which quantize_weight or AWQ
///             is left; scale: one outgrew its storage), unsupported(code, block_rows, zero_points, method), misaligned
/// Test tests/compress/gptq_test.cpp.   Page docs/operators/gptq.md.
template <class W>
status gptq(quantized_weight& out, tensor_view<W, 2> w, gram_statistics const& gram, weight_format format,
            gptq_quantize_options const& options = {}, gptq_report* report = nullptr) {
  extent   rows{"rows"}, columns{"columns"};
  contract c{"gptq"};
  calibration::weight_and_inputs(c, w, rows, columns, gram);
  calibration::integer_format(c, gram, format, options.method)
      .require(options.damping > 0 && std::isfinite(options.damping), errc::out_of_range, "damping");
  TENON_TRY(c.result);
  TENON_TRY(calibration::all_finite("gptq", "w", w));

  quantized_weight q;
  q.format = format, q.rows = rows.value, q.columns = columns.value;
  index_t const n = q.columns, group = calibration::group_columns(format, n), groups = q.groups();
  q.codes.resize(static_cast<std::size_t>(q.rows * n));
  q.scales.resize(static_cast<std::size_t>(q.rows * groups));
  if (format.zero_points) q.zeros.resize(q.scales.size(), 8);

  gptq_report       did;
  double            mean = 0;
  std::vector<bool> dead(static_cast<std::size_t>(n));
  for (index_t j = 0; j < n; ++j) {
    double const d                    = gram(j, j);
    dead[static_cast<std::size_t>(j)] = !(d > 0);
    if (d > 0) mean += d;
    else ++did.dead_columns;
  }
  mean = mean > 0 ? mean / static_cast<double>(n - did.dead_columns) : 1.;

  std::vector<index_t> order(static_cast<std::size_t>(n));  // place -> column
  std::iota(order.begin(), order.end(), index_t{0});
  if (options.activation_order)
    std::stable_sort(order.begin(), order.end(), [&](index_t a, index_t b) { return gram(a, a) > gram(b, b); });

  std::vector<double> u(static_cast<std::size_t>(n * n));
  for (did.damping = options.damping;; did.damping *= 10, ++did.raised) {
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j <= i; ++j) {
        index_t const a = order[static_cast<std::size_t>(i)], b = order[static_cast<std::size_t>(j)];
        double        h = gram(a, b);
        if (dead[static_cast<std::size_t>(a)] || dead[static_cast<std::size_t>(b)]) h = i == j ? mean : 0;
        u[static_cast<std::size_t>(i * n + j)] = h + (i == j ? did.damping * mean : 0.);
      }
    status s = inverse_upper_factor(dense(u.data(), n, n));
    if (s.ok()) break;
    if (did.raised == 3) {
      s.primitive = "gptq";
      s.got       = order[static_cast<std::size_t>(s.got)];
      if (report) *report = did;
      return s;
    }
  }

  // What scales have in common is fixed before any of them is.
  auto const at = [&](index_t i, index_t j) {
    return dead[static_cast<std::size_t>(j)] ? 0.f : static_cast<float>(w(i, j));
  };
  q.factor = calibration::common_factor(format, q.rows, n, at);

  quantize_weight_options const scale_options{.method = options.method, .signed_scales = options.signed_scales};
  quantizer::weight_cell        cell;
  // The grid of columns [first, first + count) of the weights `value(j)`.
  auto const choose = [&](index_t first, index_t count, auto const& value) {
    bool const weighted = options.weighted && options.method == weight_scale_method::searched;
    calibration::fill_cell(cell, count, [&](index_t j) { return value(first + j); });
    cell.importance.clear();
    for (index_t j = first; weighted && j < first + count; ++j)
      cell.importance.push_back(static_cast<float>(gram(j, j) / mean));
    return quantizer::choose_grid(cell, format, static_cast<double>(q.factor), scale_options);
  };

  constexpr index_t                   together = 16;  // rows that read a row of U while it is in the cache
  std::vector<double>                 values(static_cast<std::size_t>(together * n));  // in the order of `order`
  std::vector<double>                 errors(static_cast<std::size_t>(together * calibration::gptq_block));
  std::vector<quantizer::weight_grid> grids(static_cast<std::size_t>(together * groups));
  double                              squares = 0, moved = 0;
  for (index_t band = 0; band < q.rows; band += together) {
    index_t const height = min(together, q.rows - band);
    for (index_t r = 0; r < height; ++r) {
      for (index_t i = 0; i < n; ++i)
        values[static_cast<std::size_t>(r * n + i)] =
            static_cast<double>(at(band + r, order[static_cast<std::size_t>(i)]));
      if (options.activation_order)
        for (index_t g = 0; g * group < n; ++g)
          grids[static_cast<std::size_t>(r * groups + g)] =
              choose(g * group, min(group, n - g * group), [&](index_t j) { return at(band + r, j); });
    }
    for (index_t start = 0; start < n;) {
      index_t const end = calibration::gptq_block_end(start, n, group), width = end - start;
      for (index_t r = 0; r < height; ++r) {
        double* const v = values.data() + r * n;
        double* const e = errors.data() + r * calibration::gptq_block;
        for (index_t i = start; i < end; ++i) {
          index_t const column = order[static_cast<std::size_t>(i)], g = column / group;
          auto&         grid = grids[static_cast<std::size_t>(r * groups + g)];
          if (!options.activation_order && column % group == 0)
            grid = choose(column, min(group, n - column), [&](index_t j) { return v[j]; });
          if (!std::isfinite(grid.scale)) return {errc::out_of_range, "gptq", "scale", band + r, g};
          double const* const row    = u.data() + i * n;
          int const           code   = quantizer::integer_code(static_cast<float>(v[i]), grid);
          double const        number = static_cast<double>(grid.scale * static_cast<float>(code));
          int const           offset = format.code == weight_code::int8        ? 0
                                       : format.zero_points && grid.scale != 0 ? static_cast<int>(-grid.lowest)
                                                                               : 8;
          q.codes[static_cast<std::size_t>((band + r) * n + column)] = static_cast<std::uint8_t>(code + offset);
          double const change = static_cast<double>(at(band + r, column)) - number;
          moved += change * change;
          double const error = (v[i] - number) / row[i];
          squares += error * error;
          e[i - start] = error;
          for (index_t j = i + 1; j < end; ++j) v[j] -= error * row[j];
        }
      }
      // What is behind the block learns of all of its errors at once.
      for (index_t k = 0; k < width; k += 4) {
        double const* row[4];
        for (index_t l = 0; l < 4; ++l) row[l] = u.data() + min(start + k + l, end - 1) * n;
        for (index_t r = 0; r < height; ++r) {
          double* const       v = values.data() + r * n;
          double const* const e = errors.data() + r * calibration::gptq_block + k;
          double const        a = e[0], b = k + 1 < width ? e[1] : 0, d = k + 2 < width ? e[2] : 0,
                       f = k + 3 < width ? e[3] : 0;
          for (index_t j = end; j < n; ++j) v[j] -= (a * row[0][j] + b * row[1][j]) + (d * row[2][j] + f * row[3][j]);
        }
      }
      start = end;
    }
    for (index_t r = 0; r < height; ++r)
      for (index_t g = 0; g * group < n; ++g) {
        auto const& grid = grids[static_cast<std::size_t>(r * groups + g)];
        auto const  to   = static_cast<std::size_t>((band + r) * groups + g);
        q.scales[to]     = grid.stored;
        if (format.zero_points && grid.scale != 0) q.zeros[to] = static_cast<std::uint8_t>(-grid.lowest);
      }
  }
  did.error = max(squares - did.damping * mean * moved, 0.);
  if (report) *report = did;
  out = std::move(q);
  return {};
}

}  // namespace tenon
