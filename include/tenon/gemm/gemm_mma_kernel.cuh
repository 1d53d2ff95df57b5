#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) on tensor cores: f16 and bf16, fp32 accumulators.
//
//  A block computes rows x columns of D. Tiles of A and B, depth elements of K wide, travel through a ring of `stages`
//  swizzled shared tiles: cp.async keeps stages - 1 of them in flight, one barrier per tile. Each warp multiplies
//  tile_rows x tile_columns of it, fragments of step s + 1 loading while those of step s multiply. What lies outside A and
//  B is zeros in shared memory, so nothing depends on m, n or k being multiples of anything.
//
//  An element's sum runs over K in steps of 16, in order, in every policy: the same row has the same bits in every tile.
//  Blocks are numbered in bands of eight rows of blocks, so that those that run together share their rows of A and B in L2.
//  Traffic: A once per column of blocks, B once per row of blocks, through L2; D once.
//  The multistage loop follows NVIDIA/cutlass, include/cutlass/gemm/threadblock/mma_multistage.h (idea).
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/tile/copy.cuh>
#include <tenon/tile/mma.cuh>
#include <tenon/tile/swizzle.cuh>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class T>
struct gemm_mma_storage {
  tile::shared_tile<T, Policy::value.rows, Policy::value.depth>    a[Policy::value.stages];
  tile::shared_tile<T, Policy::value.columns, Policy::value.depth> b[Policy::value.stages];
};

/// Two neighbours of a row of D, columns past the end left out.
template <class D>
__device__ inline void gemm_store_pair(tensor_view<D, 2> const& d, index_t row, index_t column, float left, float right,
                                       bool has_right) {
  D* const to = d.data + row * d.stride[0] + column * d.stride[1];
  if (has_right && d.stride[1] == 1 && reinterpret_cast<std::uintptr_t>(to) % (2 * sizeof(D)) == 0) {
    vec<D, 2> v;
    v[0] = static_cast<D>(left), v[1] = static_cast<D>(right);
    arch::store<2>(to, v);
  } else {
    to[0] = static_cast<D>(left);
    if (has_right) to[d.stride[1]] = static_cast<D>(right);
  }
}

