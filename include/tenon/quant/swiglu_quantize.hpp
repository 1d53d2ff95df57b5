#pragma once
//  A gated unit and the quantisation of its rows in one launch.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/quant/quantize_rows_kernel.cuh>
#include <tenon/quant/quantize_rows_options.hpp>
#include <tenon/quant/quantize_rows_policy.hpp>
#include <tenon/quant/swiglu_quantize_kernel.cuh>

namespace tenon {

/// silu(gate) * up
using swiglu_pair = epilogue::gated_stage<epilogue::silu_stage>;

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

/// codes, scales = quantize_rows(pair(gate, up)), by default silu(gate) * up
///
/// codes   (m, n)               int8 e4m3      n contiguous, any row stride; overlaps no input
/// scales  (m, ceil(n/group))   f32            any strides; (m, 1) where group is 0
/// gate    (m, n)               f16 bf16 f32   n contiguous, any row stride
/// up      (m, n)               those of gate  n contiguous, any row stride
/// options as quantize_rows
/// pair(gate, up, i, j)         fp32 -> fp32; called up to twice per element, order unspecified
///
/// Arithmetic  v = pair(gate, up) in fp32, not rounded to any 16-bit type; then the bits of quantize_rows on v.
/// Cost        reads gate and up once from memory, writes codes and scales once; no workspace.
/// Errors      shape_mismatch(m, n, groups), bad_stride(codes, gate, up), misaligned, out_of_range(group, scale, m, n).
/// Range       m < 2^31, n <= 2^30; options.scale in [2^-126, 2^126].
/// Source      Shazeer, "GLU variants improve transformer", 2020.
/// Test tests/quant/quantize_rows_test.cpp.   Page docs/operators/quantize_rows.md.
template <row_code Code, class X, pairwise Pair = swiglu_pair>
status swiglu_quantize(context const& where, tensor_view<Code, 2> codes, tensor_view<float, 2> scales,
                       tensor_view<X, 2> gate, tensor_view<X, 2> up, quantize_rows_options options = {},
                       Pair pair = {}) {
  extent   m{"m"}, n{"n"};
  contract c{"swiglu_quantize"};
  c.shape(gate, m, n).shape(up, m, n);
  TENON_TRY(require_quantized(c, codes, scales, options, m, n)
                .contiguous(gate, "gate")
                .contiguous(up, "up")
                .addressable(gate, "gate")
                .addressable(up, "up")
                .result);
  if (codes.size() == 0) return {};

  bool const vectorised =
      is_vectorised<8>(gate) && is_vectorised<8>(up) && is_vectorised<8>(codes) && is_vectorised_group(options.group);
  using source = kernel::gated_rows<std::remove_const_t<X>, Pair>;
  return kernel::launch_quantize_rows<quantize_rows_menu>(
      "swiglu_quantize", where, choose_quantize_rows_policy({where.arch}, n.value, vectorised),
      kernel::quantize_rows_params<source, Code>{codes, scales,
                                                 source{gate.data, up.data, gate.stride[0], up.stride[0], false, pair},
                                                 options.group, options.scale},
      20);
}

/// The same of gate and up in one matrix, interleaved in groups of eight as a GEMM with interleaved weights leaves them.
///
/// gate_up (m, 2 round_up(n, 8)) f16 bf16 f32   contiguous, any row stride: 0..7 gate, 8..15 up, 16..23 gate ...
///
/// Errors      those above; shape_mismatch(gate_up), bad_stride(gate_up), unsupported(a group that is no multiple of 8).
template <row_code Code, class X, pairwise Pair = swiglu_pair>
status swiglu_quantize(context const& where, tensor_view<Code, 2> codes, tensor_view<float, 2> scales,
                       tensor_view<X, 2> gate_up, quantize_rows_options options = {}, Pair pair = {}) {
  extent   m{"m"}, n{"n"}, both{"gate_up"};
  contract c{"swiglu_quantize"};
  c.shape(gate_up, m, both);
  TENON_TRY(require_quantized(c, codes, scales, options, m, n)
                .require(both.value == paired_rows(n.value), errc::shape_mismatch, "gate_up", both.value,
                         paired_rows(n.value))
                .require(is_vectorised_group(options.group), errc::unsupported, "group", options.group, pair_group)
                .contiguous(gate_up, "gate_up")
                .addressable(gate_up, "gate_up")
                .result);
  if (codes.size() == 0) return {};

  bool const vectorised = is_vectorised<8>(gate_up) && is_vectorised<8>(codes);
  using source          = kernel::gated_rows<std::remove_const_t<X>, Pair>;
  return kernel::launch_quantize_rows<quantize_rows_menu>(
      "swiglu_quantize", where, choose_quantize_rows_policy({where.arch}, n.value, vectorised),
      kernel::quantize_rows_params<source, Code>{
          codes, scales,
          source{gate_up.data, gate_up.data + pair_group, gate_up.stride[0], gate_up.stride[0], true, pair},
          options.group, options.scale},
      20);
}

}  // namespace tenon::inline TENON_TARGET
