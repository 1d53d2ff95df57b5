#pragma once
//  Into the packed layout and back, on the host.
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/quant/packed_weight.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace tenon {

namespace packed {
/// The power of two whose division brings the largest group scale to [2^14, 2^15), so that f16 holds as many as it can.
inline float group_factor(quantized_weight const& from) {
  float most = 0;
  for (float const s : from.scales) most = std::max(most, std::fabs(s));
  return most > 0 ? std::ldexp(1.f, std::ilogb(most) - 14) : 1.f;
}
}  // namespace packed

/// to[...] = the packed form of `from`
///
/// layout   filled in: packed_layout_of(from.format, from.rows, from.columns, order), and its factor
/// to       (layout.bytes()) bytes; every one is written
/// from     codes and scales (quant/quantized_weight.hpp); `order` of columns is the caller's to apply to the inputs
///
/// Arithmetic  codes exactly. Group scales are rounded to f16 after a power of two is taken out of the matrix: exact for
///             f16 scales, and for bf16, e4m3 and e8m0 ones that span fewer than 29 powers of two.
/// Cost        one pass, no allocation.
/// Errors      shape_mismatch(codes, scales, zeros, bytes), unsupported(format: columns per group, rows per block, code),
///             out_of_range(codes: a NaN of fp8; scales: not finite).
/// Test tests/quant/pack_weight_test.cpp.   Page docs/operators/packed_weights.md.
inline status pack_weight(packed_layout& layout, tensor_view<std::byte, 1> to, quantized_weight const& from,
                          pack_order order) {
  weight_format const& f      = from.format;
  index_t const        scales = from.scale_rows() * from.groups();
  auto const           size   = [](auto const& v) { return static_cast<index_t>(v.size()); };
  bool const           coarse = f.group % packed::atom_columns == 0;  // a whole row too
  packed_layout        l      = packed_layout_of(f, from.rows, from.columns, order);
  TENON_TRY(
      contract{"pack_weight"}
          .require(size(from.codes) == from.rows * from.columns, errc::shape_mismatch, "codes", size(from.codes),
                   from.rows * from.columns)
          .require(size(from.scales) == scales, errc::shape_mismatch, "scales", size(from.scales), scales)
          .require(size(from.zeros) == (f.zero_points ? scales : 0), errc::shape_mismatch, "zeros", size(from.zeros),
                   f.zero_points ? scales : 0)
          .require(coarse || (f.block_rows == 1 && (f.group == 16 || f.group == 32)), errc::unsupported,
                   "columns per group", f.group, 64)
          .require(f.block_rows == 1 ||
                       (f.code == weight_code::fp8 && f.group > 0 && f.block_rows % packed::panel_rows == 0),
                   errc::unsupported, "rows per block", f.block_rows, 128)
          .require(!f.zero_points || f.code == weight_code::int4, errc::unsupported, "zero points of this code", 1, 0)
          .require(f.code != weight_code::fp8 || l.scales != scale_kind::group, errc::unsupported, "groups of fp8",
                   f.group, 0)
          .require(f.code != weight_code::fp4 || order == pack_order::pairs, errc::unsupported,
                   "fp4 for inputs of 8 bits", 1, 0)
          .require(f.code != weight_code::int8 || order == pack_order::pairs || l.scales == scale_kind::row,
                   errc::unsupported, "groups of int8 for inputs of 8 bits", f.group, 0)
          .require(to.extent[0] == l.bytes(), errc::shape_mismatch, "bytes", to.extent[0], l.bytes())
          .require(to.extent[0] == 0 || to.stride[0] == 1, errc::misaligned, "bytes", to.stride[0], 1)
          .result);
  for (float const s : from.scales)
    if (!std::isfinite(s)) return {errc::out_of_range, "pack_weight", "scales: not finite"};
  float const power = l.scales == scale_kind::group ? packed::group_factor(from) : 1.f;
  l.factor          = l.scales == scale_kind::group ? from.factor * power : 1.f;

  std::fill(to.data, to.data + to.extent[0], std::byte{0});
  index_t const groups = l.groups();
  int const     bits   = bits_of(l.code);
  auto const    zero   = [&](index_t row, index_t column) -> std::uint32_t {
    if (f.code != weight_code::int4) return 0;
    if (!f.zero_points || row >= from.rows) return 8;
    return from.zeros[static_cast<std::size_t>(row * groups + min(column / l.group, groups - 1))];
  };
  for (index_t row = 0; row < l.panels() * packed::panel_rows; ++row)
    for (index_t column = 0; column < l.blocks() * packed::atom_columns; ++column) {
      bool const          inside = row < from.rows && column < from.columns;
      std::uint32_t const code =
          inside ? from.codes[static_cast<std::size_t>(row * from.columns + column)] : zero(row, column);
      if (inside && f.code == weight_code::fp8 && (code & 0x7f) == 0x7f)
        return {errc::out_of_range, "pack_weight", "codes: a NaN", row, column};
      if (code >> bits != 0) return {errc::out_of_range, "pack_weight", "codes: more than 4 bits", row, column};
      auto const       at   = packed::position_of(l.code, l.order, static_cast<int>(row % packed::atom_rows),
                                                  static_cast<int>(column % packed::atom_columns));
      std::byte* const word = to.data + l.atom_offset(row, column) + at.byte() + at.shift / 8;
      *word |= static_cast<std::byte>(code << at.shift % 8);
    }
  auto const put = [&](index_t offset, auto value) { std::memcpy(to.data + offset, &value, sizeof value); };
  if (l.scales == scale_kind::block) {
    for (index_t i = 0; i < scales; ++i)
      put(l.scales_offset() + 4 * i, from.factor * from.scales[static_cast<std::size_t>(i)]);
  } else {
    for (index_t row = 0; row < l.panels() * packed::panel_rows; ++row)
      for (index_t g = 0; g < groups; ++g) {
        float const s = row < from.rows ? from.scales[static_cast<std::size_t>(row * groups + g)] : 0.f;
        if (l.scales == scale_kind::row) put(l.scales_offset() + 4 * row, from.factor * s);
        else put(l.scales_offset() + 2 * l.group_index(row, g), f16(s / power));
        if (l.zero_points)
          put(l.zeros_offset() + l.group_index(row, g), static_cast<std::uint8_t>(zero(row, g * l.group)));
      }
  }
  layout = l;
  return {};
}

/// The same into memory of its own.
struct packed_matrix {
  packed_layout          layout;
  std::vector<std::byte> bytes;
};
inline status pack_weight(packed_matrix& to, quantized_weight const& from, pack_order order) {
  to.bytes.resize(static_cast<std::size_t>(packed_layout_of(from.format, from.rows, from.columns, order).bytes()));
  return pack_weight(to.layout, dense(to.bytes.data(), static_cast<index_t>(to.bytes.size())), from, order);
}

/// The codes and scales that were packed: codes exactly, scales as the layout keeps them (factor kept apart).
inline quantized_weight unpack_weight(packed_layout const& l, std::byte const* data) {
  quantized_weight w;
  w.format  = {l.code, l.scales == scale_kind::row ? 0 : l.group, l.block_rows, l.zero_points};
  w.rows    = l.rows;
  w.columns = l.columns;
  w.factor  = l.factor;
  w.codes.resize(static_cast<std::size_t>(l.rows * l.columns));
  index_t const groups = l.groups();
  for (index_t row = 0; row < l.rows; ++row)
    for (index_t column = 0; column < l.columns; ++column) {
      auto const at   = packed::position_of(l.code, l.order, static_cast<int>(row % packed::atom_rows),
                                            static_cast<int>(column % packed::atom_columns));
      auto const byte = static_cast<unsigned>(data[l.atom_offset(row, column) + at.byte() + at.shift / 8]);
      w.codes[static_cast<std::size_t>(row * l.columns + column)] =
          static_cast<std::uint8_t>(byte >> at.shift % 8 & ((1u << bits_of(l.code)) - 1));
    }
  auto const get = [&](index_t offset, auto& value) { std::memcpy(&value, data + offset, sizeof value); };
  w.scales.resize(static_cast<std::size_t>(w.scale_rows() * groups));
  for (index_t row = 0; row < w.scale_rows(); ++row)
    for (index_t g = 0; g < groups; ++g) {
      float& to = w.scales[static_cast<std::size_t>(row * groups + g)];
      if (l.scales == scale_kind::group) {
        f16 half;
        get(l.scales_offset() + 2 * l.group_index(row, g), half);
        to = static_cast<float>(half);
      } else {
        get(l.scales_offset() + 4 * (row * groups + g), to);
      }
    }
  if (l.zero_points) {
    w.zeros.resize(static_cast<std::size_t>(l.rows * groups));
    for (index_t row = 0; row < l.rows; ++row)
      for (index_t g = 0; g < groups; ++g)
        get(l.zeros_offset() + l.group_index(row, g), w.zeros[static_cast<std::size_t>(row * groups + g)]);
  }
  return w;
}

}  // namespace tenon
