#pragma once
//  Rows of activations to int8 or fp8 codes, a scale per row or group of columns.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/quant/quantize_rows_kernel.cuh>
#include <tenon/quant/quantize_rows_options.hpp>
#include <tenon/quant/quantize_rows_policy.hpp>

namespace tenon::inline TENON_TARGET {

/// scales[i,g] = max_j |x[i,j]| / largest code;  codes[i,j] = round_half_even(x[i,j] / scales[i,g]), saturated
///
/// codes   (m, k)               int8 e4m3      k contiguous, any row stride; overlaps x nowhere
/// scales  (m, ceil(k/group))   f32            any strides; (m, 1) where group is 0
/// x       (m, k)               f16 bf16 f32   k contiguous, any row stride
/// options group: columns per scale, 0 for whole rows; scale: 0, or one for all, stored in each of scales
///
/// Arithmetic  the largest code is 127 (int8) or 448 (e4m3). scale = largest magnitude / largest code, inverse = 1 / scale,
///             code = round_half_even(x * inverse), each rounded once in fp32: the same bits on every target and policy. A
///             row or group of zeros, or whose scale is below 2^-126, has scale 0 and codes of value 0. A NaN makes its
///             scale NaN, an infinity makes it infinite, so what is computed from that row is not finite either.
/// Cost        reads x once from memory, writes codes and scales once; no workspace.
/// Errors      shape_mismatch(m, k, groups), bad_stride(codes, x), misaligned, out_of_range(group, scale, m, k).
/// Range       m < 2^31, k <= 2^30; options.scale in [2^-126, 2^126].
/// Source      Yao et al., "ZeroQuant", 2022 (scales per token); Micikevicius et al., "FP8 formats for deep learning", 2022.
/// Test tests/quant/quantize_rows_test.cpp.   Page docs/operators/quantize_rows.md.
template <row_code Code, class X>
status quantize_rows(context const& where, tensor_view<Code, 2> codes, tensor_view<float, 2> scales,
                     tensor_view<X, 2> x, quantize_rows_options options = {}) {
  extent   m{"m"}, k{"k"};
  contract c{"quantize_rows"};
  c.shape(x, m, k);
  TENON_TRY(require_quantized(c, codes, scales, options, m, k).contiguous(x, "x").addressable(x, "x").result);
  if (codes.size() == 0) return {};

  bool const vectorised = is_vectorised<8>(x) && is_vectorised<8>(codes) && is_vectorised_group(options.group);
  using source          = kernel::plain_rows<std::remove_const_t<X>>;
  return kernel::launch_quantize_rows<quantize_rows_menu>(
      "quantize_rows", where, choose_quantize_rows_policy({where.arch}, k.value, vectorised),
      kernel::quantize_rows_params<source, Code>{codes, scales, source{as_const(x)}, options.group, options.scale}, 5);
}

}  // namespace tenon::inline TENON_TARGET
