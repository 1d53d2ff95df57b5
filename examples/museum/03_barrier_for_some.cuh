//  3. The barrier for some
//
//  ggml-org/llama.cpp#13438, mended by #13469, May 2025. Racecheck had found races in FlashAttention kernels, and barriers
//  cured them. But in some configurations only part of the warps came by one of them: from there on the warps of a block met
//  each other at different barriers, and on long contexts the results were wrong (#13461, #13430). Two days later the barrier
//  was moved. In August 2026 the same kernels had a barrier in a branch again, with thousands of synccheck errors while all
//  tests passed (#27678, #27870).
#pragma once
#include "exhibit.hpp"

namespace museum::barrier_for_some {

template <bool Mended>
__global__ void combine(float* y, float const* x, int tiles) {
  __shared__ float part[4][32], scale[32];
  unsigned const   lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float            sum = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    part[warp][lane] = x[32 * tile + static_cast<int>(lane)];
    __syncthreads();
    if (warp < 2) {  // two warps merge what four have made
      float const merged = part[warp][lane] + part[warp + 2][lane];
      if (!Mended) __syncthreads();  // [inner]
      part[warp][lane] = merged;
    }
    if (Mended) __syncthreads();
    if (warp == 0) scale[lane] = part[0][lane] + part[1][31 - lane];
    __syncthreads();  // [outer]
    sum += scale[31 - lane];
    __syncthreads();
  }
  y[threadIdx.x] = sum;
}

inline exhibit const shown{"The barrier for some",
                           "ggml-org/llama.cpp#13438, #13469",
                           __FILE__,
                           {{kind::divergent_barrier, "inner", "outer"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(96, 1.f), y(128);
                             return check(o, mended ? combine<true> : combine<false>, 1, 128, 0, y.data(), x.data(), 3);
                           }};

}  // namespace museum::barrier_for_some
