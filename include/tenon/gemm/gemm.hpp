#pragma once
//  Dense matrix product with a fused epilogue.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/gemm/gemm_lanes_kernel.cuh>
#include <tenon/gemm/gemm_mma_kernel.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_plan.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_tile_kernel.cuh>
#include <tenon/gemm/gemm_vector_kernel.cuh>
#include <tenon/op/epilogue.hpp>

#include <optional>
#include <type_traits>

namespace tenon {

struct gemm_options {
  std::optional<gemm_policy> policy     = {};     // instead of the one that plan_gemm would choose; K is not split
  std::optional<gemm_plan>   plan       = {};     // its policy and its splits, instead of plan_gemm's
  bool                       allow_tf32 = false;  // f32 operands may be rounded to tf32, for tensor cores
};

/// Elements that gemm multiplies.
template <class T>
concept gemm_element = std::same_as<T, float> || std::same_as<T, f16> || std::same_as<T, bf16>;

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

namespace detail {

/// Shared memory of a block.
template <class Policy, class T, class Pipeline>
constexpr std::size_t gemm_shared_bytes() {
  constexpr gemm_policy policy = Policy::value;
  if constexpr (policy.kind == gemm_kind::lanes) {
    return 0;
  } else if constexpr (policy.kind == gemm_kind::vector) {
    if (kernel::gemm_vector_cover<Policy, Pipeline>::direct) return 0;
    return sizeof(kernel::gemm_vector_storage<Policy, Pipeline>);
  } else {
    static_assert(sizeof(kernel::gemm_ring<Policy, T>) == policy.ring_bytes());
    static_assert(sizeof(kernel::gemm_end_storage<Policy, Pipeline>) <= policy.ring_bytes());
    return policy.ring_bytes();
  }
}

/// Products that a block sums.
template <class Policy, class Pipeline>
constexpr double gemm_block_work(index_t m, index_t n, index_t k) {
  constexpr gemm_policy policy = Policy::value;
  return static_cast<double>(min<index_t>(m, policy.rows)) * static_cast<double>(min<index_t>(n, policy.columns)) *
         static_cast<double>(k) * (Pipeline::paired && policy.kind == gemm_kind::lanes ? 2 : 1);
}

template <class Policy, class D, class T, class Pipeline>
status launch_gemm(gemm_params<D, T, Pipeline> const& params, gemm_plan const& plan, context const& where) {
  constexpr gemm_policy policy = Policy::value;
  if constexpr (!policy.runs(sizeof(T), needs_of<Pipeline>())) {
    return {errc::unsupported, "gemm", "policy"};  // not with these elements, or not with this epilogue
  } else {
    double const work   = gemm_block_work<Policy, Pipeline>(params.d.extent[0], params.d.extent[1], params.a.extent[1]);
    auto const   launch = [&](void (*kernel)(gemm_params<D, T, Pipeline> const)) {
      return arch::launch("gemm", where,
                            {.grid           = static_cast<unsigned>(plan.blocks),
                             .block          = static_cast<unsigned>(policy.threads),
                             .shared_bytes   = gemm_shared_bytes<Policy, T, Pipeline>(),
                             .work_per_block = work},
                            kernel, params);
    };
    if constexpr (policy.kind == gemm_kind::lanes) return launch(kernel::gemm_lanes<Policy, D, T, Pipeline>);
    else if constexpr (policy.kind == gemm_kind::vector) return launch(kernel::gemm_vector<Policy, D, T, Pipeline>);
    else if constexpr (policy.kind == gemm_kind::tile) return launch(kernel::gemm_tile<Policy, D, Pipeline>);
    else return launch(kernel::gemm_mma<Policy, D, T, Pipeline>);
  }
}

/// A batch of one.
template <class T>
constexpr tensor_view<T, 3> one_of_batch(tensor_view<T, 2> const& v) {
  return {v.data, {1, v.extent[0], v.extent[1]}, {0, v.stride[0], v.stride[1]}};
}
template <class T>
constexpr tensor_view<T, 2> first_of_batch(tensor_view<T, 3> const& v) {
  return {v.data, {v.extent[1], v.extent[2]}, {v.stride[1], v.stride[2]}};
}

}  // namespace detail

/// D[b,i,j] = epilogue(sum_k A[b,i,k] B[b,j,k]) for every matrix b of a batch, in one launch
///
/// d       (batch, m, n)  as below; matrices any distance apart
/// a       (batch, m, k)  or (1, m, k), one matrix for all
/// b       (batch, n, k)  or (1, n, k), one matrix for all
/// options as below
/// epilogue               as below, its row = index of the matrix * m + row of D: vectors over rows have batch * m elements,
///                        residuals batch * m rows
///
/// Everything else as for one product; an element's bits are those of one product of its own.
template <class D, class A, class B, gemm_epilogue Epilogue = identity>
status gemm(context const& where, tensor_view<D, 3> d, tensor_view<A, 3> a, tensor_view<B, 3> b,
            gemm_options options = {}, Epilogue epilogue = {}) {
  using T = std::remove_const_t<A>;
  static_assert(gemm_element<T>, "tenon::gemm: the elements of a must be f32, f16 or bf16");
  static_assert(std::same_as<T, std::remove_const_t<B>>, "tenon::gemm: a and b must have one element type");
  static_assert(std::same_as<D, T> || std::same_as<D, float> || std::same_as<D, std::int8_t> || std::same_as<D, e4m3>,
                "tenon::gemm: the elements of d must be those of a, f32, int8_t or e4m3");

  using pipeline        = epilogue::pipeline_of<Epilogue>;
  constexpr bool paired = pipeline::paired;
  extent         batch{"batch"}, a_batch{"batch of a"}, b_batch{"batch of b"}, m{"m"}, n{"n"}, k{"k"}, b_rows{"n of b"};
  contract       checked{"gemm"};
  checked.shape(d, batch, m, n).shape(a, a_batch, m, k).shape(b, b_batch, b_rows, k);
  for (extent const* const e : {&a_batch, &b_batch})
    checked.require(e->value == batch.value || e->value == 1, errc::shape_mismatch, e->name, e->value, batch.value);
  index_t const want_rows = paired ? paired_rows(n.value) : n.value;
  TENON_TRY(checked.require(b_rows.value == want_rows, errc::shape_mismatch, "n of b", b_rows.value, want_rows)
                .addressable(d, "d")
                .addressable(a, "a")
                .addressable(b, "b")
                .result);
  if (d.size() == 0) return {};

  constexpr int    vector = 16 / static_cast<int>(sizeof(T));
  bool const       wide   = where.arch == 0 ? (a.stride[2] == 1 || k.value <= 1) && (b.stride[2] == 1 || k.value <= 1)
                                            : is_vectorised<vector>(a) && is_vectorised<vector>(b);
  gemm_shape const shape{
      m.value, n.value, k.value, batch.value, sizeof(T), options.allow_tf32, wide, needs_of<pipeline>()};
  gemm_resources const have{
      {where.arch}, where.multiprocessors, where.batch_invariant, where.workspace.size, where.counters.size};
  if (options.plan) options.policy = options.plan->policy;
  if (options.policy && !is_on_gemm_menu(*options.policy)) return {errc::unsupported, "gemm", "policy"};
  if (options.plan && options.plan->splits < 1)
    return {errc::unsupported, "gemm", "plan.splits", options.plan->splits, 1};
  gemm_plan const plan = options.plan     ? plan_of(options.plan->policy, options.plan->splits, shape, have)
                         : options.policy ? plan_of(*options.policy, 1, shape, have)
                                          : plan_gemm(shape, have);

  bool const can_split = plan.policy.kind == gemm_kind::mma || plan.policy.kind == gemm_kind::tile;
  auto const signed_of = [](auto v) { return static_cast<std::int64_t>(v); };
  TENON_TRY(
      contract{"gemm"}
          .require(sizeof(T) != 4 || plan.policy.kind != gemm_kind::mma || options.allow_tf32, errc::unsupported,
                   "allow_tf32", 0, 1)
          .require(!plan.policy.wide || wide, errc::unsupported, "policy.wide", 1, 0)
          .require(plan.splits == 1 || can_split, errc::unsupported, "plan.splits", plan.splits, 1)
          .require(plan.workspace <= where.workspace.size, errc::workspace_too_small, "workspace",
                   signed_of(where.workspace.size), signed_of(plan.workspace))
          .require(plan.counters <= where.counters.size, errc::workspace_too_small, "counters", where.counters.size,
                   plan.counters)
          .require(plan.blocks < index_t{1} << 31, errc::out_of_range, "blocks", plan.blocks, (index_t{1} << 31) - 1)
          .result);

  gemm_params<D, T, pipeline> const params{detail::first_of_batch(d),
                                           as_const(detail::first_of_batch(a)),
                                           as_const(detail::first_of_batch(b)),
                                           epilogue::from(epilogue),
                                           d.stride[0],
                                           a_batch.value == 1 ? 0 : a.stride[0],
                                           b_batch.value == 1 ? 0 : b.stride[0],
                                           gemm_tiles(plan.policy, shape),
                                           plan.splits,
                                           reinterpret_cast<float*>(where.workspace.data),
                                           where.counters.data};
  return dispatch_policy<gemm_menu>(
      "gemm", plan.policy, [&]<class Policy>(Policy) { return detail::launch_gemm<Policy>(params, plan, where); });
}

/// D[i,j] = epilogue(sum_k A[i,k] B[j,k])
/// D[i,j] = epilogue(sum_k A[i,k] B[gate_row(j),k], sum_k A[i,k] B[up_row(j),k])   with a pairwise epilogue
///
/// d       (m, n)   T or f32         any strides; may be the epilogue's own residual, overlaps neither a nor b
/// a       (m, k)   T: f32 f16 bf16  any strides
/// b       (n, k)   T                any strides; (paired_rows(n), k) with a pairwise epilogue (gemm/interleave.hpp)
/// options policy: one of gemm_menu, instead of choose_gemm_policy's
/// epilogue(v, row, column), or epilogue(gate, up, row, column)   fp32 -> fp32, called once per element of D, order
///                  unspecified (op/epilogue.hpp)
///
/// Arithmetic  products and sums in fp32 (f32 is true fp32, never tf32), one rounding to D. The order of an element's sum
///             depends on the policy's kind and on k alone, never on m, n, the tile or the strides; the kind depends on m
///             only where context.batch_invariant is false. Same bits for every run.
/// Cost        2 m n k operations; A is read once per column of blocks, B once per row of blocks, D written once; no
///             workspace. Fast where rows of a and b are contiguous (the GPU's kernels: and start on 16 bytes); other
///             layouts take the same kernels with element loads.
/// Errors      shape_mismatch(m, k, n of b), misaligned(d, a, b), out_of_range(d, a, b: no address), unsupported(policy:
///             not in the menu; policy.wide: not for these strides), out_of_range(blocks).
/// Range       any m, n, k from 0 on; k = 0 gives epilogue(0).
/// Source      docs/operators/gemm.md.
/// Example     docs/operators/gemm.md.   Test tests/gemm/gemm_test.cpp.   Page docs/operators/gemm.md.
template <class D, class A, class B, gemm_epilogue Epilogue = identity>
status gemm(context const& where, tensor_view<D, 2> d, tensor_view<A, 2> a, tensor_view<B, 2> b,
            gemm_options options = {}, Epilogue epilogue = {}) {
  return gemm(where, detail::one_of_batch(d), detail::one_of_batch(a), detail::one_of_batch(b), options, epilogue);
}

}  // namespace tenon::inline TENON_TARGET
