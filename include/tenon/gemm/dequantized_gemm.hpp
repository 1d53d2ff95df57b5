#pragma once
//  The product with a packed weight by whichever way is predicted to be faster: the packed kernels, or dequantising the
//  weight into the workspace and multiplying it as a dense one. Many tokens repay the second way's traffic, and f32 inputs,
//  which have no tensor-core kernel for packed weights. A header of its own, because it compiles the dense kernels too.
#include <tenon/core/context.hpp>
#include <tenon/gemm/gemm.hpp>
#include <tenon/gemm/packed_gemm.hpp>
#include <tenon/quant/dequantize.hpp>

namespace tenon::inline TENON_TARGET {

/// gemm(where, d, a, b, options, epilogue) of gemm/packed_gemm.hpp, in one step or two
///
/// Arithmetic  in two steps weights are rounded to A's element before they are multiplied: one rounding more than in one.
/// Cost        the plan's (plan_packed_gemm with two_steps); n k elements of A are workspace where it takes two.
/// Errors      those of gemm; workspace_too_small where a plan of two steps is passed without it.
/// Test tests/gemm/dequantized_gemm_test.cpp.   Page docs/operators/packed_gemm.md.
template <class D, class A, weight_code Code, scale_kind Scales, gemm_epilogue Epilogue = identity>
status dequantized_gemm(context const& where, tensor_view<D, 2> d, tensor_view<A, 2> a,
                        packed_weight<Code, Scales, pack_order::pairs> b, packed_gemm_options options = {},
                        Epilogue epilogue = {}) {
  using T = std::remove_const_t<A>;
  if (!options.plan)
    options.plan = plan_packed_gemm({.b           = b.layout,
                                     .m           = d.extent[0],
                                     .input_bytes = sizeof(T),
                                     .wide        = where.arch == 0 || is_vectorised<16 / sizeof(T)>(a),
                                     .epilogue    = needs_of<epilogue::pipeline_of<Epilogue>>()},
                                    {.as              = {where.arch},
                                     .multiprocessors = where.multiprocessors,
                                     .workspace       = where.workspace.size,
                                     .counters        = where.counters.size,
                                     .batch_invariant = where.batch_invariant,
                                     .two_steps       = true});
  if (!options.plan->two_steps || d.size() == 0) {
    options.plan->two_steps = false;
    return gemm(where, d, a, b, options, epilogue);
  }
  index_t const n = b.layout.rows, k = b.layout.columns;
  auto const    bytes = static_cast<std::size_t>(round_up(n * k * static_cast<index_t>(sizeof(T)), 256));
  if (where.workspace.size < bytes)
    return {errc::workspace_too_small, "gemm", "workspace", static_cast<std::int64_t>(where.workspace.size),
            static_cast<std::int64_t>(bytes)};
  auto const w = dense(reinterpret_cast<T*>(where.workspace.data), n, k);
  TENON_TRY(dequantize(where, w, b));
  context rest   = where;
  rest.workspace = {where.workspace.data + bytes, where.workspace.size - bytes};
  return gemm(rest, d, a, as_const(w), {.plan = options.plan->dense}, epilogue);
}

}  // namespace tenon::inline TENON_TARGET
