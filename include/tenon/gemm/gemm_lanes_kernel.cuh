#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) by blocks of one thread: the host's product.
//
//  A block computes rows x columns of D, in register tiles of tile_rows x tile_columns dot products. Each dot product is
//  one vector register along K (lane l sums k = l mod depth), then the lanes' sum by halving: the order depends on k
//  alone, so a row has the same bits in every batch. Sixteen columns, or as many as the epilogue looks along, meet in a row
//  buffer, over which it runs as vectorised loops. B is read once per block of rows, A once per 16 columns, from cache.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_lanes_loop.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class D, class T>
struct gemm_lanes_products {
  gemm_block<D, T> const& p;
  index_t                 first_row;  // of this matrix in p.d

  template <int R, int Rows, int Group, class Row>
  __device__ void sum(float (&to)[Rows][Group], index_t row, index_t column, Row const& b_row) const {
    constexpr int C = Policy::value.tile_columns;
    T const*      a[R];
    for (int r = 0; r < R; ++r) a[r] = p.a.data + (row - first_row + r) * p.a.stride[0];
    for (int c0 = 0; c0 < Group && column + c0 < p.d.extent[1]; c0 += C) {
      T const* b[C];
      for (int c = 0; c < C; ++c)  // columns past the end repeat the last one
        b[c] = p.b.data + b_row(min<index_t>(column + c0 + c, p.d.extent[1] - 1)) * p.b.stride[0];
      float tile[R][C];
      gemm_lanes_tile<Policy>(tile, a, p.a.stride[1], b, p.b.stride[1], p.a.extent[1]);
      for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) to[r][c0 + c] = tile[r][c];
    }
  }
};

template <class Policy, class D, class T, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads) void gemm_lanes(
    __grid_constant__ gemm_params<D, T, Pipeline> const p) {
  gemm_block<D, T> const block(p);
  index_t const          first_row = block.first_row(p.d.extent[0]);
  walk_gemm_lanes<Policy>(block.d, p.epilogue, block.tile, first_row, 0,
                          gemm_lanes_products<Policy, D, T>{block, first_row});
}

}  // namespace tenon::inline TENON_TARGET::kernel
