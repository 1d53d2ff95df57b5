#pragma once
//  A weight matrix whose scales are known already to its codes, offline, on the host: the other half of
//  quantisation-aware training, which learns scales beside weights of 16 or 32 bits.
//
//    code[i, j] = round_half_even(w[i, j] / scale[i, j / group]), saturated;   scales are used as they are
//
//  Such a file holds one of two things. Weights that lie on the grid of their scales, w = scale * code, were quantised
//  before they were written: their codes are read off, and nothing is lost. Master weights lie anywhere: training
//  rounded them in its forward pass, and this rounds them the same way. The report says which it is, and whether the
//  scales belong to these weights at all.
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantize_weight.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace tenon {

/// How far weights are from the numbers of their scales, in steps between two numbers.
struct grid_report {
  index_t weights   = 0;
  index_t on_grid   = 0;  // at most options.threshold away from a number, or the nearest W to scale * number
  index_t saturated = 0;  // beyond the last code by more than half a step
  double  distance  = 0;  // |w / scale - number| in steps, the largest of those that do not saturate

  double on_grid_part() const { return part(on_grid); }
  double saturated_part() const { return part(saturated); }

  /// Adds what another matrix has.
  void merge(grid_report const& other) {
    weights += other.weights, on_grid += other.on_grid, saturated += other.saturated;
    distance = max(distance, other.distance);
  }

 private:
  double part(index_t n) const { return weights > 0 ? static_cast<double>(n) / static_cast<double>(weights) : 1; }
};

struct quantize_on_grid_options {
  double threshold = 1e-3;  // steps
};

/// code[i,j] = round_half_even(w[i,j] / scales[i, j / group]), saturated to -8..7 (int4), -128..127 (int8), +-448 (fp8)
///
/// out      written whole when the call succeeds, untouched when it does not; its factor is 1
/// report   of this matrix; as out
/// w        (rows, columns)                 f32 f16 bf16   any strides; every value finite
/// format   int4, int8 or fp8; any group; no zero points, one row per scale
/// scales   (rows, ceil(columns / group))   f32            any strides, 0 for one of all rows; finite, of fp8 >= 0
///
/// Arithmetic  an fp32 division, as of quantize_weight. Scales are kept bit for bit. Where a scale is 0, so are the
///             codes, and weights other than 0 count as saturated. A step of fp8 is the distance between neighbours
///             around w.
/// Cost        one pass, one thread. Allocates out.
/// Errors      out_of_range(w, scales: `got` is the row and `want` the column of the first value that is not allowed;
///             group, block_rows, threshold), shape_mismatch(rows, groups), misaligned, unsupported(zero_points, code).
/// Source      Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
///             inference", 2018 (training); Esser et al., "Learned step size quantization", 2020 (scales that are
///             learned).
/// Test tests/quant/quantize_on_grid_test.cpp.   Page docs/operators/quantize_weight.md.
template <class W>
status quantize_on_grid(quantized_weight& out, grid_report& report, tensor_view<W, 2> w, weight_format format,
                        tensor_view<float const, 2> scales, quantize_on_grid_options const& options = {}) {
  constexpr char const* name = "quantize_on_grid";
  extent                rows{"rows"}, columns{"columns"}, groups{"groups"};
  contract              c{name};
  c.shape(w, rows, columns)
      .shape(scales, rows, groups)
      .addressable(w, "w")
      .addressable(scales, "scales")
      .require(format.code != weight_code::fp4, errc::unsupported, "code")
      .require(!format.zero_points, errc::unsupported, "zero_points")
      .require(format.group >= 0, errc::out_of_range, "group", format.group, 0)
      .require(format.block_rows == 1, errc::out_of_range, "block_rows", format.block_rows, 1)
      .require(options.threshold >= 0 && options.threshold < 0.5, errc::out_of_range, "threshold");
  TENON_TRY(c.result);
  quantized_weight q;
  q.format = format, q.rows = rows.value, q.columns = columns.value;
  TENON_TRY(c.require(groups.value == q.groups(), errc::shape_mismatch, "groups", groups.value, q.groups()).result);

  bool const   integer = format.code != weight_code::fp8;
  float const  highest = quantizer::largest_number(format.code), lowest = integer ? -highest - 1 : -highest;
  int const    offset = format.code == weight_code::int4 ? 8 : 0;
  double const most   = static_cast<double>(std::numeric_limits<float>::max());
  q.codes.resize(static_cast<std::size_t>(q.rows * q.columns));
  for (index_t i = 0; i < q.rows; ++i)
    for (index_t g = 0; g < q.groups(); ++g) {
      float const s = scales(i, g);
      if (!(std::abs(static_cast<double>(s)) <= most) || (!integer && s < 0))
        return {errc::out_of_range, name, "scales", i, g};
      q.scales.push_back(s);
    }

  grid_report   r;
  index_t const group = format.group > 0 ? format.group : max(q.columns, index_t{1});
  std::uint8_t* to    = q.codes.data();
  for (index_t i = 0; i < q.rows; ++i)
    for (index_t j = 0; j < q.columns; ++j, ++to) {
      quantizer::weight_grid const grid{q.scales[static_cast<std::size_t>(i * q.groups() + j / group)], 0, lowest,
                                        highest};
      float const                  v = static_cast<float>(w(i, j));
      if (!(std::abs(static_cast<double>(v)) <= most)) return {errc::out_of_range, name, "w", i, j};
      float number = 0;
      if (integer) {
        int const code = quantizer::integer_code(v, grid);
        *to            = static_cast<std::uint8_t>(code + offset);
        number         = static_cast<float>(code);
      } else {
        *to    = quantizer::float_code(v, grid, format.code);
        number = static_cast<float>(e4m3::from_bits(*to));
      }

      // How far that is.
      ++r.weights;
      if (grid.scale == 0) {
        ++(v == 0 ? r.on_grid : r.saturated);
        continue;
      }
      double const ratio = static_cast<double>(v) / static_cast<double>(grid.scale);
      double       step  = 1;
      if (!integer) {
        int exponent = 0;
        std::frexp(ratio, &exponent);
        step = std::ldexp(1., max(exponent, -5) - 4);  // three fraction bits; 2^-9 below the normal numbers
      }
      double const distance = std::abs(ratio - static_cast<double>(number)) / step;
      bool const   beyond   = ratio < static_cast<double>(lowest) || ratio > static_cast<double>(highest);
      if (beyond && distance > 0.5) {
        ++r.saturated;
        continue;
      }
      r.distance = max(r.distance, distance);
      if (distance <= options.threshold || static_cast<float>(std::remove_const_t<W>(grid.scale * number)) == v)
        ++r.on_grid;
    }
  out    = std::move(q);
  report = r;
  return {};
}

}  // namespace tenon
