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

template <class Policy, class D, class T, class Pipeline>
struct gemm_lanes_walk {
  static constexpr bool paired    = Pipeline::paired;
  static constexpr int  tile_rows = Policy::value.tile_rows;
  static constexpr int  group     = gemm_lanes_group<Pipeline>;

  gemm_block<D, T> const& p;
  Pipeline                stages_;
  index_t                 first_row;                // of this matrix in p.d
  float                   first[tile_rows][group];  // products, or those of the gate
  float                   second[paired ? tile_rows : 1][group];

  /// Rows row..row+R-1, columns column..column+group-1 of D.
  template <int R>
  __device__ void run(index_t row, index_t column) {
    if constexpr (paired) {
      products<R>(first, row, column, [](index_t j) { return gate_row(j); });
      products<R>(second, row, column, [](index_t j) { return up_row(j); });
    } else {
      products<R>(first, row, column, [](index_t j) { return j; });
    }
    end_gemm_lanes(p.d, stages_, R, first, second, first_row + row, column);
  }

 private:
  template <int R, class Row>
  __device__ void products(float (&to)[tile_rows][group], index_t row, index_t column, Row const& b_row) const {
    constexpr int C = Policy::value.tile_columns;
    T const*      a[R];
    for (int r = 0; r < R; ++r) a[r] = p.a.data + (row + r) * p.a.stride[0];
    for (int c0 = 0; c0 < group && column + c0 < p.d.extent[1]; c0 += C) {
      T const* b[C];
      for (int c = 0; c < C; ++c)  // columns past the end repeat the last one and are not stored
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
  constexpr gemm_policy policy  = Policy::value;
  constexpr int         columns = policy.d_columns(needs_of<Pipeline>());
  using walk                    = gemm_lanes_walk<Policy, D, T, Pipeline>;

  gemm_block<D, T> const block(p);
  index_t const          m = p.d.extent[0], n = p.d.extent[1];
  index_t const          across       = ceil_div(n, columns);
  index_t const          first_row    = block.tile / across * policy.rows;
  index_t const          first_column = block.tile % across * columns;
  index_t const          last_row     = min<index_t>(first_row + policy.rows, m);
  index_t const          last_column  = min<index_t>(first_column + columns, n);

  walk compute{block, p.epilogue, block.first_row(m), {}, {}};
  for (index_t column = first_column; column < last_column; column += walk::group) {
    index_t row = first_row;
    for (; row + policy.tile_rows <= last_row; row += policy.tile_rows)
      compute.template run<policy.tile_rows>(row, column);
    for (; row < last_row; ++row) compute.template run<1>(row, column);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
