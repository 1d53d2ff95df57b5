#pragma once
//  A weight matrix to codes and scales, offline, on the host: the nearest code of every weight, under a scale that absmax,
//  its signed form or a search picks.
//
//    code = round_half_even(w / scale), saturated;   scale per row, group of columns, block or tensor
//
//  Sources. Absmax and ranges: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-
//  only inference", 2018. A scale whose sign lets the larger end be -8: ggml's q4_0. Search by squared error, weighted by what
//  each column's input amounts to: ggml's importance matrices; Frantar et al., "GPTQ", 2023, search likewise. Both at once,
//  sign and search, is ours. fp4: OCP, "Microscaling formats (MX) specification", 1.0 (groups of 32); NVIDIA's NVFP4 (of 16).
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace tenon {

/// How the scale of a group is found. The largest code is 7 (int4), 127 (int8), 448 (fp8), 6 (fp4).
enum class weight_scale_method : std::uint8_t {
  absmax,         // the largest magnitude becomes the largest code; with zero points, [min, max] becomes 0..15
  signed_absmax,  // int4, int8: the weight of largest magnitude becomes -8 or -128, whatever its sign
  searched,       // int4, int8: the scale with the least squared error, of 21 sizes and both signs
};

struct quantize_weight_options {
  weight_scale_method method             = weight_scale_method::absmax;
  bool                per_tensor         = false;  // one scale of all rows; the format has a scale per row
  bool                signed_scales      = true;   // searched: false keeps scales positive, for kernels that want that
  tensor_view<float const, 1> importance = {};     // searched: (columns) weights of the squared errors; none: all equal
};

namespace quantizer {

/// v to an integer, ties to even, for |v| < 2^22.
inline float nearest_integer(float v) { return (v + 12582912.f) - 12582912.f; }

inline float clamp(float v, float lowest, float highest) { return v < lowest ? lowest : v > highest ? highest : v; }

/// The weights that share a scale, gathered: dense, so that loops over them vectorise.
struct weight_cell {
  std::vector<float> values, importance;       // importance is empty where all are equal
  float              least = 0, greatest = 0;  // 0 included

  float absmax() const { return max(-least, greatest); }
};

/// Scale and range of codes: number = clamp(round(w / scale), lowest, highest).
struct weight_grid {
  float scale  = 0;
  float stored = 0;  // scale / factor
  float lowest = 0, highest = 0;
};

/// sum importance (w - scale number)^2
inline double squared_error(weight_cell const& cell, weight_grid const& g) {
  constexpr std::size_t lanes      = 16;
  float                 sum[lanes] = {};
  float const           inverse    = 1.f / g.scale;
  std::size_t const     n = cell.values.size(), whole = n / lanes * lanes;
  bool const            weighted = !cell.importance.empty();
  // In units of the scale, so that squares neither overflow nor vanish.
  auto const one = [&](std::size_t j, float importance) {
    float const v = cell.values[j] * inverse;
    float const e = v - nearest_integer(clamp(v, g.lowest, g.highest));
    return importance * e * e;
  };
  if (weighted) {
    for (std::size_t j = 0; j < whole; j += lanes)
      for (std::size_t l = 0; l < lanes; ++l) sum[l] += one(j + l, cell.importance[j + l]);
  } else {
    for (std::size_t j = 0; j < whole; j += lanes)
      for (std::size_t l = 0; l < lanes; ++l) sum[l] += one(j + l, 1.f);
  }
  double all = 0;
  for (std::size_t l = 0; l < lanes; ++l) all += static_cast<double>(sum[l]);
  for (std::size_t j = whole; j < n; ++j) all += static_cast<double>(one(j, weighted ? cell.importance[j] : 1.f));
  return all * static_cast<double>(g.scale) * static_cast<double>(g.scale);
}

/// What scales are stored as, and the factor that they have in common.
enum class weight_scale_storage : std::uint8_t { f32, f16, e4m3, power_of_two };

inline weight_scale_storage storage_of(weight_format const& f) {
  if (f.code == weight_code::fp4)
    return f.group == 16 ? weight_scale_storage::e4m3 : weight_scale_storage::power_of_two;
  bool const integer = f.code == weight_code::int4 || f.code == weight_code::int8;
  return integer && (f.group > 0 || f.code == weight_code::int4) ? weight_scale_storage::f16
                                                                 : weight_scale_storage::f32;
}

/// The scale that is stored for `scale`, which is in units of the factor.
inline float stored(double scale, weight_scale_storage as) {
  auto const s = static_cast<float>(scale);
  switch (as) {
    case weight_scale_storage::f32: break;
    case weight_scale_storage::f16: return static_cast<float>(f16(s));
    case weight_scale_storage::e4m3: return static_cast<float>(tenon::e4m3(s));
    case weight_scale_storage::power_of_two: {  // at or below
      int exponent = 0;
      std::frexp(s, &exponent);
      return s > 0 ? static_cast<float>(std::ldexp(1., max(exponent - 1, -126))) : 0.f;
    }
  }
  return s;
}

inline float largest_number(weight_code code) {
  switch (code) {
    case weight_code::int4: return 7;
    case weight_code::int8: return 127;
    case weight_code::fp8: return 448;
    case weight_code::fp4: return 6;
  }
  return 1;
}

/// Sizes that the search tries, as parts of absmax / 8 (/ 128): from all within the range to a third of it clipped.
inline constexpr int weight_search_steps = 21;

inline double weight_search_size(int step, weight_code code) {
  return code == weight_code::int4 ? 1.15 - 0.0275 * step : 1.01 - 0.02 * step;
}

/// The grid of a cell under a method; a scale of 0 where the cell is all zeros, or too small for the scale's storage.
inline weight_grid choose_grid(weight_cell const& cell, weight_format const& format, double factor,
                               quantize_weight_options const& options) {
  auto const   as      = storage_of(format);
  float const  highest = largest_number(format.code);
  double const absmax  = static_cast<double>(cell.absmax());
  // Scales below the normal numbers have no reciprocal.
  auto const usable = [&](float s) { return std::abs(static_cast<double>(s) * factor) >= 1.2e-38; };
  auto const grid   = [&](double scale, float lowest, float top) {
    float const s = stored(scale / factor, as);
    return usable(s) ? weight_grid{static_cast<float>(static_cast<double>(s) * factor), s, lowest, top} : weight_grid{};
  };
  // Codes 0..15 for [size * least, size * greatest], 0 among them.
  auto const with_zero_point = [&](double size) {
    double const range = static_cast<double>(cell.greatest) - static_cast<double>(cell.least);
    auto         g     = grid(size * range / 15, 0, 0);
    if (g.scale == 0) return g;
    float const zero = nearest_integer(clamp(static_cast<float>(size) * -cell.least / g.scale, 0, 15));
    g.lowest = -zero, g.highest = 15 - zero;
    return g;
  };
  // MX: the power of two below absmax becomes 4, the largest power of two among the codes, and up to 8 saturates to 6.
  if (as == weight_scale_storage::power_of_two) return grid(absmax / 4, -highest, highest);
  bool const integer = format.code == weight_code::int4 || format.code == weight_code::int8;
  if (!integer || options.method == weight_scale_method::absmax)
    return format.zero_points ? with_zero_point(1) : grid(absmax / static_cast<double>(highest), -highest, highest);

  float const  lowest = -highest - 1;
  double const whole  = absmax / static_cast<double>(-lowest);
  double const sign   = cell.greatest >= -cell.least ? -1 : 1;  // that makes the larger end the lowest code
  if (options.method == weight_scale_method::signed_absmax)
    return format.zero_points ? with_zero_point(1) : grid(sign * whole, lowest, highest);

  weight_grid best;
  double      least = std::numeric_limits<double>::infinity();
  auto const  offer = [&](weight_grid const& g) {
    if (g.scale == 0) return;
    if (double const error = squared_error(cell, g); best.scale == 0 || error < least) least = error, best = g;
  };
  if (format.zero_points) {
    for (int i = 0; i < weight_search_steps; ++i) offer(with_zero_point(1 - 0.02 * i));
    return best;
  }
  offer(grid((options.signed_scales ? sign : 1) * whole, lowest, highest));
  offer(grid(absmax / static_cast<double>(highest), lowest, highest));
  for (int i = 0; i < weight_search_steps; ++i)
    for (double const s : {sign, -sign})
      if (s > 0 || options.signed_scales) offer(grid(s * weight_search_size(i, format.code) * whole, lowest, highest));
  return best;
}

/// What all scales have in common, chosen from the largest and the least positive absmax of a cell.
inline float choose_factor(weight_format const& format, double largest, double least) {
  if (largest == 0) return 1;
  switch (storage_of(format)) {
    case weight_scale_storage::f32:
    case weight_scale_storage::power_of_two: return 1;
    case weight_scale_storage::e4m3:
      return max(static_cast<float>(largest / (6. * 448.)), std::numeric_limits<float>::min());
    case weight_scale_storage::f16: break;
  }
  // f16 has eleven bits from 2^-14 on, and the search takes up to a bit off. Scales of 2^10 leave room for their products with codes.
  double const codes = static_cast<double>(largest_number(format.code)) + 1;
  int          high = 0, low = 0;
  std::frexp(largest / codes, &high);
  std::frexp(max(least, largest * 0x1p-24) / codes, &low);
  if (high <= 10 && low >= -12) return 1;
  return static_cast<float>(std::ldexp(1., max(high - 10, -126)));
}

/// The nearest code, before its offset.
inline int integer_code(float w, weight_grid const& g) {
  float const v = g.scale == 0 ? 0.f : w / g.scale;
  return static_cast<int>(nearest_integer(clamp(v, g.lowest, g.highest)));
}
inline std::uint8_t float_code(float w, weight_grid const& g, weight_code code) {
  float const v = g.scale == 0 ? 0.f : w / g.scale;
  return code == weight_code::fp8 ? tenon::e4m3(v).bits : tenon::e2m1(v).bits;
}

}  // namespace quantizer

/// code[i,j] = round_half_even(w[i,j] / scale[i / block_rows, j / group]), saturated; see quantized_weight
///
/// out      written whole when the call succeeds, untouched when it does not
/// w        (rows, columns)  f32 f16 bf16   any strides; every value finite
/// format   int4: any group, with or without zero points; int8, fp8: any group, any block; fp4: groups of 16 or 32
/// options  method, per_tensor, signed_scales, importance
///
/// Arithmetic  scales in double, then rounded to what kernels keep: f16 for int4 and for groups of int8, with a power of two
///             pulled out as out.factor where they would leave its normal range; f32 else; fp4: e4m3 times a factor (groups
///             of 16), powers of two (of 32). Codes are chosen for the rounded scale, by an fp32 division. A group of zeros
///             has scale 0 and codes of value 0, as has one that is too small for the storage of its scale.
/// Cost        one pass, and 44 more over each group where the scale is searched; one thread. Allocates out.
/// Errors      out_of_range(w: `got` is the row and `want` the column of the first value that is not finite; importance,
///             group, block_rows), shape_mismatch(columns of importance), misaligned, unsupported(zero_points, per_tensor,
///             method, group of fp4).
/// Test tests/quant/quantize_weight_test.cpp.   Page docs/operators/quantize_weight.md.
template <class W>
status quantize_weight(quantized_weight& out, tensor_view<W, 2> w, weight_format format,
                       quantize_weight_options const& options = {}) {
  extent     rows{"rows"}, columns{"columns"};
  bool const integer = format.code == weight_code::int4 || format.code == weight_code::int8;
  contract   c{"quantize_weight"};
  c.shape(w, rows, columns)
      .addressable(w, "w")
      .require(format.group >= 0, errc::out_of_range, "group", format.group, 0)
      .require(format.block_rows >= 1, errc::out_of_range, "block_rows", format.block_rows, 1)
      .require(!format.zero_points || (format.code == weight_code::int4 && format.block_rows == 1), errc::unsupported,
               "zero_points")
      .require(format.code != weight_code::fp4 || format.group == 16 || format.group == 32, errc::unsupported, "group",
               format.group, 16)
      .require(integer || options.method == weight_scale_method::absmax, errc::unsupported, "method")
      .require(!options.per_tensor || (options.method == weight_scale_method::absmax && format.group == 0 &&
                                       format.block_rows == 1 && !format.zero_points),
               errc::unsupported, "per_tensor");
  if (options.importance.extent[0] != 0)
    c.shape(options.importance, columns).addressable(options.importance, "importance");
  TENON_TRY(c.result);

  quantized_weight q;
  q.format = format, q.rows = rows.value, q.columns = columns.value;
  index_t const group = format.group > 0 ? format.group : max(q.columns, index_t{1});
  index_t const bands = q.scale_rows(), groups = q.columns > 0 ? q.groups() : 0;
  q.codes.resize(static_cast<std::size_t>(q.rows * q.columns));
  q.scales.resize(static_cast<std::size_t>(bands * q.groups()));
  if (format.zero_points) q.zeros.resize(static_cast<std::size_t>(q.rows * q.groups()), 8);

  std::vector<float> importance;
  for (index_t j = 0; j < options.importance.extent[0]; ++j) {
    float const v = options.importance(j);
    if (!(v >= 0 && v <= std::numeric_limits<float>::max()))
      return {errc::out_of_range, "quantize_weight", "importance", j, 0};
    importance.push_back(v);
  }

  // One pass over all: what is not finite, and the range of scales.
  double largest = 0, least = std::numeric_limits<double>::infinity();
  for (index_t band = 0; band < bands; ++band) {
    std::vector<float> absmax(static_cast<std::size_t>(groups));
    for (index_t i = band * format.block_rows; i < min((band + 1) * format.block_rows, q.rows); ++i)
      for (index_t g = 0; g < groups; ++g)
        for (index_t j = g * group; j < min((g + 1) * group, q.columns); ++j) {
          float const v = std::abs(static_cast<float>(w(i, j)));
          if (!(v <= std::numeric_limits<float>::max())) return {errc::out_of_range, "quantize_weight", "w", i, j};
          auto& m = absmax[static_cast<std::size_t>(g)];
          m       = max(m, v);
        }
    for (float const m : absmax) {
      largest = max(largest, static_cast<double>(m));
      if (m > 0) least = min(least, static_cast<double>(m));
    }
  }
  q.factor = quantizer::choose_factor(format, largest, least);

  quantizer::weight_cell cell;
  for (index_t band = 0; band < bands; ++band)
    for (index_t g = 0; g < groups; ++g) {
      index_t const row = band * format.block_rows, height = min(index_t{format.block_rows}, q.rows - row);
      index_t const column = g * group, width = min(group, q.columns - column);
      cell.values.resize(static_cast<std::size_t>(height * width));
      cell.importance.resize(importance.empty() ? 0 : cell.values.size());
      cell.least = cell.greatest = 0;
      for (index_t i = 0; i < height; ++i)
        for (index_t j = 0; j < width; ++j) {
          auto const  n  = static_cast<std::size_t>(i * width + j);
          float const v  = static_cast<float>(w(row + i, column + j));
          cell.values[n] = v;
          cell.least     = min(cell.least, v);
          cell.greatest  = max(cell.greatest, v);
          if (!importance.empty()) cell.importance[n] = importance[static_cast<std::size_t>(column + j)];
        }
      if (options.per_tensor) cell.greatest = static_cast<float>(largest);

      auto const grid = quantizer::choose_grid(cell, format, static_cast<double>(q.factor), options);
      auto const at   = static_cast<std::size_t>(band * q.groups() + g);
      q.scales[at]    = grid.stored;
      int offset      = format.code == weight_code::int4 ? 8 : 0;
      if (format.zero_points && grid.scale != 0) offset = static_cast<int>(-grid.lowest);
      if (format.zero_points) q.zeros[at] = static_cast<std::uint8_t>(offset);
      for (index_t i = 0; i < height; ++i) {
        float const* const  from = cell.values.data() + i * width;
        std::uint8_t* const to   = q.codes.data() + (row + i) * q.columns + column;
        if (integer)
          for (index_t j = 0; j < width; ++j)
            to[j] = static_cast<std::uint8_t>(quantizer::integer_code(from[j], grid) + offset);
        else
          for (index_t j = 0; j < width; ++j) to[j] = quantizer::float_code(from[j], grid, format.code);
      }
    }
  out = std::move(q);
  return {};
}

}  // namespace tenon
