#pragma once
//  The main loop of fp32 products on CUDA cores: a thread's share of a block's tile, summed over tiles of K that travel through
//  the ring (gemm_ring.cuh). How a tile of A or B gets into its stage is the caller's, as in gemm_mma_loop.cuh.
#include <tenon/arch/arch.cuh>
#include <tenon/core/vec.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy>
struct gemm_tile_product {
  static constexpr gemm_policy policy = Policy::value;
  static constexpr int         R = policy.tile_rows, C = policy.tile_columns;
  static constexpr int         chunks = gemm_ring<Policy, float>::depth / 4;
  static constexpr int         across = policy.columns / (8 * C);  // warps
  static_assert(policy.threads == policy.rows / R * (policy.columns / C) && policy.columns % (8 * C) == 0 &&
                    policy.rows % (4 * R) == 0 && !policy.swapped && policy.split == 1,
                "tenon::gemm_tile: the threads' tiles must cover the block's");

  float sum[R][C] = {};

  /// This thread's rows are row, row + 4, ..; its columns column, column + 8, ..
  __device__ static int row() { return arch::warp() / across * (4 * R) + arch::lane() / 8; }
  __device__ static int column() { return arch::warp() % across * (8 * C) + arch::lane() % 8; }

  /// Adds tiles first..end-1 of K, which fetch brings into the ring (turn_gemm_ring).
  template <class Fetch>
  __device__ void add(gemm_ring<Policy, float>& ring, int first, int end, Fetch const& fetch) {
    int const first_row = row(), first_column = column();
    turn_gemm_ring<Policy>(first, end, fetch, [&](int stage) {
      TENON_UNROLL_DEVICE
      for (int k = 0; k < chunks; ++k) {
        vec<float, 4> a[R];
        TENON_UNROLL_DEVICE
        for (int r = 0; r < R; ++r) a[r] = arch::load<4>(ring.a[stage].chunk(first_row + 4 * r, k));
        TENON_UNROLL_DEVICE
        for (int c = 0; c < C; ++c) {
          auto const b = arch::load<4>(ring.b[stage].chunk(first_column + 8 * c, k));
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) {
            TENON_UNROLL_DEVICE
            for (int r = 0; r < R; ++r) sum[r][c] = arch::fma(a[r][e], b[e], sum[r][c]);
          }
        }
      }
    });
  }

  /// What end_gemm_block asks of its `put`: this thread's sums of rows first_row.. of the tile, into a slice.
  template <class Pipeline>
  __device__ void put(typename gemm_end_storage<Policy, Pipeline>::sums* parts, int first_row) const {
    using end_storage = gemm_end_storage<Policy, Pipeline>;
    TENON_UNROLL_DEVICE
    for (int r = 0; r < R; ++r) {
      int const at = row() + 4 * r - first_row;
      if (end_storage::slice != policy.rows && (at < 0 || at >= end_storage::slice)) continue;
      TENON_UNROLL_DEVICE
      for (int c = 0; c < C; ++c) parts[0].value[at * end_storage::sums::pitch + column() + 8 * c] = sum[r][c];
    }
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
