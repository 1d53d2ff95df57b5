#pragma once
//  What one may ask of a quantised row, and what such calls check.
#include <tenon/core/contract.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_rows.hpp>

namespace tenon {

struct quantize_rows_options {
  int   group = 0;  // columns that share a scale; 0: a whole row
  float scale = 0;  // of everything, found beforehand; 0: from the largest magnitude of each row or group
};

/// The checks of rows that are written, codes or numbers, and of their scales.
template <class E, element_of<float> Scale>
contract& require_rows(contract& c, tensor_view<E, 2> rows, char const* subject, tensor_view<Scale, 2> scales,
                       int group, extent& m, extent& k) {
  extent groups{"groups"};
  c.shape(rows, m, k)
      .shape(scales, m, groups)
      .require(group >= 0 && group <= (1 << 30), errc::out_of_range, "group", group, 0)
      .contiguous(rows, subject)
      .addressable(rows, subject)
      .addressable(scales, "scales")
      .require(m.value < (index_t{1} << 31), errc::out_of_range, m.name, m.value, (index_t{1} << 31) - 1)
      .require(k.value <= (index_t{1} << 30), errc::out_of_range, k.name, k.value, index_t{1} << 30);
  if (c.result.ok())
    c.require(groups.value == row_scales(k.value, group), errc::shape_mismatch, groups.name, groups.value,
              row_scales(k.value, group));
  return c;
}

/// The checks of codes, scales and options that all operators on rows have in common.
template <row_code Code>
contract& require_quantized(contract& c, tensor_view<Code, 2> codes, tensor_view<float, 2> scales,
                            quantize_rows_options const& options, extent& m, extent& k) {
  return require_rows(c, codes, "codes", scales, options.group, m, k)
      .require(options.scale == 0 || (options.scale >= 0x1p-126f && options.scale <= 0x1p126f), errc::out_of_range,
               "scale", 0, 1);
}

/// Whether each group of a vectorised row starts where a vector does.
constexpr bool is_vectorised_group(int group) { return group % 8 == 0; }

}  // namespace tenon
