//  1. The buffer that was still being read
//
//  ggml-org/llama.cpp#5853, March 2024. Soft max reduces twice over the block, the maximum and then the sum, through one
//  small buffer in shared memory. The second reduction begins by clearing it, while slower warps still read the maximum
//  from it. Two months before, a commenter had described equal seeds with different results and suspected soft max
//  (#4742); then compute-sanitizer pointed at this buffer.
#pragma once
#include "exhibit.hpp"

namespace museum::soft_max_buffer {

template <bool Mended>
__global__ void soft_max(float* y, float const* x) {
  __shared__ float partial[32];
  unsigned const   t = threadIdx.x, lane = t % 32, warp = t / 32;

  float largest = x[t];
  for (int lanes = 16; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));
  if (warp == 0) partial[lane] = -1e30f;
  __syncthreads();
  if (lane == 0) partial[warp] = largest;
  __syncthreads();
  largest = partial[lane];  // [read]
  for (int lanes = 16; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));

  float const e   = __expf(x[t] - largest);
  float       sum = e;
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
  if (Mended) __syncthreads();
  if (warp == 0) partial[lane] = 0;  // [clear]
  __syncthreads();
  if (lane == 0) partial[warp] = sum;
  __syncthreads();
  sum = partial[lane];
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
  y[t] = e / sum;
}

inline exhibit const shown{"The buffer that was still being read",
                           "ggml-org/llama.cpp#5853",
                           __FILE__,
                           {{kind::write_after_read, "clear", "read"}, {kind::read_after_write, "clear", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(128, 1.f), y(128);
                             return check(o, mended ? soft_max<true> : soft_max<false>, 1, 128, 0, y.data(), x.data());
                           }};

}  // namespace museum::soft_max_buffer

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  01_soft_max_buffer.cuh:30: error: race: write after read, 32 times
//      30 | if (warp == 0) partial[lane] = 0;  // [clear]
//         | write of 4 bytes by thread 22 (warp 0, lane 22) of block (0, 0, 0)
//  01_soft_max_buffer.cuh:23: read before it
//      23 | largest = partial[lane];  // [read]
//         | by thread 54 (warp 1, lane 22) of block (0, 0, 0)
//    partial[22] (float): static shared memory of soft_max<false>, bytes [88, 92) of 128
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 23 and before line 30 writes again.
