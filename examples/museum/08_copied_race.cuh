//  8. The race that was copied
//
//  gittensor-ai-lab/sparkinfer#665 and #705, July and August 2026. Each token's query and key are scaled by their norm, which
//  the block adds up through a few words of shared memory. Nothing keeps the next token's partial sums from landing on the
//  norm before slow warps have read it. After the first report a merged change copied the loop, race and all, into the
//  kernel of the draft model. Both requests that would mend it were closed.
#pragma once
#include "exhibit.hpp"

namespace museum::copied_race {

template <bool Mended>
__global__ void normalise(float* y, float const* x, int tokens) {
  __shared__ float partial[4];
  unsigned const   t = threadIdx.x;
  for (int token = 0; token < tokens; ++token) {
    int const   own = 128 * token + static_cast<int>(t);
    float const v   = x[own];
    float       sum = v * v;
    for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
    if (t % 32 == 0) partial[t / 32] = sum;  // [write]
    __syncthreads();
    if (t == 0) partial[0] = rsqrtf(partial[0] + partial[1] + partial[2] + partial[3]);
    __syncthreads();
    y[own] = v * partial[0];  // [read]
    if (Mended) __syncthreads();
  }
}

inline exhibit const shown{"The race that was copied",
                           "gittensor-ai-lab/sparkinfer#665, #705",
                           __FILE__,
                           {{kind::write_after_read, "write", "read"}, {kind::read_after_write, "write", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(384, 1.f), y(384);
                             return check(o, mended ? normalise<true> : normalise<false>, 1, 128, 0, y.data(), x.data(),
                                          3);
                           }};

}  // namespace museum::copied_race

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  08_copied_race.cuh:21: error: race: write after read, 2 times
//      21 | if (t % 32 == 0) partial[t / 32] = sum;  // [write]
//         | write of 4 bytes by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  08_copied_race.cuh:25: read before it
//      25 | y[own] = v * partial[0];  // [read]
//         | by thread 32 (warp 1, lane 0) of block (0, 0, 0)
//    partial[0] (float): static shared memory of normalise<false>, bytes [0, 4) of 16
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 25 and before line 21 writes again.
