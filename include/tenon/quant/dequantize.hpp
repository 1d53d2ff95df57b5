#pragma once
//  A packed, quantised matrix as a dense one.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/quant/dequantize_kernel.cuh>
#include <tenon/quant/dequantize_policy.hpp>
#include <tenon/quant/packed_weight.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET {

/// w[i,j] = factor * scale[i / block_rows, j / group] * (value(code[i,j]) - zero[i, j / group])
///
/// w       (n, k)  f16 bf16 f32   any strides; must not overlap b
/// b       (n, k)  any layout of quant/packed_weight.hpp, pairs or quads
///
/// Arithmetic  factor * scale and its product with the number of the code in fp32, then one rounding to W: the same bits on
///             every target and policy. Columns are in the order of the codes (quantized_weight::order is not undone).
/// Cost        reads b once from memory, writes w once; no workspace.
/// Errors      shape_mismatch(n, k), misaligned(w, b), out_of_range(w, b, blocks), unsupported(layout of b).
/// Range       fewer than 2^31 blocks of 64 x 64, k < 2^32.
/// Source      docs/operators/packed_weights.md.
/// Test tests/quant/dequantize_test.cpp.   Page docs/operators/dequantize.md.
template <floating W, weight_code Code, scale_kind Scales, pack_order Order>
status dequantize(context const& where, tensor_view<W, 2> w, packed_weight<Code, Scales, Order> b) {
  packed_layout const& l = b.layout;
  extent               n{"n", l.rows}, k{"k", l.columns};
  auto const           address = reinterpret_cast<std::uintptr_t>(b.data);
  index_t const        blocks  = l.panels() * l.blocks();
  TENON_TRY(contract{"dequantize"}
                .shape(w, n, k)
                .require(l.code == Code && l.scales == Scales && l.order == Order, errc::unsupported,
                         "layout of b: not that of its type")
                .require(w.size() == 0 || b.data != nullptr, errc::out_of_range, "b", 0, 1)
                .require(address % 16 == 0, errc::misaligned, "b", static_cast<index_t>(address % 16), 0)
                .addressable(w, "w")
                .require(blocks < (index_t{1} << 31), errc::out_of_range, "blocks", blocks, (index_t{1} << 31) - 1)
                .require(l.columns < (index_t{1} << 32), errc::out_of_range, "k", l.columns, (index_t{1} << 32) - 1)
                .result);
  if (w.size() == 0) return {};

  auto const policy = choose_dequantize_policy({where.arch}, is_vectorised<16 / sizeof(W)>(w));
  using weight      = packed_weight<Code, Scales, Order>;
  return dispatch_policy<dequantize_menu>("dequantize", policy, [&]<class Policy>(Policy) {
    return arch::launch("dequantize", where,
                        {.grid           = static_cast<unsigned>(blocks),
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .shared_bytes   = 0,
                         .work_per_block = 8.0 * packed::panel_rows * packed::atom_columns},
                        kernel::dequantize<Policy, W, weight>, kernel::dequantize_params<W, weight>{w, b});
  });
}

}  // namespace tenon::inline TENON_TARGET
