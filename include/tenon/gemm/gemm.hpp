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
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_vector_kernel.cuh>
#include <tenon/op/epilogue.hpp>

#include <optional>
#include <type_traits>

namespace tenon {

struct gemm_options {
  std::optional<gemm_policy> policy = {};  // instead of the one that choose_gemm_policy would choose
};

/// Elements that gemm multiplies.
template <class T>
concept gemm_element = std::same_as<T, float> || std::same_as<T, f16> || std::same_as<T, bf16>;

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

namespace detail {

template <class Policy, class D, class T, class Epilogue>
status launch_gemm(gemm_params<D, T, Epilogue> const& params, context const& where) {
  constexpr gemm_policy policy = Policy::value;
  using shape                  = gemm_params<D, T, Epilogue>;

  // Blocks over D, in the units of `columns`: D's (lanes), else B's rows.
  index_t const m = params.d.extent[0], n = params.d.extent[1], k = params.a.extent[1];
  index_t const across = shape::paired && policy.kind != gemm_kind::lanes ? paired_rows(n) : n;
  index_t const blocks = ceil_div(m, policy.rows) * ceil_div(across, policy.columns);
  if (blocks >= index_t{1} << 31) return {errc::out_of_range, "gemm", "blocks", blocks, (index_t{1} << 31) - 1};
  double const work = static_cast<double>(min<index_t>(m, policy.rows)) *
                      static_cast<double>(min<index_t>(n, policy.columns)) * static_cast<double>(k) *
                      (shape::paired && policy.kind == gemm_kind::lanes ? 2 : 1);
  auto const launch = [&](void (*kernel)(shape const)) {
    return arch::launch("gemm", where,
                        {.grid           = static_cast<unsigned>(blocks),
                         .block          = static_cast<unsigned>(policy.threads),
                         .shared_bytes   = policy.shared_bytes(sizeof(T)),
                         .work_per_block = work},
                        kernel, params);
  };
  if constexpr (policy.kind == gemm_kind::lanes) {
    return launch(kernel::gemm_lanes<Policy, D, T, Epilogue>);
  } else if constexpr (policy.kind == gemm_kind::vector) {
    return launch(kernel::gemm_vector<Policy, D, T, Epilogue>);
  } else if constexpr (sizeof(T) == 2) {
    static_assert(sizeof(kernel::gemm_mma_storage<Policy, T>) == policy.shared_bytes(sizeof(T)));
    return launch(kernel::gemm_mma<Policy, D, T, Epilogue>);
  } else {
    return {errc::unsupported, "gemm", "policy"};  // tensor cores have no true fp32
  }
}

}  // namespace detail

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
  using T = std::remove_const_t<A>;
  static_assert(gemm_element<T>, "tenon::gemm: the elements of a must be f32, f16 or bf16");
  static_assert(std::same_as<T, std::remove_const_t<B>>, "tenon::gemm: a and b must have one element type");
  static_assert(std::same_as<D, T> || std::same_as<D, float>,
                "tenon::gemm: the elements of d must be those of a, or f32");

  constexpr bool paired = epilogue::pipeline_of<Epilogue>::paired;
  extent         m{"m"}, n{"n"}, k{"k"}, b_rows{"n of b"};
  TENON_TRY(contract{"gemm"}
                .shape(d, m, n)
                .shape(a, m, k)
                .shape(b, b_rows, k)
                .require(b_rows.value == (paired ? paired_rows(n.value) : n.value), errc::shape_mismatch, "n of b",
                         b_rows.value, paired ? paired_rows(n.value) : n.value)
                .addressable(d, "d")
                .addressable(a, "a")
                .addressable(b, "b")
                .result);
  if (d.size() == 0) return {};

  constexpr int     vector = 16 / static_cast<int>(sizeof(T));
  bool const        wide   = where.arch == 0 ? (a.stride[1] == 1 || k.value <= 1) && (b.stride[1] == 1 || k.value <= 1)
                                             : is_vectorised<vector>(a) && is_vectorised<vector>(b);
  gemm_policy const policy = options.policy ? *options.policy
                                            : choose_gemm_policy({where.arch}, m.value, n.value, k.value, sizeof(T),
                                                                 wide, where.batch_invariant);
  if (policy.wide && !wide) return {errc::unsupported, "gemm", "policy.wide", 1, 0};
  gemm_params<D, T, Epilogue> const params{d, as_const(a), as_const(b), epilogue};
  return dispatch_policy<gemm_menu>("gemm", policy,
                                    [&]<class Policy>(Policy) { return detail::launch_gemm<Policy>(params, where); });
}

}  // namespace tenon::inline TENON_TARGET
