#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) in true fp32 on CUDA cores, by tiles.
//
//  The ring of gemm_mma_kernel.cuh; each thread multiplies tile_rows x tile_columns of a stage. A warp's 4 x 8 threads take
//  neighbouring rows, so that eight lanes read one chunk of eight rows (what the swizzle spreads over all banks) or all the
//  same one. An element's sum runs over k in order, one fused multiply-add each: the same bits in every tile.
//  Traffic: A once per column of blocks, B once per row of blocks, through L2; D once.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class D, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads,
                             1) void gemm_tile(__grid_constant__ gemm_params<D, float, Pipeline> const p) {
  constexpr gemm_policy policy = Policy::value;
  constexpr int         stages = policy.stages, R = policy.tile_rows, C = policy.tile_columns;
  constexpr int         chunks = gemm_ring<Policy, float>::depth / 4;
  constexpr int         across = policy.columns / (8 * C);  // warps
  static_assert(policy.threads == policy.rows / R * (policy.columns / C) && policy.columns % (8 * C) == 0 &&
                    policy.rows % (4 * R) == 0 && !policy.swapped && policy.split == 1,
                "tenon::gemm_tile: the threads' tiles must cover the block's");

  // Index map: this thread's rows are row, row + 4, ..; its columns column, column + 8, ..
  auto&                      ring = arch::shared<gemm_ring<Policy, float>>();
  gemm_block<D, float> const block(p);
  auto const                 place  = place_gemm_tile<Policy, Pipeline>(block.tile, p.d.extent[0], p.d.extent[1]);
  int const                  row    = arch::warp() / across * (4 * R) + arch::lane() / 8;
  int const                  column = arch::warp() % across * (8 * C) + arch::lane() % 8;

  // Load.
  int const  tiles = static_cast<int>(ceil_div(p.a.extent[1], gemm_ring<Policy, float>::depth));
  int const  first = static_cast<int>(static_cast<index_t>(tiles) * block.split / p.splits);
  int const  end   = static_cast<int>(static_cast<index_t>(tiles) * (block.split + 1) / p.splits);
  auto const fetch = [&](int t, int stage) { ring.fetch(block.a, block.b, place, t, end, stage); };
  TENON_UNROLL_DEVICE
  for (int s = 0; s < stages - 1; ++s) fetch(first + s, s);

  // Multiply.
  float sum[R][C] = {};
  int   stage     = 0;
  for (int t = first; t < end; ++t) {
    if constexpr (policy.wide) arch::cp_async_wait<stages - 2>();
    arch::sync_block();  // everyone's part of tile t has landed; everyone has read tile t - 1, whose stage is refilled
    fetch(t + stages - 1, stage == 0 ? stages - 1 : stage - 1);

    TENON_UNROLL_DEVICE
    for (int k = 0; k < chunks; ++k) {
      vec<float, 4> a[R];
      TENON_UNROLL_DEVICE
      for (int r = 0; r < R; ++r) a[r] = arch::load<4>(ring.a[stage].chunk(row + 4 * r, k));
      TENON_UNROLL_DEVICE
      for (int c = 0; c < C; ++c) {
        auto const b = arch::load<4>(ring.b[stage].chunk(column + 8 * c, k));
        TENON_UNROLL_DEVICE
        for (int e = 0; e < 4; ++e) {
          TENON_UNROLL_DEVICE
          for (int r = 0; r < R; ++r) sum[r][c] = arch::fma(a[r][e], b[e], sum[r][c]);
        }
      }
    }
    stage = stage + 1 == stages ? 0 : stage + 1;
  }
  if constexpr (policy.wide) arch::cp_async_wait<0>();  // the ring's memory is the end's now
  arch::sync_block();

  using end_storage = gemm_end_storage<Policy, Pipeline>;
  end_gemm_block<Policy>(p, block, place, [&](typename end_storage::sums* parts, int first_row) {
    TENON_UNROLL_DEVICE
    for (int r = 0; r < R; ++r) {
      int const at = row + 4 * r - first_row;
      if (end_storage::slice != policy.rows && (at < 0 || at >= end_storage::slice)) continue;
      TENON_UNROLL_DEVICE
      for (int c = 0; c < C; ++c) parts[0].value[at * end_storage::sums::pitch + column + 8 * c] = sum[r][c];
    }
  });
}

}  // namespace tenon::inline TENON_TARGET::kernel
