#pragma once
//  y[i,j] = scale * round(x[i,j] / scale)      scale of row i, or of its columns in one group; found here or given
//
//  One block per row. A row of one scale is one cell, the block's; groups are cells that its warps take one after
//  another. Traffic: x in (a second time from cache where scales are found), y out, a scale per cell. A thread writes
//  only what it alone has read, behind the reduction, so y may be x.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/quant/fake_quantize_policy.hpp>
#include <tenon/quant/quantize_rows_kernel.cuh>
#include <tenon/tile/reduce.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class T, class Scale, class Rounding>
struct fake_quantize_params {
  tensor_view<T, 2>       y;       // (m, k)
  tensor_view<Scale, 2>   scales;  // (m, row_scales(k, group)), const where given
  tensor_view<T const, 2> x;       // (m, k)
  int                     group;   // 0: a whole row
  Rounding                rounding;
};

template <class Policy>
struct fake_quantize_storage {
  typename tile::block_reduce<Policy::value.threads_per_block, std::int32_t>::storage largest;
};

template <int N, class T, class Cell>
__device__ inline void round_some(T* to, vec<float, N> const& v, Cell const& cell) {
  vec<T, N> r;
  TENON_UNROLL
  for (int i = 0; i < N; ++i) r[i] = static_cast<T>(cell(v[i]));
  arch::store<N>(to, r);
}

template <class Policy, class T, class Scale, class Rounding>
__global__ __launch_bounds__(Policy::value.threads_per_block) void fake_quantize(
    __grid_constant__ fake_quantize_params<T, Scale, Rounding> const p) {
  constexpr int  threads = Policy::value.threads_per_block;
  constexpr int  vector  = Policy::value.vector;
  constexpr bool found   = !std::is_const_v<Scale>;

  auto& shared = arch::shared<fake_quantize_storage<Policy>>();

  // Index map: one block per row; a cell is all threads' or a warp's, who stride over its whole vectors, then over its
  // tail.
  index_t const row     = blockIdx.x;
  int const     thread  = static_cast<int>(threadIdx.x);
  int const     k       = static_cast<int>(p.x.extent[1]);
  int const     cells   = static_cast<int>(p.scales.extent[1]);
  bool const    grouped = p.group > 0;
  int const     width = grouped ? p.group : k, lanes = grouped && threads > 1 ? 32 : threads, lane = thread % lanes;
  T* const      y = &p.y(row, 0);

  plain_rows<T> const x{p.x};

  for (int g = thread / lanes; g < cells; g += threads / lanes) {
    int const begin = g * width, end = min(begin + width, k), even = begin + (end - begin) / vector * vector;

    // Reduce.
    float scale = 0;
    if constexpr (found) {
      std::int32_t largest[vector] = {};
      for (int h = begin + lane * vector; h < even; h += lanes * vector)
        note_magnitudes(largest, x.template load<vector>(row, h));
      for (int h = even + lane; h < end; h += lanes) {
        std::int32_t last[1] = {largest[0]};
        note_magnitudes(last, x.template load<1>(row, h));
        largest[0] = last[0];
      }
      TENON_UNROLL
      for (int i = 1; i < vector; ++i) largest[0] = later{}(largest[0], largest[i]);
      if constexpr (threads > 1)
        largest[0] = grouped ? tile::warp_reduce(largest[0], later{})
                             : tile::block_reduce<threads, std::int32_t>{shared.largest}(largest[0], later{});
      scale = p.rounding.scale_of(bit_cast<float>(largest[0]), p.group);
      if (lane == 0) p.scales(row, g) = scale;
    } else {
      scale = p.scales(row, g);
    }

    // Round, store.
    typename Rounding::template cell<found> const cell(scale);
    for (int h = begin + lane * vector; h < even; h += lanes * vector)
      round_some(y + h, x.template load<vector>(row, h), cell);
    for (int h = even + lane; h < end; h += lanes) round_some(y + h, x.template load<1>(row, h), cell);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
