#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) on tensor cores: f16, bf16, and f32 rounded to tf32; fp32 accumulators.
//
//  A block computes rows x columns of D. Tiles of A and B, 2 depth bytes of K wide, travel through a ring of `stages`
//  swizzled shared tiles: cp.async keeps stages - 1 of them in flight, one barrier per tile. Each warp multiplies
//  tile_rows x tile_columns of it, fragments of step s + 1 loading while those of step s multiply. What lies outside A and
//  B is zeros in shared memory, so nothing depends on m, n or k being multiples of anything.
//
//  Which operand is the fragments' sixteen rows is the policy's: A's, or, swapped, B's, whose eight columns then are tokens.
//  With split > 1 the warps share the steps of each stage as well, and their sums meet at the end.
//
//  An element's sum runs over K in steps of one mma, in order, in every policy without a split, whichever way round: the same
//  row has the same bits in every tile. Traffic: A once per column of blocks, B once per row of blocks, through L2; D once.
//  The multistage loop follows NVIDIA/cutlass, include/cutlass/gemm/threadblock/mma_multistage.h (idea).
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>
#include <tenon/tile/mma.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class D, class T, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads,
                             1) void gemm_mma(__grid_constant__ gemm_params<D, T, Pipeline> const p) {
  constexpr gemm_policy policy  = Policy::value;
  constexpr bool        swapped = policy.swapped;
  constexpr int         stages  = policy.stages;
  constexpr int         steps   = policy.depth / 16 / policy.split;  // of K in a stage, for one warp
  constexpr int         high    = (swapped ? policy.tile_columns : policy.tile_rows) / 16;  // mma tiles of a warp
  constexpr int         wide    = (swapped ? policy.tile_rows : policy.tile_columns) / 8;
  constexpr int         across  = policy.columns / policy.tile_columns;  // warps
  constexpr int         warps   = across * (policy.rows / policy.tile_rows);
  static_assert(policy.threads == 32 * warps * policy.split,
                "tenon::gemm_mma: the warps' tiles must cover the block's");
  static_assert(wide % 2 == 0 && policy.depth % (16 * policy.split) == 0 && stages >= 2);

  // Index map.
  auto&                  ring = arch::shared<gemm_ring<Policy, T>>();
  gemm_block<D, T> const block(p);
  auto const             place       = place_gemm_tile<Policy, Pipeline>(block.tile, p.d.extent[0], p.d.extent[1]);
  int const              warp_row    = arch::warp() % warps / across * policy.tile_rows;
  int const              warp_column = arch::warp() % across * policy.tile_columns;
  int const              warp_part   = arch::warp() / warps;  // of a stage's steps

  // Load: this block's tiles of K.
  int const  tiles = static_cast<int>(ceil_div(p.a.extent[1], gemm_ring<Policy, T>::depth));
  int const  first = static_cast<int>(static_cast<index_t>(tiles) * block.split / p.splits);
  int const  end   = static_cast<int>(static_cast<index_t>(tiles) * (block.split + 1) / p.splits);
  auto const fetch = [&](int t, int stage) { ring.fetch(block.a, block.b, place, t, end, stage); };
  TENON_UNROLL_DEVICE
  for (int s = 0; s < stages - 1; ++s) fetch(first + s, s);

  // Multiply.
  tile::accumulator sum[high][wide];
  tile::fragment_a  a[2][high];
  tile::fragment_b  b[2][wide / 2][2];
  int               stage = 0;
  for (int t = first; t < end; ++t) {
    if constexpr (policy.wide) arch::cp_async_wait<stages - 2>();
    arch::sync_block();  // everyone's part of tile t has landed; everyone has read tile t - 1, whose stage is refilled
    fetch(t + stages - 1, stage == 0 ? stages - 1 : stage - 1);

    auto const load = [&](int step, int slot) {
      int const k = warp_part * steps + step;
      TENON_UNROLL_DEVICE
      for (int i = 0; i < high; ++i)
        if constexpr (swapped) a[slot][i] = tile::load_a(ring.b[stage], warp_column + 16 * i, k);
        else a[slot][i] = tile::load_a(ring.a[stage], warp_row + 16 * i, k);
      TENON_UNROLL_DEVICE
      for (int j = 0; j < wide / 2; ++j)
        if constexpr (swapped) tile::load_b(b[slot][j], ring.a[stage], warp_row + 16 * j, k);
        else tile::load_b(b[slot][j], ring.b[stage], warp_column + 16 * j, k);
    };
    load(0, 0);
    TENON_UNROLL_DEVICE
    for (int s = 0; s < steps; ++s) {
      if (s + 1 < steps) load(s + 1, (s + 1) % 2);
      if constexpr (sizeof(T) == 4) {
        TENON_UNROLL_DEVICE
        for (int i = 0; i < high; ++i) tile::round_to_tf32(a[s % 2][i].r);
        TENON_UNROLL_DEVICE
        for (int j = 0; j < wide; ++j) tile::round_to_tf32(b[s % 2][j / 2][j % 2].r);
        tile::mma<tf32>(sum, a[s % 2], b[s % 2]);
      } else {
        tile::mma<T>(sum, a[s % 2], b[s % 2]);
      }
    }
    stage = stage + 1 == stages ? 0 : stage + 1;
  }
  if constexpr (policy.wide) arch::cp_async_wait<0>();  // the ring's memory is the end's now
  arch::sync_block();

  using end_storage = gemm_end_storage<Policy, Pipeline>;
  end_gemm_block<Policy>(p, block, place, [&](typename end_storage::sums* parts, int row) {
    TENON_UNROLL_DEVICE
    for (int i = 0; i < high; ++i) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < wide; ++j) {
        int const at = warp_row + (swapped ? 8 * j : 16 * i) - row, column = warp_column + (swapped ? 16 * i : 8 * j);
        if (end_storage::slice == policy.rows || (at >= 0 && at < end_storage::slice))
          parts[warp_part].put(at, column, sum[i][j].v);
      }
    }
  });
}

}  // namespace tenon::inline TENON_TARGET::kernel
