#pragma once
//  y[b,i,j,o] = epilogue(sum_{p,q,c} w[o,p,q,c] x[b, i stride - padding + p dilation, j .., c]) by blocks of one thread: the
//  host's convolution.
//
//  The dense product of gemm_lanes_kernel.cuh, its dot products and its end, over rows of A that are gathered: a panel of
//  patches of tile_rows pixels at a time, which sixteen columns (or as many as the epilogue looks along) then share. Each
//  dot product's order depends on the depth alone. int8 is summed in int32.
#include <tenon/arch/arch.cuh>
#include <tenon/conv/conv2d_block.cuh>
#include <tenon/conv/conv2d_params.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_lanes_loop.cuh>
#include <tenon/gemm/gemm_policy.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// to[0..count) = elements k.. of the row of A that starts at `pixel`. Taps are counted on: divisions are for the first alone.
template <class T>
__device__ inline void gather_patch(T* to, conv2d_image<T> const& image, T const* data, conv2d_pixel const& pixel,
                                    index_t k, int count) {
  int const at   = static_cast<int>(k / image.channels);
  int       line = at / image.kernel_width, column = at - line * image.kernel_width;
  int       channel = static_cast<int>(k - static_cast<index_t>(at) * image.channels);
  for (int done = 0; done < count;) {
    conv2d_tap const tap  = image.tap(line, column, channel);
    int const        here = min(image.channels - channel, count - done);
    if (image.inside(pixel, tap)) {
      T const* const from = data + (pixel.offset + tap.offset);
      for (int i = 0; i < here; ++i) to[done + i] = from[i];
    } else {
      for (int i = 0; i < here; ++i) to[done + i] = T(0);
    }
    done += here, channel = 0;
    if (++column == image.kernel_width) column = 0, ++line;
  }
}

template <class Policy, class D, class T>
struct conv2d_lanes_products {
  static constexpr int C = Policy::value.tile_columns, N = Policy::value.depth;
  static constexpr int panel = 512;  // elements of a row of A that are gathered at once

  conv2d_block<D, T> const& block;
  conv2d_image<T> const&    image;
  index_t                   depth;

  template <int R, int Rows, int Group, class Row>
  __device__ void sum(float (&to)[Rows][Group], index_t row, index_t column, Row const& b_row) const {
    conv2d_pixel pixels[R];
    T            patch[R][panel];
    T const*     a[R];
    T const*     b[Group];
    for (int r = 0; r < R; ++r) pixels[r] = image.pixel(row + r), a[r] = patch[r];
    for (int c = 0; c < Group; ++c)  // columns past the end repeat the last one
      b[c] = block.b.data + b_row(min<index_t>(column + c, block.d.extent[1] - 1)) * block.b.stride[0];
    int const  live   = static_cast<int>(min<index_t>(Group, round_up(block.d.extent[1] - column, C)));
    auto const gather = [&](index_t k, int count) {
      for (int r = 0; r < R; ++r) gather_patch(patch[r], image, block.data, pixels[r], k, count);
    };

    if constexpr (std::is_same_v<T, std::int8_t>) {
      std::int32_t sums[R][Group] = {};
      for (index_t k = 0; k < depth; k += panel) {
        int const count = static_cast<int>(min<index_t>(panel, depth - k));
        gather(k, count);
        for (int c = 0; c < live; ++c)
          for (int r = 0; r < R; ++r) {
            std::int32_t sum = 0;
            for (int i = 0; i < count; ++i) sum += std::int32_t{patch[r][i]} * std::int32_t{b[c][k + i]};
            sums[r][c] += sum;
          }
      }
      for (int r = 0; r < R; ++r)
        for (int c = 0; c < live; ++c) to[r][c] = static_cast<float>(sums[r][c]);
    } else {
      constexpr int   run                   = arch::run<N, T>::elements;
      arch::stripe<N> sums[Group / C][R][C] = {};
      index_t const   whole                 = depth / run * run;
      for (index_t k = 0; k < whole; k += panel) {
        int const count = static_cast<int>(min<index_t>(panel, whole - k));
        gather(k, count);
        for (int c = 0; c < live; c += C) {
          T const* columns[C];
          for (int e = 0; e < C; ++e) columns[e] = b[c + e] + k;
          gemm_lanes_add<N>(sums[c / C], a, columns, count);
        }
      }
      if (int const rest = static_cast<int>(depth - whole); rest > 0) {  // less than a run: zeros behind it, in both
        for (int r = 0; r < R; ++r)
          for (int i = rest; i < run; ++i) patch[r][i] = T(0.f);
        gather(whole, rest);
        for (int c = 0; c < live; c += C) {
          T        ends[C][run] = {};
          T const* columns[C];
          for (int e = 0; e < C; ++e) {
            columns[e] = ends[e];
            for (int i = 0; i < rest; ++i) ends[e][i] = b[c + e][whole + i];
          }
          gemm_lanes_add<N>(sums[c / C], a, columns, run);
        }
      }
      for (int c = 0; c < live; c += C) {
        float products[R][C];
        for (int r = 0; r < R; ++r) arch::sum(products[r], sums[c / C][r]);
        for (int r = 0; r < R; ++r)
          for (int e = 0; e < C; ++e) to[r][c + e] = products[r][e];
      }
    }
  }
};

template <class Policy, class D, class T, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads) void conv2d_lanes(
    __grid_constant__ conv2d_params<D, T, Pipeline> const p) {
  conv2d_block<D, T> const block(p);
  walk_gemm_lanes<Policy>(block.d, p.product.epilogue, block.tile_of_group, 0, block.first_column,
                          conv2d_lanes_products<Policy, D, T>{block, p.image, p.depth});
}

}  // namespace tenon::inline TENON_TARGET::kernel
