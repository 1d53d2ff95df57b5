//  14. The histogram of the next round
//
//  flashinfer-ai/flashinfer#3529, June 2026. Radix top-k: in every round the threads look one word of a histogram up to
//  learn how many are still wanted, and the next round begins by clearing the histogram. The path is taken only where ties
//  overflow a buffer, so it takes a crafted input to get there; racecheck found it on one.
#pragma once
#include "exhibit.hpp"

namespace museum::histogram {

template <bool Mended>
__global__ void top_k(int* left, unsigned const* keys, int wanted) {
  __shared__ int bin[17];
  unsigned const t   = threadIdx.x;
  unsigned const key = keys[t];
  for (int round = 0; round < 3; ++round) {
    if (t < 17) bin[t] = 0;  // [clear]
    __syncthreads();
    atomicAdd(&bin[key >> 4 * round & 15], 1);
    __syncthreads();
    if (t == 0)  // from above: how many are in this bin and beyond
      for (int b = 15; b > 0; --b) bin[b - 1] += bin[b];
    __syncthreads();
    wanted -= bin[8];  // [read]
    if (Mended) __syncthreads();
  }
  left[t] = wanted;
}

inline exhibit const shown{"The histogram of the next round",
                           "flashinfer-ai/flashinfer#3529",
                           __FILE__,
                           {{kind::write_after_read, "clear", "read"}, {kind::read_after_write, "clear", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<unsigned> keys(64, 0x123u);
                             buffer<int>      left(64);
                             return check(o, mended ? top_k<true> : top_k<false>, 1, 64, 0, left.data(), keys.data(),
                                          40);
                           }};

}  // namespace museum::histogram

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  14_histogram.cuh:17: error: race: write after read, 2 times
//      17 | if (t < 17) bin[t] = 0;  // [clear]
//         | write of 4 bytes by thread 8 (warp 0, lane 8) of block (0, 0, 0)
//  14_histogram.cuh:24: read before it
//      24 | wanted -= bin[8];  // [read]
//         | by thread 61 (warp 1, lane 29) of block (0, 0, 0)
//    bin[8] (int): static shared memory of top_k<false>, bytes [32, 36) of 68
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 24 and before line 17 writes again.
//    Also: race: read after write, 55 times; race: read after write within a warp, 46 times.
