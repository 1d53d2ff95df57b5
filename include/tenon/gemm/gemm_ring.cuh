#pragma once
//  The ring of tiles that the tiled dense kernels read: a stage is a tile of A and a tile of B, as wide along K as the policy
//  says, in swizzled shared memory.
#include <tenon/arch/arch.cuh>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/tile/copy.cuh>
#include <tenon/tile/swizzle.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class T>
struct gemm_ring {
  static constexpr int depth = Policy::value.template depth_of<T>();

  tile::shared_tile<T, Policy::value.rows, depth>    a[Policy::value.stages];
  tile::shared_tile<T, Policy::value.columns, depth> b[Policy::value.stages];

  /// Starts copying tile `t` of K into stage `stage`; one group of copies, empty past the end.
  __device__ void fetch(tensor_view<T const, 2> const& a_view, tensor_view<T const, 2> const& b_view,
                        gemm_tile_place const& place, int t, int end, int stage) {
    constexpr int threads = Policy::value.threads;
    int const     thread  = static_cast<int>(threadIdx.x);
    index_t const column  = static_cast<index_t>(t) * depth;
    if constexpr (Policy::value.wide) {
      if (t < end) {
        tile::copy_async<threads>(a[stage], a_view, place.row, column, thread);
        tile::copy_async<threads>(b[stage], b_view, place.b_row, column, thread);
      }
      arch::cp_async_commit();
    } else if (t < end) {
      tile::copy_elements<threads>(a[stage], a_view, place.row, column, thread);
      tile::copy_elements<threads>(b[stage], b_view, place.b_row, column, thread);
    }
  }
};

/// Takes tiles first..end-1 of K through the ring, in order. fetch(t, stage) starts copying tile t into a stage, and nothing
/// from `end` on; where the policy is wide it closes one group of copies. multiply(stage) reads what has landed there.
/// Collective over the block; the ring's memory is free on return.
template <class Policy, class Fetch, class Multiply>
__device__ inline void turn_gemm_ring(int first, int end, Fetch const& fetch, Multiply const& multiply) {
  constexpr int  stages = Policy::value.stages;
  constexpr bool wide   = Policy::value.wide;
  static_assert(stages >= 2);
  TENON_UNROLL_DEVICE
  for (int s = 0; s < stages - 1; ++s) fetch(first + s, s);

  int stage = 0;
  for (int t = first; t < end; ++t) {
    if constexpr (wide) arch::cp_async_wait<stages - 2>();
    // Everyone's part of tile t has landed; everyone has read tile t - 1, whose stage is refilled.
    arch::sync_block();
    fetch(t + stages - 1, stage == 0 ? stages - 1 : stage - 1);
    multiply(stage);
    stage = stage + 1 == stages ? 0 : stage + 1;
  }
  if constexpr (wide) arch::cp_async_wait<0>();
  arch::sync_block();
}

}  // namespace tenon::inline TENON_TARGET::kernel
