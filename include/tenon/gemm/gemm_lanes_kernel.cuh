#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) by blocks of one thread: the host's product.
//
//  A block computes rows x columns of D, in register tiles of tile_rows x tile_columns dot products. Each dot product is
//  one vector register along K (lane l sums k = l mod depth), then the lanes' sum by halving: the order depends on k
//  alone, so a row has the same bits in every batch. Sixteen columns, or as many as the epilogue looks along, meet in a row
//  buffer, over which it runs as vectorised loops. B is read once per block of rows, A once per 16 columns, from cache.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/store_as.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>

namespace tenon::inline TENON_TARGET::kernel {

/// sums[r][c] += A[r,0..k) B[c,0..k) for contiguous rows at a[r] and b[c], k = 0 or at least one run.
template <int N, int R, int C, class T>
__device__ inline void gemm_lanes_add(arch::stripe<N> (&sums)[R][C], T const* const (&a)[R], T const* const (&b)[C],
                                      index_t k) {
  constexpr int run = arch::run<N, T>::elements;

  arch::stripe<N> mine[R][C];  // a copy that stays in registers
  TENON_UNROLL
  for (int i = 0; i < R * C; ++i) mine[i / C][i % C] = sums[i / C][i % C];
  auto const step = [&](auto const& load) {
    arch::run<N, T> row[R];
    TENON_UNROLL
    for (int r = 0; r < R; ++r) row[r] = load(a[r]);
    TENON_UNROLL
    for (int c = 0; c < C; ++c) {
      auto const column = load(b[c]);
      TENON_UNROLL
      for (int r = 0; r < R; ++r) arch::multiply_add(mine[r][c], row[r], column);
    }
  };

  index_t const whole = k / run * run;
  for (index_t i = 0; i < whole; i += run) step([i](T const* from) { return arch::load_run<N>(from + i); });
  if (whole < k) {  // the last run, less what is summed already
    int const done = static_cast<int>(run - (k - whole));
    step([=](T const* from) { return arch::load_last_of_run<N>(from + k - run, done); });
  }
  TENON_UNROLL
  for (int i = 0; i < R * C; ++i) sums[i / C][i % C] = mine[i / C][i % C];
}

/// The same for any k and strides, through zero-filled panels; every product in the lane that gemm_lanes_add gives it.
template <int N, int R, int C, class T>
__device__ void gemm_lanes_add_gathered(arch::stripe<N> (&sums)[R][C], T const* const (&a)[R], index_t a_step,
                                        T const* const (&b)[C], index_t b_step, index_t k) {
  constexpr int run = arch::run<N, T>::elements, panel = 4 * run;
  T             gathered[R + C][panel];
  T const*      rows[R];
  T const*      columns[C];
  for (int r = 0; r < R; ++r) rows[r] = gathered[r];
  for (int c = 0; c < C; ++c) columns[c] = gathered[R + c];

  index_t const whole = k / run * run;
  auto const    add   = [&](index_t first, int count, int offset) {  // elements first.. go to offset..
    int const  used   = round_up(count, run);
    auto const gather = [&](T(&to)[panel], T const* from, index_t step) {
      for (int i = 0; i < used; ++i) to[i] = T(0.f);
      for (int i = 0; i < count; ++i) to[offset + i] = from[(first + i) * step];
    };
    for (int r = 0; r < R; ++r) gather(gathered[r], a[r], a_step);
    for (int c = 0; c < C; ++c) gather(gathered[R + c], b[c], b_step);
    gemm_lanes_add<N>(sums, rows, columns, used);
  };
  for (index_t first = 0; first < whole; first += panel)
    add(first, static_cast<int>(min<index_t>(panel, whole - first)), 0);
  int const rest = static_cast<int>(k - whole);
  if (rest > 0) add(whole, rest, whole > 0 ? run - rest : 0);
}

/// products[r][c] = sum_k A[r,k] B[c,k] for R rows at a[r] and C rows at b[c], elements a_step and b_step apart.
template <class Policy, int R, int C, class T>
__device__ inline void gemm_lanes_tile(float (&products)[R][C], T const* const (&a)[R], index_t a_step,
                                       T const* const (&b)[C], index_t b_step, index_t k) {
  constexpr int   N          = Policy::value.depth;
  arch::stripe<N> sums[R][C] = {};
  if (Policy::value.wide && k >= arch::run<N, T>::elements) {
    gemm_lanes_add<N>(sums, a, b, k);
  } else {
    gemm_lanes_add_gathered<N>(sums, a, a_step, b, b_step, k);
  }
  TENON_UNROLL
  for (int r = 0; r < R; ++r) arch::sum(products[r], sums[r]);
}

template <class Policy, class D, class T, class Pipeline>
struct gemm_lanes_walk {
  static constexpr bool paired    = Pipeline::paired;
  static constexpr int  tile_rows = Policy::value.tile_rows;
  static constexpr int  group =
      Pipeline::segment > 16 ? Pipeline::segment : 16;  // columns of D that go through the epilogue together

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
    finish(R, first_row + row, column);
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

  /// One code for every number of rows, so that a row's bits do not depend on its neighbours.
  __device__ void finish(int rows, index_t row, index_t column) {
    auto const stages = stages_;
    int const  count  = static_cast<int>(min<index_t>(group, p.d.extent[1] - column));
    for (int r = 0; r < rows; ++r) {
      D* const to = p.d.data + (row + r) * p.d.stride[0] + column * p.d.stride[1];
      if (count == group && p.d.stride[1] == 1)
        store(stages, first[r], second[paired ? r : 0], row + r, column, group, to, 1);
      else store(stages, first[r], second[paired ? r : 0], row + r, column, count, to, p.d.stride[1]);
    }
  }
  /// The first `count` of a group of columns.
  __device__ inline void store(Pipeline const& stages, float (&v)[group], float (&up)[group], index_t row,
                               index_t column, int count, D* to, index_t step) const {
    if constexpr (needs_of<Pipeline>().direct()) {  // all stages in one loop
      float results[group];
      for (int c = 0; c < count; ++c) {
        if constexpr (paired) results[c] = stages(v[c], up[c], row, column + c);
        else results[c] = stages(v[c], row, column + c);
      }
      for (int c = 0; c < count; ++c) to[c * step] = store_as<D>(results[c]);
    } else {
      float values[Pipeline::row_values + 1] = {};
      stages.each_row_value([&](auto const& stage, int i) { values[i] = stage.row_value(stage.row_term(row, 0, 1)); });
      if constexpr (paired) stages.run(epilogue::own_segment{}, v, up, row, column, count, values);
      else stages.run(epilogue::own_segment{}, v, row, column, count, values);
      for (int c = 0; c < count; ++c) to[c * step] = store_as<D>(v[c]);
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
