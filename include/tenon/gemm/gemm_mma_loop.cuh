#pragma once
//  The main loop of products on tensor cores: a warp's share of a block's tile, summed over tiles of K that travel through the
//  ring (gemm_ring.cuh). How a tile of A or B gets into its stage is the caller's: rows of a matrix, or patches of an image.
#include <tenon/arch/arch.cuh>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>
#include <tenon/tile/mma.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// T: f16, bf16; f32, rounded to tf32; int8_t, summed in int32.
template <class Policy, class T>
struct gemm_mma_product {
  static constexpr gemm_policy policy  = Policy::value;
  static constexpr bool        swapped = policy.swapped;
  static constexpr int         steps   = policy.depth / 16 / policy.split;  // of K in a stage, for one warp
  static constexpr int         high   = (swapped ? policy.tile_columns : policy.tile_rows) / 16;  // mma tiles of a warp
  static constexpr int         wide   = (swapped ? policy.tile_rows : policy.tile_columns) / 8;
  static constexpr int         across = policy.columns / policy.tile_columns;  // warps
  static constexpr int         warps  = across * (policy.rows / policy.tile_rows);
  static_assert(policy.threads == 32 * warps * policy.split,
                "tenon::gemm_mma: the warps' tiles must cover the block's");
  static_assert(wide % 2 == 0 && policy.depth % (16 * policy.split) == 0);

  tile::accumulator_of<T> sum[high][wide];
  int                     warp_row    = arch::warp() % warps / across * policy.tile_rows;
  int                     warp_column = arch::warp() % across * policy.tile_columns;
  int                     warp_part   = arch::warp() / warps;  // of a stage's steps

  /// Adds tiles first..end-1 of K, which fetch brings into the ring (turn_gemm_ring).
  template <class Fetch>
  __device__ void add(gemm_ring<Policy, T>& ring, int first, int end, Fetch const& fetch) {
    tile::fragment_a a[2][high];
    tile::fragment_b b[2][wide / 2][2];
    turn_gemm_ring<Policy>(first, end, fetch, [&](int stage) {
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
    });
  }

  /// What end_gemm_block asks of its `put`: this warp's sums of rows row.. of the tile, into a slice.
  template <class Pipeline>
  __device__ void put(typename gemm_end_storage<Policy, Pipeline>::sums* parts, int row) const {
    constexpr int slice = gemm_end_storage<Policy, Pipeline>::slice;
    TENON_UNROLL_DEVICE
    for (int i = 0; i < high; ++i) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < wide; ++j) {
        int const at = warp_row + (swapped ? 8 * j : 16 * i) - row, column = warp_column + (swapped ? 16 * i : 8 * j);
        if (slice != policy.rows && (at < 0 || at >= slice)) continue;
        if constexpr (std::is_same_v<T, std::int8_t>) {
          float v[4];
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) v[e] = static_cast<float>(sum[i][j].v[e]);
          parts[warp_part].put(at, column, v);
        } else {
          parts[warp_part].put(at, column, sum[i][j].v);
        }
      }
    }
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
