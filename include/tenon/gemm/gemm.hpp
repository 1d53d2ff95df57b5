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
#include <tenon/gemm/gemm_tile_kernel.cuh>
#include <tenon/gemm/gemm_vector_kernel.cuh>
#include <tenon/op/epilogue.hpp>

#include <optional>
#include <type_traits>

namespace tenon {

struct gemm_options {
  std::optional<gemm_policy> policy     = {};     // instead of the one that choose_gemm_policy would choose
  bool                       allow_tf32 = false;  // f32 operands may be rounded to tf32, for tensor cores
};

/// Elements that gemm multiplies.
template <class T>
concept gemm_element = std::same_as<T, float> || std::same_as<T, f16> || std::same_as<T, bf16>;

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

namespace detail {

/// Tiles of one D: blocks, where none shares a sum with another.
template <class Policy, class Pipeline>
constexpr index_t gemm_tiles(index_t m, index_t n) {
  constexpr gemm_policy policy = Policy::value;
  index_t const         down   = ceil_div(m, policy.rows);
  if constexpr (policy.kind == gemm_kind::lanes)
    return down * ceil_div(n, kernel::gemm_lanes_cover<Policy, Pipeline>::columns);
  else if constexpr (policy.kind == gemm_kind::vector)
    return down * ceil_div(n, kernel::gemm_vector_cover<Policy, Pipeline>::columns);
  else return down * ceil_div(Pipeline::paired ? paired_rows(n) : n, policy.columns);
}

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

template <class Policy, class D, class T, class Pipeline>
status launch_gemm(gemm_params<D, T, Pipeline> params, context const& where) {
  constexpr gemm_policy policy = Policy::value;
  if constexpr (!policy.runs(sizeof(T), Pipeline::segment, Pipeline::paired)) {
    return {errc::unsupported, "gemm", "policy"};  // not with these elements, or not with this epilogue
  } else {
    index_t const m = params.d.extent[0], n = params.d.extent[1], k = params.a.extent[1];
    params.tiles         = gemm_tiles<Policy, Pipeline>(m, n);
    index_t const blocks = params.tiles;
    if (blocks >= index_t{1} << 31) return {errc::out_of_range, "gemm", "blocks", blocks, (index_t{1} << 31) - 1};
    double const work = static_cast<double>(min<index_t>(m, policy.rows)) *
                        static_cast<double>(min<index_t>(n, policy.columns)) * static_cast<double>(k) *
                        (Pipeline::paired && policy.kind == gemm_kind::lanes ? 2 : 1);
    auto const launch = [&](void (*kernel)(gemm_params<D, T, Pipeline> const)) {
      return arch::launch("gemm", where,
                          {.grid           = static_cast<unsigned>(blocks),
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
  static_assert(std::same_as<D, T> || std::same_as<D, float> || std::same_as<D, std::int8_t> || std::same_as<D, e4m3>,
                "tenon::gemm: the elements of d must be those of a, f32, int8_t or e4m3");

  using pipeline        = epilogue::pipeline_of<Epilogue>;
  constexpr bool paired = pipeline::paired;
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
  gemm_policy const policy = options.policy
                                 ? *options.policy
                                 : choose_gemm_policy({where.arch}, m.value, n.value, k.value, sizeof(T), wide,
                                                      where.batch_invariant, pipeline::segment, paired);
  if (sizeof(T) == 4 && policy.kind == gemm_kind::mma && !options.allow_tf32)
    return {errc::unsupported, "gemm", "allow_tf32", 0, 1};
  if (policy.wide && !wide) return {errc::unsupported, "gemm", "policy.wide", 1, 0};
  gemm_params<D, T, pipeline> const params{d, as_const(a), as_const(b), epilogue::from(epilogue)};
  return dispatch_policy<gemm_menu>("gemm", policy,
                                    [&]<class Policy>(Policy) { return detail::launch_gemm<Policy>(params, where); });
}

}  // namespace tenon::inline TENON_TARGET
