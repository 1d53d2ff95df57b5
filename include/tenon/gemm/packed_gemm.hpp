#pragma once
//  Matrix product with a packed, quantised weight and a fused epilogue.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/gemm/packed_gemm_lanes_kernel.cuh>
#include <tenon/gemm/packed_gemm_params.hpp>
#include <tenon/gemm/packed_gemm_plan.hpp>
#include <tenon/gemm/packed_gemm_policy.hpp>
#include <tenon/gemm/packed_gemm_stream_kernel.cuh>
#include <tenon/gemm/packed_gemm_tile_kernel.cuh>
#include <tenon/gemm/packed_gemm_vector_kernel.cuh>
#include <tenon/op/epilogue.hpp>
#include <tenon/quant/packed_weight.hpp>
#include <tenon/quant/quantized_rows.hpp>

#include <optional>
#include <type_traits>

namespace tenon {

struct packed_gemm_options {
  std::optional<packed_gemm_plan> plan = {};  // instead of plan_packed_gemm's
  /// The launch before this one on the stream does not write b: the streaming kernel may start while that one still runs, and
  /// load weights (sm_90 on; arch/cuda/dependency.cuh).
  bool overlaps_previous = false;
};

/// Elements that a product with packed weights multiplies: 16 bits and f32 as they are, 8 bits with scales.
template <class A>
concept packed_gemm_input = std::same_as<A, float> || std::same_as<A, f16> || std::same_as<A, bf16> || row_code<A>;

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

namespace detail {

/// Whether a kernel of this policy is compiled for these inputs, weights and epilogue: the same as packed::is_legal leaves.
template <class A, class Weight, class Pipeline>
constexpr bool compiles(packed_gemm_policy const& p) {
  if (p.kind == packed_gemm_kind::lanes) return true;
  if (p.rows % (Pipeline::segment * (Pipeline::paired ? 2 : 1)) != 0) return false;
  if (p.kind == packed_gemm_kind::vector) return true;
  constexpr bool fp8 = std::is_same_v<A, e4m3> && Weight::code == weight_code::fp8;
  if (Weight::code == weight_code::fp4 && !p.has_room_for_fp4()) return false;
  return sizeof(A) <= 2 && (fp8 ? p.has_room_for_fp8() : p.native || !p.wide);
}

template <class Policy, class D, class A, class Weight, class Epilogue>
status launch_packed_gemm(packed_gemm_params<D, A, Weight, Epilogue> const& params, bool overlaps_previous,
                          context const& where) {
  constexpr packed_gemm_policy policy = Policy::value;
  using shape                         = packed_gemm_params<D, A, Weight, Epilogue>;
  using pipeline                      = typename shape::pipeline;

  if constexpr (!compiles<A, Weight, pipeline>(policy)) {
    return {errc::unsupported, "gemm", "policy"};
  } else {
    // Blocks over D, in the units of B's rows.
    constexpr bool lanes  = policy.kind == packed_gemm_kind::lanes;
    constexpr int  rows   = lanes ? kernel::packed_gemm_lanes_rows<pipeline>(policy) : policy.rows;
    index_t const  m      = params.d.extent[0];
    index_t const  blocks = ceil_div(m, policy.tokens) * ceil_div(params.b.layout.rows, rows) * params.splits;
    if (blocks >= index_t{1} << 31) return {errc::out_of_range, "gemm", "blocks", blocks, (index_t{1} << 31) - 1};
    double const work = static_cast<double>(min<index_t>(m, policy.tokens) + 8) * rows *  // 8: decoding
                        static_cast<double>(params.a.extent[1] / params.splits);
    auto const launch = [&](void (*kernel)(shape const), std::size_t shared_bytes) {
      return arch::launch("gemm", where,
                          {.grid              = static_cast<unsigned>(blocks),
                           .block             = static_cast<unsigned>(policy.threads),
                           .shared_bytes      = shared_bytes,
                           .work_per_block    = work,
                           .overlaps_previous = overlaps_previous && policy.kind == packed_gemm_kind::stream},
                          kernel, params);
    };
    if constexpr (lanes) {
      return launch(kernel::packed_gemm_lanes<Policy, D, A, Weight, Epilogue>,
                    sizeof(kernel::packed_gemm_lanes_storage<Policy, A, Weight, pipeline>));
    } else if constexpr (policy.kind == packed_gemm_kind::tile) {
      return launch(kernel::packed_gemm_tile<Policy, D, A, Weight, Epilogue>,
                    sizeof(kernel::packed_gemm_tile_storage<Policy, A, Weight, pipeline>));
    } else if constexpr (policy.kind == packed_gemm_kind::stream) {
      if (!packed::streams(params.b.layout)) return {errc::unsupported, "gemm", "policy"};
      return launch(kernel::packed_gemm_stream<Policy, D, A, Weight, Epilogue>,
                    sizeof(kernel::packed_gemm_stream_storage<Policy, A, Weight>));
    } else {
      return launch(kernel::packed_gemm_vector<Policy, D, A, Weight, Epilogue>,
                    sizeof(kernel::packed_gemm_vector_storage<Policy, pipeline>));
    }
  }
}

template <class D, class A, class Weight, class Epilogue>
packed_gemm_shape shape_of(packed_gemm_params<D, A, Weight, Epilogue> const& params, context const& where) {
  using pipeline = typename packed_gemm_params<D, A, Weight, Epilogue>::pipeline;
  return {.b           = params.b.layout,
          .m           = params.d.extent[0],
          .input_bytes = sizeof(A),
          .wide        = where.arch == 0 || is_vectorised<16 / sizeof(A)>(params.a),
          .epilogue    = needs_of<pipeline>()};
}

template <class D, class A, class Weight, class Epilogue>
status run_packed_gemm(packed_gemm_params<D, A, Weight, Epilogue>& params, context const& where,
                       packed_gemm_options const& options) {
  using input = std::remove_const_t<A>;
  static_assert(packed_gemm_input<input>, "tenon::gemm: the elements of a must be f32, f16, bf16, int8_t or e4m3");
  static_assert(Weight::order == pack_order_for<input>,
                "tenon::gemm: weights are packed in pairs for inputs of 16 and 32 bits, in quads for those of 8 bits");
  static_assert(multiplies<input>(Weight::code, Weight::scales),
                "tenon::gemm: no products of such inputs with such weights (docs/operators/packed_gemm.md)");
  constexpr bool       paired = packed_gemm_params<D, A, Weight, Epilogue>::paired;
  packed_layout const& l      = params.b.layout;

  extent     m{"m"}, n{"n"}, k{"k"};
  auto const address = reinterpret_cast<std::uintptr_t>(params.b.data);
  TENON_TRY(contract{"gemm"}
                .shape(params.d, m, n)
                .shape(params.a, m, k)
                .require(l.columns == k.value, errc::shape_mismatch, "k of b", l.columns, k.value)
                .require(l.rows == (paired ? paired_rows(n.value) : n.value), errc::shape_mismatch, "n of b", l.rows,
                         paired ? paired_rows(n.value) : n.value)
                .require(l.code == Weight::code && l.scales == Weight::scales && l.order == Weight::order,
                         errc::unsupported, "layout of b: not that of its type")
                .require(l.rows == 0 || params.b.data != nullptr, errc::out_of_range, "b", 0, 1)
                .require(address % 16 == 0, errc::misaligned, "b", static_cast<index_t>(address % 16), 0)
                .addressable(params.d, "d")
                .addressable(params.a, "a")
                .result);
  if constexpr (sizeof(input) == 1) {
    extent groups{"groups of a's scales"};
    TENON_TRY(contract{"gemm"}
                  .shape(params.a_scales, m, groups)
                  .require(groups.value == row_scales(k.value, params.a_group), errc::shape_mismatch, groups.name,
                           groups.value, row_scales(k.value, params.a_group))
                  .require(params.a_group % packed::atom_columns == 0, errc::unsupported, "columns per scale of a",
                           params.a_group, 128)
                  .addressable(params.a_scales, "a's scales")
                  .result);
  }
  if (params.d.size() == 0) return {};
  packed_gemm_plan const plan =
      options.plan ? *options.plan
                   : plan_packed_gemm(shape_of(params, where), {.as              = {where.arch},
                                                                .multiprocessors = where.multiprocessors,
                                                                .workspace       = where.workspace.size,
                                                                .counters        = where.counters.size,
                                                                .batch_invariant = where.batch_invariant});
  if (plan.splits < 1 || plan.splits > 64) return {errc::unsupported, "gemm", "plan.splits", plan.splits, 1};
  if (plan.splits > 1) {
    auto const needed = plan_of(plan.policy, plan.splits, shape_of(params, where), {.as = {where.arch}});
    if (where.workspace.size < needed.workspace)
      return {errc::workspace_too_small, "gemm", "workspace", static_cast<std::int64_t>(where.workspace.size),
              static_cast<std::int64_t>(needed.workspace)};
    if (where.counters.size < needed.counters)
      return {errc::workspace_too_small, "gemm", "counters", where.counters.size, needed.counters};
    if (reinterpret_cast<std::uintptr_t>(where.workspace.data) % 16 != 0)
      return {errc::misaligned, "gemm", "workspace"};
    params.splits   = plan.splits;
    params.partials = reinterpret_cast<float*>(where.workspace.data);
    params.counters = where.counters.data;
  }
  if (!packed::is_legal(plan.policy, shape_of(params, where), {where.arch}))
    return {errc::unsupported, "gemm", "plan.policy"};
  return dispatch_policy<packed_gemm_menu>("gemm", plan.policy, [&]<class Policy>(Policy) {
    return launch_packed_gemm<Policy>(params, options.overlaps_previous, where);
  });
}

}  // namespace detail

/// D[i,j] = epilogue(sum_k A[i,k] w[j,k])
/// D[i,j] = epilogue(sum_k A[i,k] w[gate_row(j),k], sum_k A[i,k] w[up_row(j),k])   with a pairwise epilogue
///
/// d       (m, n)   f32 f16 bf16, or int8_t e4m3 with an epilogue that scales to them; any strides
/// a       (m, k)   f32 f16 bf16   any strides
/// b       (n, k)   packed in pairs (quant/pack_weight.hpp); (paired_rows(n), k) with a pairwise epilogue
/// options plan: instead of plan_packed_gemm's (gemm/packed_gemm_plan.hpp)
/// epilogue         as for dense products (gemm/gemm.hpp)
///
/// Arithmetic  codes less their zero points are exact numbers; products and sums in fp32, scales applied in fp32: to the sum
///             of a group on the GPU, to the numbers on the host. One rounding to D. The same bits for every run.
/// Cost        2 m n k operations; b is read once per block of tokens, a once per block of rows of b. Workspace and counters
///             where K is split, as the plan says; without them it is not.
/// Errors      shape_mismatch(m, n, k, n of b, k of b), misaligned(d, a, b), unsupported(plan, layout of b),
///             workspace_too_small(workspace, counters), out_of_range(d, a, b, blocks).
/// Range       any m, n, k from 0 on; k = 0 gives epilogue(0).
/// Source      docs/operators/packed_gemm.md.
/// Test tests/gemm/packed_gemm_test.cpp.   Page docs/operators/packed_gemm.md.
template <class D, class A, weight_code Code, scale_kind Scales, pack_order Order, gemm_epilogue Epilogue = identity>
status gemm(context const& where, tensor_view<D, 2> d, tensor_view<A, 2> a, packed_weight<Code, Scales, Order> b,
            packed_gemm_options options = {}, Epilogue epilogue = {}) {
  static_assert(sizeof(std::remove_const_t<A>) > 1,
                "tenon::gemm: inputs of 8 bits come with scales, as quantized_rows");
  packed_gemm_params<D, std::remove_const_t<A>, packed_weight<Code, Scales, Order>, Epilogue> params{
      .d = d, .a = as_const(a), .b = b, .epilogue = epilogue::from(epilogue)};
  return detail::run_packed_gemm(params, where, options);
}

/// The same of quantised inputs, A[i,k] = scale[i, k / group] code[i,k]: the products of int8 codes with int8 weights of row
/// scales are summed as integers, exactly, those of e4m3 in fp32.
///
/// a       codes (m, k) int8_t e4m3, any strides; scales (m, row_scales(k, group)) f32, any strides; group 0 or a multiple
///         of 64
/// b       (n, k)   packed in quads
template <class D, class Code8, weight_code Code, scale_kind Scales, pack_order Order,
          gemm_epilogue Epilogue = identity>
status gemm(context const& where, tensor_view<D, 2> d, quantized_rows<Code8> a, packed_weight<Code, Scales, Order> b,
            packed_gemm_options options = {}, Epilogue epilogue = {}) {
  packed_gemm_params<D, std::remove_const_t<Code8>, packed_weight<Code, Scales, Order>, Epilogue> params{
      .d        = d,
      .a        = as_const(a.codes),
      .b        = b,
      .a_scales = a.scales,
      .a_group  = a.group,
      .epilogue = epilogue::from(epilogue)};
  return detail::run_packed_gemm(params, where, options);
}

}  // namespace tenon::inline TENON_TARGET
