#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) on CUDA cores: f32, and few rows of the 16-bit types.
//
//  A warp computes tile_rows x tile_columns dot products, its lanes along K, sixteen bytes of a row per lane and load; lane
//  sums meet in a butterfly. The order of an element's sum depends on k alone, so every tile, and every layout of A and B,
//  gives a row the same bits. Traffic: B once per tile_rows rows of A; A from cache.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/tile/reduce.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <bool Wide, int N, class T>
__device__ inline vec<T, N> gemm_vector_load(T const* from, index_t step) {
  if constexpr (Wide) {
    (void)step;
    return arch::load_constant<N>(from);
  } else {
    vec<T, N> v;
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) v[e] = *from, from += step;
    return v;
  }
}

template <class Policy, class D, class T, class Epilogue>
__global__ __launch_bounds__(Policy::value.threads,
                             1) void gemm_vector(__grid_constant__ gemm_params<D, T, Epilogue> const p) {
  constexpr gemm_policy policy = Policy::value;
  constexpr bool        paired = gemm_params<D, T, Epilogue>::paired;
  constexpr int         R = policy.tile_rows, C = policy.tile_columns;
  constexpr int         outputs = paired ? C / 2 : C;  // columns of D per warp
  constexpr int         vector  = 16 / static_cast<int>(sizeof(T));
  static_assert(R * outputs <= 32, "tenon::gemm_vector: a lane stores at most one element");

  // Index map: warps side by side over D's columns; rows and columns past the end repeat the last one.
  index_t const  m = p.d.extent[0], n = p.d.extent[1], k = p.a.extent[1];
  unsigned const across = static_cast<unsigned>(ceil_div(n, policy.columns / C * outputs));
  index_t const  row    = static_cast<index_t>(blockIdx.x / across) * policy.rows;
  index_t const  column = (static_cast<index_t>(blockIdx.x % across) * (policy.columns / C) + arch::warp()) * outputs;
  if (column >= n) return;
  T const* a[R];
  T const* b[C];
  TENON_UNROLL_DEVICE
  for (int r = 0; r < R; ++r) a[r] = p.a.data + min<index_t>(row + r, m - 1) * p.a.stride[0];
  TENON_UNROLL_DEVICE
  for (int c = 0; c < C; ++c) {
    index_t const j = min<index_t>(column + c % outputs, n - 1);
    b[c]            = p.b.data + (!paired ? j : c < outputs ? gate_row(j) : up_row(j)) * p.b.stride[0];
  }

  // Multiply: whole vectors, then the elements behind them.
  float         sum[R][C] = {};
  index_t const whole     = k / vector * vector;
  index_t const a_step = policy.wide ? 1 : p.a.stride[1], b_step = policy.wide ? 1 : p.b.stride[1];
  for (index_t i = arch::lane() * vector; i < whole; i += 32 * vector) {
    float row_values[R][vector];
    TENON_UNROLL_DEVICE
    for (int r = 0; r < R; ++r) {
      auto const v = gemm_vector_load<policy.wide, vector>(a[r] + i * a_step, a_step);
      TENON_UNROLL_DEVICE
      for (int e = 0; e < vector; ++e) row_values[r][e] = static_cast<float>(v[e]);
    }
    TENON_UNROLL_DEVICE
    for (int c = 0; c < C; ++c) {
      auto const v = gemm_vector_load<policy.wide, vector>(b[c] + i * b_step, b_step);
      TENON_UNROLL_DEVICE
      for (int e = 0; e < vector; ++e) {
        TENON_UNROLL_DEVICE
        for (int r = 0; r < R; ++r) sum[r][c] = arch::fma(row_values[r][e], static_cast<float>(v[e]), sum[r][c]);
      }
    }
  }
  for (index_t i = whole + arch::lane(); i < k; i += 32) {
    float row_values[R];
    TENON_UNROLL_DEVICE
    for (int r = 0; r < R; ++r) row_values[r] = static_cast<float>(a[r][i * a_step]);
    TENON_UNROLL_DEVICE
    for (int c = 0; c < C; ++c) {
      float const v = static_cast<float>(b[c][i * b_step]);
      TENON_UNROLL_DEVICE
      for (int r = 0; r < R; ++r) sum[r][c] = arch::fma(row_values[r], v, sum[r][c]);
    }
  }

  // Reduce over the lanes; lane l takes output l.
  float first = 0, second = 0;
  TENON_UNROLL_DEVICE
  for (int r = 0; r < R; ++r) {
    TENON_UNROLL_DEVICE
    for (int c = 0; c < C; ++c) {
      float const all = tile::warp_reduce(sum[r][c], tile::plus{});
      if (arch::lane() == r * outputs + c % outputs) (c < outputs ? first : second) = all;
    }
  }

  // Fuse, store.
  int const r = arch::lane() / outputs, c = arch::lane() % outputs;
  if (r >= R || row + r >= m || column + c >= n) return;
  if constexpr (paired) {
    p.d(row + r, column + c) = static_cast<D>(p.epilogue(first, second, row + r, column + c));
  } else {
    p.d(row + r, column + c) = static_cast<D>(p.epilogue(first, row + r, column + c));
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
