#pragma once
//  A weight matrix as codes and scales: what importers and quantisers make, and what the packer takes.
//
//    w[i, order[j]] = factor * scale[i / block_rows, j / group] * (value(code[i, j]) - zero[i, j / group])
//
//  This is the neutral form between the formats of files and the one of kernels: plain arrays on the host, one byte per
//  code, easy to inspect and to test. It owns its memory; kernels never see it.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tenon {

/// What one code is.
enum class weight_code : std::uint8_t {
  int4,  // 0..15, less its zero point, which is 8 where the format has none
  int8,  // two's complement, -128..127
  fp8,   // e4m3 (OCP 8-bit floating point, rev. 1.0)
  fp4,   // e2m1 (OCP microscaling formats, v1.0), in the lower four bits
};

constexpr char const* name_of(weight_code code) {
  switch (code) {
    case weight_code::int4: return "int4";
    case weight_code::int8: return "int8";
    case weight_code::fp8: return "fp8";
    case weight_code::fp4: return "fp4";
  }
  return "?";
}

/// Bits that one code takes in memory.
TENON_HD constexpr int bits_of(weight_code code) {
  return code == weight_code::int4 || code == weight_code::fp4 ? 4 : 8;
}

/// How a matrix is quantised, as a value: compare it, print it.
struct weight_format {
  weight_code code        = weight_code::int8;
  int         group       = 0;      // columns that share a scale; 0: a whole row
  int         block_rows  = 1;      // rows that share a scale: 1, or those of a block (DeepSeek's fp8: 128)
  bool        zero_points = false;  // int4 only: one per row and group

  friend constexpr bool operator==(weight_format const&, weight_format const&) = default;
};

/// "int4, groups of 128, zero points"
inline std::string to_string(weight_format const& f) {
  std::string s = name_of(f.code);
  if (f.block_rows > 1) s += ", blocks of " + std::to_string(f.block_rows) + " x " + std::to_string(f.group);
  else if (f.group > 0) s += ", groups of " + std::to_string(f.group);
  else s += ", one scale per row";
  return f.zero_points ? s + ", zero points" : s;
}

struct quantized_weight {
  weight_format             format;
  index_t                   rows    = 0;  // outputs, n
  index_t                   columns = 0;  // inputs, k
  std::vector<std::uint8_t> codes;        // (rows, columns)
  std::vector<float>        scales;  // (scale_rows(), groups()); may be negative (docs/operators/quantize_weight.md)
  std::vector<std::uint8_t> zeros;   // (rows, groups()) where format.zero_points, else empty
  std::vector<std::int32_t> order;   // (columns): column j of codes multiplies input order[j]; empty: j itself
  float                     factor = 1;   // of all scales: formats with two levels of them
  std::optional<float>      input_scale;  // of statically quantised inputs: x is about input_scale * code

  index_t groups() const { return format.group > 0 ? (columns + format.group - 1) / format.group : 1; }
  index_t scale_rows() const { return (rows + format.block_rows - 1) / format.block_rows; }
  float   scale(index_t row, index_t column) const {
      index_t const g = format.group > 0 ? column / format.group : 0;
      return factor * scales[static_cast<std::size_t>(row / format.block_rows * groups() + g)];
  }

  /// The number that a code stands for, before its scale: exact, an integer for int4 and int8.
  float number(index_t row, index_t column) const {
    std::uint8_t const c = codes[static_cast<std::size_t>(row * columns + column)];
    switch (format.code) {
      case weight_code::int4: {
        index_t const g = format.group > 0 ? column / format.group : 0;
        return static_cast<float>(c) -
               static_cast<float>(format.zero_points ? zeros[static_cast<std::size_t>(row * groups() + g)] : 8);
      }
      case weight_code::int8: return static_cast<float>(static_cast<std::int8_t>(c));
      case weight_code::fp8: return static_cast<float>(e4m3::from_bits(c));
      case weight_code::fp4: return static_cast<float>(e2m1::from_bits(c));
    }
    return 0;
  }

  /// (rows, columns) in the order of the inputs: w[i, order[j]].
  std::vector<float> dequantized() const {
    std::vector<float> w(static_cast<std::size_t>(rows * columns));
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; ++j) {
        index_t const to                              = order.empty() ? j : order[static_cast<std::size_t>(j)];
        w[static_cast<std::size_t>(i * columns + to)] = scale(i, j) * number(i, j);
      }
    return w;
  }
};

}  // namespace tenon
