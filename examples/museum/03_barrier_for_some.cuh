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
                             buffer<float> x(32, 1.f), y(128);
                             return check(o, mended ? combine<true> : combine<false>, 1, 128, 0, y.data(), x.data(), 1);
                           }};

}  // namespace museum::barrier_for_some

// clang-format off: the report of the first kernel (museum --record)
//  4 findings (schedule in_order, delivery late, seed 1)
//  03_barrier_for_some.cuh:23: error: divergent barrier, 64 times
//      23 | if (!Mended) __syncthreads();  // [inner]
//         | sync_block by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  03_barrier_for_some.cuh:28: sync_block
//      28 | __syncthreads();  // [outer]
//         | by thread 64 (warp 2, lane 0) of block (0, 0, 0)
//    Threads of one block meet at different barriers, which is undefined. Move the barrier out of the branch.
//
//  03_barrier_for_some.cuh:27: error: race: write after read, 2 times
//      27 | if (warp == 0) scale[lane] = part[0][lane] + part[1][31 - lane];
//         | write of 4 bytes by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  03_barrier_for_some.cuh:29: read before it
//      29 | sum += scale[31 - lane];
//         | by thread 127 (warp 3, lane 31) of block (0, 0, 0)
//    scale[0] (float): static shared memory of combine<false>, bytes [0, 4) of 128
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 29 and before line 27 writes again.
//    Also: race: read after write, 62 times; uninitialised read, 2 times.
//
//  03_barrier_for_some.cuh:24: error: race: write after read, 32 times
//      24 | part[warp][lane] = merged;
//         | write of 4 bytes by thread 32 (warp 1, lane 0) of block (0, 0, 0)
//  03_barrier_for_some.cuh:27: read before it
//      27 | if (warp == 0) scale[lane] = part[0][lane] + part[1][31 - lane];
//         | by thread 31 (warp 0, lane 31) of block (0, 0, 0)
//    part[1][0] (float): static shared memory of combine<false>, bytes [128, 132) of 512
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after line 24 and before line 27.
//
//  03_barrier_for_some.cuh:28: error: divergent barrier, 64 times
//      28 | __syncthreads();  // [outer]
//         | sync_block by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  03_barrier_for_some.cuh:30: sync_block
//      30 | __syncthreads();
//         | by thread 64 (warp 2, lane 0) of block (0, 0, 0)
//    Threads of one block meet at different barriers, which is undefined. Move the barrier out of the branch.
