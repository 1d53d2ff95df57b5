#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) on CUDA cores: f32, and few rows of the 16-bit types.
//
//  A warp computes tile_rows x tile_columns dot products, its lanes along K, sixteen bytes of a row per lane and load; lane
//  sums meet in a butterfly. The order of an element's sum depends on k alone, so every tile, and every layout of A and B,
//  gives a row the same bits. Traffic: B once per tile_rows rows of A; A from cache.
//
//  Where the epilogue looks at one value at a time, the lane that has it stores it. Otherwise the block takes as many columns
//  as the epilogue looks along, a few at a time, and its sums go through tile/finish.cuh.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/tile/finish.cuh>
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

/// What a block of the vector kernel covers.
template <class Policy, class Pipeline>
struct gemm_vector_cover {
  static constexpr gemm_policy policy  = Policy::value;
  static constexpr int         pair    = Pipeline::paired ? 2 : 1;
  static constexpr bool        direct  = needs_of<Pipeline>().direct();
  static constexpr int         columns = policy.d_columns(needs_of<Pipeline>());  // of D
  static constexpr int         b_rows  = pair * columns;
  static constexpr int         warps   = policy.threads / 32;
  static constexpr int         passes  = b_rows / (warps * policy.tile_columns);
  static constexpr int finished_rows   = policy.rows > 128 / columns ? policy.rows : 128 / columns;  // whole warps
  static_assert(passes * warps * policy.tile_columns == b_rows, "tenon::gemm_vector: whole passes");
};
template <class Policy, class Pipeline>
struct gemm_vector_storage {
  using cover = gemm_vector_cover<Policy, Pipeline>;

  tile::sums<cover::finished_rows, cover::direct ? 32 : cover::b_rows, false> sums;
  tile::row_values<Pipeline, cover::finished_rows>                            values;
};

template <class Policy, class D, class T, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads,
                             1) void gemm_vector(__grid_constant__ gemm_params<D, T, Pipeline> const p) {
  constexpr gemm_policy policy = Policy::value;
  using cover                  = gemm_vector_cover<Policy, Pipeline>;
  constexpr bool paired        = Pipeline::paired;
  constexpr int  R = policy.tile_rows, C = policy.tile_columns;
  constexpr int  outputs = paired ? C / 2 : C;  // columns of D per warp and pass
  constexpr int  vector  = 16 / static_cast<int>(sizeof(T));
  static_assert(R == policy.rows && R * outputs <= 32, "tenon::gemm_vector: a lane stores at most one element");

  // Index map: warps side by side over D's columns; rows and columns past the end repeat the last one.
  gemm_block<D, T> const block(p);
  index_t const          m = p.d.extent[0], n = p.d.extent[1], k = p.a.extent[1];
  index_t const          across       = ceil_div(n, cover::columns);
  index_t const          row          = block.tile / across * policy.rows;
  index_t const          first_column = block.tile % across * cover::columns;
  index_t const          d_row        = block.first_row(m) + row;
  T const*               a[R];
  TENON_UNROLL_DEVICE
  for (int r = 0; r < R; ++r) a[r] = block.a.data + min<index_t>(row + r, m - 1) * p.a.stride[0];

  for (int pass = 0; pass < cover::passes; ++pass) {
    int const     in_block = (pass * cover::warps + arch::warp()) * outputs;
    index_t const column   = first_column + in_block;
    if (column >= round_up(n, 4)) break;  // four by four: what is laid down below is read so
    T const* b[C];
    TENON_UNROLL_DEVICE
    for (int c = 0; c < C; ++c) {
      index_t const j = min<index_t>(column + c % outputs, n - 1);
      b[c]            = block.b.data + (!paired ? j : c < outputs ? gate_row(j) : up_row(j)) * p.b.stride[0];
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

    // Fuse and store, or leave the sums to the whole block.
    int const r = arch::lane() / outputs, c = arch::lane() % outputs;
    if constexpr (cover::direct) {
      if (r >= R || row + r >= m || column + c >= n) continue;
      if constexpr (paired) {
        block.d(d_row + r, column + c) = store_as<D>(p.epilogue(first, second, d_row + r, column + c));
      } else {
        block.d(d_row + r, column + c) = store_as<D>(p.epilogue(first, d_row + r, column + c));
      }
    } else if (r < R) {
      auto&     shared = arch::shared<gemm_vector_storage<Policy, Pipeline>>();
      int const at     = r * decltype(shared.sums)::pitch;
      if constexpr (paired) {
        shared.sums.value[at + gate_row(in_block + c)] = first;
        shared.sums.value[at + up_row(in_block + c)]   = second;
      } else {
        shared.sums.value[at + in_block + c] = first;
      }
    }
  }

  if constexpr (!cover::direct) {
    auto& shared   = arch::shared<gemm_vector_storage<Policy, Pipeline>>();
    auto  mine     = block.d;  // up to this block's last row
    mine.extent[0] = min<index_t>(mine.extent[0], d_row + R);
    shared.values.make(p.epilogue, d_row, mine.extent[0], cover::warps);
    arch::sync_block();
    tile::finish<policy.threads, cover::finished_rows, cover::b_rows>(
        mine, p.epilogue, shared.values, d_row, first_column * cover::pair, static_cast<int>(threadIdx.x),
        [&](float(&v)[4], int r, int c) {
          int const in_block = paired ? c / (2 * pair_group) * pair_group + c % pair_group : c;
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) v[e] = 0;
          if (r < R && first_column + in_block < n) shared.sums.get(v, r, c);
        });
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
