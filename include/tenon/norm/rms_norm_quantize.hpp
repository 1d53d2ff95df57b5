#pragma once
//  Root mean square normalisation, alone or behind a residual addition, and the quantisation of its rows in one launch.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/norm/rms_norm_quantize_kernel.cuh>
#include <tenon/norm/rms_norm_quantize_policy.hpp>
#include <tenon/quant/quantize_rows_kernel.cuh>
#include <tenon/quant/quantize_rows_options.hpp>

namespace tenon {

struct rms_norm_quantize_options {
  float eps   = 1e-6f;
  int   group = 0;  // columns that share a scale; 0: a whole row
  float scale = 0;  // of everything, found beforehand; 0: from the largest magnitude of each row or group
};

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

/// codes, scales = quantize_rows(x[t,h] * weight[h] / sqrt(mean_h(x[t,:]^2) + eps))
///
/// codes   (tokens, hidden)              int8 e4m3      hidden contiguous, any row stride; overlaps no input
/// scales  (tokens, ceil(hidden/group))  f32            any strides; (tokens, 1) where group is 0
/// x       (tokens, hidden)              f16 bf16 f32   hidden contiguous, any row stride
/// weight  (hidden)                      f16 bf16 f32   contiguous
/// options eps > 0; group and scale as quantize_rows
///
/// Arithmetic  the normalised row in fp32, not rounded to any 16-bit type; then the bits of quantize_rows on it. Where rows
///             of all operands start at multiples of eight elements (or none do), it has the bits of rms_norm with f32 y.
/// Cost        reads x once from memory, writes codes and scales once; no workspace.
/// Errors      shape_mismatch(tokens, hidden, groups), bad_stride(codes, x, weight), misaligned, out_of_range(eps, group,
///             scale, tokens, hidden).
/// Range       tokens < 2^31, hidden <= 2^30; options.scale in [2^-126, 2^126].
/// Source      Zhang and Sennrich 2019, eq. 4; Yao et al., "ZeroQuant", 2022.
/// Test tests/norm/rms_norm_quantize_test.cpp.   Page docs/operators/quantize_rows.md.
template <row_code Code, class X, class W>
status rms_norm_quantize(context const& where, tensor_view<Code, 2> codes, tensor_view<float, 2> scales,
                         tensor_view<X, 2> x, tensor_view<W, 1> weight, rms_norm_quantize_options options = {}) {
  extent   tokens{"tokens"}, hidden{"hidden"};
  contract c{"rms_norm_quantize"};
  c.shape(x, tokens, hidden).shape(weight, hidden);
  TENON_TRY(require_quantized(c, codes, scales, {options.group, options.scale}, tokens, hidden)
                .contiguous(x, "x")
                .contiguous(weight, "weight")
                .addressable(x, "x")
                .addressable(weight, "weight")
                .require(options.eps > 0, errc::out_of_range, "eps", 0, 1)
                .result);
  if (codes.size() == 0) return {};

  bool const vectorised =
      is_vectorised<8>(x) && is_vectorised<8>(weight) && is_vectorised<8>(codes) && is_vectorised_group(options.group);
  using source = kernel::normed_rows<std::remove_const_t<X>, std::remove_const_t<W>>;
  return kernel::launch_quantize_rows<rms_norm_quantize_menu>(
      "rms_norm_quantize", where, choose_rms_norm_quantize_policy({where.arch}, hidden.value, vectorised),
      kernel::quantize_rows_params<source, Code>{codes, scales, source{as_const(x), as_const(weight), options.eps},
                                                 options.group, options.scale},
      9);
}

/// residual[t,h] += x[t,h];  codes, scales = quantize_rows(residual[t,h] * weight[h] / sqrt(mean_h(residual[t,:]^2) + eps))
///
/// residual (tokens, hidden) f16 bf16 f32   hidden contiguous, any row stride; in and out, overlaps x nowhere
///
/// Arithmetic  the sum in fp32, rounded once to residual's type; the norm is of the rounded sum. The rest as above, with the
///             bits of add_rms_norm.
/// Cost        reads x and residual once from memory, writes residual, codes and scales once; no workspace.
/// Errors      those above; bad_stride(residual).
template <row_code Code, floating R, class X, class W>
status add_rms_norm_quantize(context const& where, tensor_view<Code, 2> codes, tensor_view<float, 2> scales,
                             tensor_view<R, 2> residual, tensor_view<X, 2> x, tensor_view<W, 1> weight,
                             rms_norm_quantize_options options = {}) {
  extent   tokens{"tokens"}, hidden{"hidden"};
  contract c{"add_rms_norm_quantize"};
  c.shape(x, tokens, hidden).shape(residual, tokens, hidden).shape(weight, hidden);
  TENON_TRY(require_quantized(c, codes, scales, {options.group, options.scale}, tokens, hidden)
                .contiguous(x, "x")
                .contiguous(residual, "residual")
                .contiguous(weight, "weight")
                .addressable(x, "x")
                .addressable(residual, "residual")
                .addressable(weight, "weight")
                .require(options.eps > 0, errc::out_of_range, "eps", 0, 1)
                .result);
  if (codes.size() == 0) return {};

  bool const vectorised = is_vectorised<8>(x) && is_vectorised<8>(residual) && is_vectorised<8>(weight) &&
                          is_vectorised<8>(codes) && is_vectorised_group(options.group);
  using source = kernel::added_normed_rows<R, std::remove_const_t<X>, std::remove_const_t<W>>;
  return kernel::launch_quantize_rows<add_rms_norm_quantize_menu>(
      "add_rms_norm_quantize", where, choose_add_rms_norm_quantize_policy({where.arch}, hidden.value, vectorised),
      kernel::quantize_rows_params<source, Code>{
          codes, scales, source{residual, as_const(x), as_const(weight), options.eps}, options.group, options.scale},
      10);
}

}  // namespace tenon::inline TENON_TARGET
