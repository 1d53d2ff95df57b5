#pragma once
//  A weight matrix as codes and scales: what importers and quantisers make, and what the packer takes.
//
//    w[i, order[j]] = factor * scale[i / block_rows, j / group] * (value(code[i, j]) - zero[i, j / group])
//
//  This is the neutral form between the formats of files and the one of kernels: plain arrays on the host, one byte per
//  code, easy to inspect and to test. It owns its memory; kernels never see it.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/weight_format.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace tenon {

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
