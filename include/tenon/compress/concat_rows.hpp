#pragma once
//  Layers with one input as one layer, offline: the rows of q, k and v, or of gate and up, below each other. One
//  product reads the input once.
//
//    [W_q; W_k; W_v] x + [b_q; b_k; b_v]        each row keeps its bits, its bias and its scales
//
//  Where gate and up feed a pairwise epilogue, gemm/interleave.hpp has the order for that instead.
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace tenon {

/// out = the rows of parts[0], then those of parts[1], ...; with Rank 1 the elements of biases or scales
///
/// out    (sum of n, k), or (sum of n)   any element, any strides; overlaps no part
/// parts  (n, k), or (n)                 the same element, any strides. A vector of n without an address stands for n
///                                       zeros: the bias of a layer that has none, beside one that has
///
/// Arithmetic  none: the same bits. tenon::gemm's sums do not depend on n, so on one kind of kernel products keep
///             theirs, too.
/// Cost        one pass.
/// Errors      shape_mismatch(rows: `got` in out, `want` in all parts; k of a part: `got` is its place),
///             out_of_range(rows of a part, parts: without an address: its place; k), misaligned. Nothing is written
///             then.
/// Test tests/compress/concat_rows_test.cpp.   Page docs/operators/folds.md.
template <class T, int Rank>
requires(Rank == 1 || Rank == 2) status
    concat_rows(tensor_view<T, Rank> out, std::span<std::type_identity_t<tensor_view<T const, Rank>> const> parts) {
  contract c{"concat_rows"};
  index_t  rows = 0;
  c.require(out.extent[Rank - 1] >= 0, errc::out_of_range, Rank == 1 ? "rows" : "k", out.extent[Rank - 1], 0);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    auto const place = static_cast<index_t>(p);
    c.require(parts[p].extent[0] >= 0, errc::out_of_range, "rows of a part", place, 0)
        .require(parts[p].extent[Rank - 1] == out.extent[Rank - 1] || Rank == 1, errc::shape_mismatch, "k of a part",
                 place, out.extent[Rank - 1])
        .require(Rank == 1 || parts[p].data != nullptr || parts[p].size() == 0, errc::out_of_range, "parts", place, 0);
    c.require(parts[p].extent[0] <= std::numeric_limits<index_t>::max() - rows, errc::out_of_range, "rows of a part",
              place, rows);
    if (parts[p].data != nullptr) c.addressable(parts[p], "parts");
    TENON_TRY(c.result);
    rows += parts[p].extent[0];
  }
  TENON_TRY(c.require(out.extent[0] == rows, errc::shape_mismatch, "rows", out.extent[0], rows)
                .addressable(out, "out")
                .result);
  index_t row = 0;
  for (auto const& part : parts)
    for (index_t i = 0; i < part.extent[0]; ++i, ++row) {
      if constexpr (Rank == 1) out(row) = part.data == nullptr ? T{} : part(i);
      else
        for (index_t j = 0; j < part.extent[1]; ++j) out(row, j) = part(i, j);
    }
  return {};
}
/// concat_rows(out, {q, k, v})
template <class T, int Rank>
requires(Rank == 1 || Rank == 2) status
    concat_rows(tensor_view<T, Rank>                                                    out,
                std::initializer_list<std::type_identity_t<tensor_view<T const, Rank>>> parts) {
  return concat_rows(out, std::span(parts.begin(), parts.size()));
}

/// The same of quantised weights: codes, scales and zero points of every row stay what they were. Scales are never
/// shared between parts: one of all would be too coarse for the part with the smaller weights.
///
/// out    written whole when the call succeeds; may be one of the parts
/// parts  of one format, one number of columns and one order of columns
///
/// Arithmetic  exact. Where factors differ by a power of two, that goes into the scales.
/// Cost        one pass; allocates out.
/// Errors      `got` is the place of the part at fault. unsupported(format, order, input_scale: not that of the first
///             part; factor: not a power of two times that of the first, or a scale has no room for it; block_rows: a
///             part that is not the last ends within a block), shape_mismatch(columns, codes, scales, zeros),
///             out_of_range(parts: none; rows, columns, block_rows).
/// Test tests/compress/concat_rows_test.cpp.   Page docs/operators/folds.md.
inline status concat_rows(quantized_weight& out, std::span<quantized_weight const* const> parts) {
  if (parts.empty()) return {errc::out_of_range, "concat_rows", "parts", 0, 1};
  quantized_weight const& first = *parts[0];
  quantized_weight        all;
  all.format = first.format, all.columns = first.columns, all.order = first.order;
  all.factor = first.factor, all.input_scale = first.input_scale;
  auto const append         = [](auto& to, auto const& from) { to.insert(to.end(), from.begin(), from.end()); };
  int        first_exponent = 0;
  auto const mantissa       = std::frexp(first.factor, &first_exponent);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    quantized_weight const& part     = *parts[p];
    auto const              place    = static_cast<index_t>(p);
    auto const              size     = [](auto const& v) { return static_cast<index_t>(v.size()); };
    int                     exponent = 0;
    contract                c{"concat_rows"};
    c.require(part.format == first.format, errc::unsupported, "format", place)
        .require(part.columns == first.columns, errc::shape_mismatch, "columns", place, first.columns)
        .require(part.rows >= 0, errc::out_of_range, "rows", place)
        .require(part.columns >= 0, errc::out_of_range, "columns", place)
        .require(part.format.block_rows >= 1, errc::out_of_range, "block_rows", place, part.format.block_rows)
        .require(part.order == first.order, errc::unsupported, "order", place)
        .require(part.input_scale == first.input_scale, errc::unsupported, "input_scale", place)
        .require(std::frexp(part.factor, &exponent) == mantissa, errc::unsupported, "factor", place);
    TENON_TRY(c.result);
    index_t const scales = part.scale_rows() * part.groups();
    c.require(p + 1 == parts.size() || part.rows % part.format.block_rows == 0, errc::unsupported, "block_rows", place,
              part.format.block_rows)
        .require(size(part.codes) == part.rows * part.columns, errc::shape_mismatch, "codes", place)
        .require(size(part.scales) == scales, errc::shape_mismatch, "scales", place)
        .require(size(part.zeros) == (part.format.zero_points ? scales : 0), errc::shape_mismatch, "zeros", place);
    TENON_TRY(c.result);
    int const shift = exponent - first_exponent;
    for (float const s : part.scales) {
      float const scaled = std::ldexp(s, shift);
      if (shift != 0 && !(std::ldexp(scaled, -shift) == s))
        return {errc::unsupported, "concat_rows", "factor", place, 0};
      all.scales.push_back(scaled);
    }
    append(all.codes, part.codes);
    append(all.zeros, part.zeros);
    all.rows += part.rows;
  }
  out = std::move(all);
  return {};
}
/// concat_rows(out, {&q, &k, &v})
inline status concat_rows(quantized_weight& out, std::initializer_list<quantized_weight const*> parts) {
  return concat_rows(out, std::span(parts.begin(), parts.size()));
}

}  // namespace tenon
