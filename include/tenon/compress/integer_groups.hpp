#pragma once
//  What GPTQ and AWQ share: their contract of a weight, the statistics of its inputs and a format of integer codes; and
//  the groups of a weight, as quantize_weight takes them.
#include <tenon/compress/gram.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantize_weight.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <cmath>
#include <cstddef>
#include <limits>

namespace tenon::calibration {

inline contract& integer_format(contract& c, gram_statistics const& gram, weight_format const& format,
                                weight_scale_method method) {
  bool const integer = format.code == weight_code::int4 || format.code == weight_code::int8;
  return c.require(gram.rows > 0, errc::out_of_range, "rows", gram.rows, 1)
      .require(integer, errc::unsupported, "code")
      .require(format.block_rows == 1, errc::unsupported, "block_rows", format.block_rows, 1)
      .require(format.group >= 0, errc::out_of_range, "group", format.group, 0)
      .require(!format.zero_points || format.code == weight_code::int4, errc::unsupported, "zero_points")
      .require(method <= weight_scale_method::searched, errc::unsupported, "method");
}

template <class W>
contract& weight_and_inputs(contract& c, tensor_view<W, 2> const& w, extent& rows, extent& columns,
                            gram_statistics const& gram) {
  return c.shape(w, rows, columns)
      .addressable(w, "w")
      .require(gram.columns == columns.value, errc::shape_mismatch, "columns", gram.columns, columns.value);
}

/// Columns of a group, at least 1.
inline index_t group_columns(weight_format const& format, index_t columns) {
  index_t const all = max(columns, index_t{1});
  return format.group > 0 ? min(index_t{format.group}, all) : all;
}

/// What all scales have in common, of the weights at(i, j).
template <class At>
float common_factor(weight_format const& format, index_t rows, index_t columns, At&& at) {
  index_t const group   = group_columns(format, columns);
  double        largest = 0, least = std::numeric_limits<double>::infinity();
  for (index_t i = 0; i < rows; ++i)
    for (index_t first = 0; first < columns; first += group) {
      double absmax = 0;
      for (index_t j = first; j < min(first + group, columns); ++j)
        absmax = max(absmax, static_cast<double>(std::abs(at(i, j))));
      largest = max(largest, absmax);
      if (absmax > 0) least = min(least, absmax);
    }
  return quantizer::choose_factor(format, largest, least);
}

/// The weights value(0) .. value(count - 1) as those that share a scale; their importance is left alone.
template <class Value>
void fill_cell(quantizer::weight_cell& cell, index_t count, Value&& value) {
  cell.values.resize(static_cast<std::size_t>(count));
  cell.least = cell.greatest = 0;
  for (index_t j = 0; j < count; ++j) {
    auto const v                             = static_cast<float>(value(j));
    cell.values[static_cast<std::size_t>(j)] = v;
    cell.least = min(cell.least, v), cell.greatest = max(cell.greatest, v);
  }
}

}  // namespace tenon::calibration
