#pragma once
//  A matrix of activations as codes and scales: what quantize_rows makes and a GEMM of eight-bit inputs takes.
//
//    x[i, j] ~ scales[i, j / group] * codes[i, j]
//
//  Views only: the memory is the caller's, on either target.
#include <tenon/config.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/nearest_code.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon {

/// Scales per row of k codes: one where group is 0, else one per `group` of them, the last group perhaps partial.
TENON_HD constexpr index_t row_scales(index_t k, int group) { return group > 0 ? ceil_div(k, index_t{group}) : 1; }

/// Code is std::int8_t or e4m3, const where nobody writes them.
template <class Code>
struct quantized_rows {
  static_assert(row_code<std::remove_const_t<Code>>, "tenon::quantized_rows: codes are std::int8_t or e4m3");
  using code = std::remove_const_t<Code>;

  tensor_view<Code, 2>        codes;      // (m, k)
  tensor_view<float const, 2> scales;     // (m, row_scales(k, group)); strides of 0 share one scale
  int                         group = 0;  // columns that share a scale; 0: a whole row

  TENON_HD constexpr float scale(index_t row, index_t column) const {
    return scales(row, group > 0 ? column / group : 0);
  }
};
template <class Code>
quantized_rows(tensor_view<Code, 2>, tensor_view<float const, 2>, int = 0) -> quantized_rows<Code>;
template <class Code>
quantized_rows(tensor_view<Code, 2>, tensor_view<float, 2>, int = 0) -> quantized_rows<Code>;

/// The same rows, read-only. Kernels are instantiated on this.
template <class Code>
TENON_HD constexpr quantized_rows<std::remove_const_t<Code> const> as_const(quantized_rows<Code> const& rows) {
  return {as_const(rows.codes), rows.scales, rows.group};
}

}  // namespace tenon