template <class Policy, class D, class T, class Epilogue>
__global__ __launch_bounds__(Policy::value.threads) void gemm_mma(
    __grid_constant__ gemm_params<D, T, Epilogue> const p) {
  constexpr gemm_policy policy = Policy::value;
  constexpr bool        paired = gemm_params<D, T, Epilogue>::paired;
  constexpr int         stages = policy.stages;
  constexpr int         steps  = policy.depth / 16;                                    // of K in a stage
  constexpr int         high = policy.tile_rows / 16, wide = policy.tile_columns / 8;  // mma tiles of a warp
  constexpr int         warps_across = policy.columns / policy.tile_columns;
  static_assert(policy.threads == 32 * warps_across * (policy.rows / policy.tile_rows),
                "tenon::gemm_mma: the warps' tiles must cover the block's");
  static_assert(wide % 2 == 0 && policy.depth % 16 == 0 && stages >= 2);

  auto&     shared = arch::shared<gemm_mma_storage<Policy, T>>();
  int const thread = static_cast<int>(threadIdx.x), lane = arch::lane();

  // Index map: bands of `band` rows of blocks, down each column of a band, then across.
  constexpr unsigned band         = 8;
  index_t const      n            = paired ? paired_rows(p.d.extent[1]) : p.d.extent[1];  // in rows of B
  unsigned const     down         = static_cast<unsigned>(ceil_div(p.d.extent[0], policy.rows));
  unsigned const     across       = static_cast<unsigned>(ceil_div(n, policy.columns));
  unsigned const     first        = blockIdx.x / (band * across) * band;
  unsigned const     height       = min(band, down - first);
  index_t const      block_row    = static_cast<index_t>(first + blockIdx.x % (band * across) % height) * policy.rows;
  index_t const      block_column = static_cast<index_t>(blockIdx.x % (band * across) / height) * policy.columns;
  int const          warp_row     = arch::warp() / warps_across * policy.tile_rows;
  int const          warp_column  = arch::warp() % warps_across * policy.tile_columns;

  // Load: fills stage `stage` with tile `t` of K; one group of copies, empty past the end.
  int const  tiles = static_cast<int>(ceil_div(p.a.extent[1], policy.depth));
  auto const fetch = [&](int t, int stage) {
    index_t const column = static_cast<index_t>(t) * Policy::value.depth;
    if constexpr (Policy::value.wide) {
      if (t < tiles) {
        tile::copy_async<Policy::value.threads>(shared.a[stage], p.a, block_row, column, thread);
        tile::copy_async<Policy::value.threads>(shared.b[stage], p.b, block_column, column, thread);
      }
      arch::cp_async_commit();
    } else if (t < tiles) {
      tile::copy_elements<Policy::value.threads>(shared.a[stage], p.a, block_row, column, thread);
      tile::copy_elements<Policy::value.threads>(shared.b[stage], p.b, block_column, column, thread);
    }
  };
  TENON_UNROLL_DEVICE
  for (int s = 0; s < stages - 1; ++s) fetch(s, s);

  // Multiply.
  tile::accumulator sum[high][wide];
  tile::fragment_a  a[2][high];
  tile::fragment_b  b[2][wide / 2][2];
  int               stage = 0;
  for (int t = 0; t < tiles; ++t) {
    if constexpr (policy.wide) arch::cp_async_wait<stages - 2>();
    arch::sync_block();  // everyone's part of tile t has landed; everyone has read tile t - 1, whose stage is refilled
    fetch(t + stages - 1, stage == 0 ? stages - 1 : stage - 1);

    auto const load = [&](int step, int slot) {
      TENON_UNROLL_DEVICE
      for (int i = 0; i < high; ++i) a[slot][i] = tile::load_a(shared.a[stage], warp_row + 16 * i, step);
      TENON_UNROLL_DEVICE
      for (int j = 0; j < wide / 2; ++j) tile::load_b(b[slot][j], shared.b[stage], warp_column + 16 * j, step);
    };
    load(0, 0);
    TENON_UNROLL_DEVICE
    for (int s = 0; s < steps; ++s) {
      if (s + 1 < steps) load(s + 1, (s + 1) % 2);
      tile::mma<T>(sum, a[s % 2], b[s % 2]);
    }
    stage = stage + 1 == stages ? 0 : stage + 1;
  }
  if constexpr (policy.wide) arch::cp_async_wait<0>();  // no copy outlives its block

  // Fuse, store: two neighbouring columns of D per thread and mma tile; in pair mode even tiles are gates, odd ones ups.
  index_t const m = p.d.extent[0], columns = p.d.extent[1];
  TENON_UNROLL_DEVICE
  for (int i = 0; i < high; ++i) {
    TENON_UNROLL_DEVICE
    for (int j = 0; j < wide; j += paired ? 2 : 1) {
      index_t const b_row  = block_column + warp_column + 8 * j;
      index_t const column = (paired ? b_row / 2 : b_row) + tile::accumulator_column(lane, 0);
      TENON_UNROLL_DEVICE
      for (int v = 0; v < 4; v += 2) {
        index_t const row = block_row + warp_row + 16 * i + tile::accumulator_row(lane, v);
        if (row >= m || column >= columns) continue;
        bool const has_right = column + 1 < columns;
        float      left, right = 0;
        if constexpr (paired) {
          left = p.epilogue(sum[i][j].v[v], sum[i][j + 1].v[v], row, column);
          if (has_right) right = p.epilogue(sum[i][j].v[v + 1], sum[i][j + 1].v[v + 1], row, column + 1);
        } else {
          left = p.epilogue(sum[i][j].v[v], row, column);
          if (has_right) right = p.epilogue(sum[i][j].v[v + 1], row, column + 1);
        }
        gemm_store_pair(p.d, row, column, left, right, has_right);
      }
    }
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
