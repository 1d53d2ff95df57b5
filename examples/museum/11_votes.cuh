//  11. A vote is not a fence
//
//  NVIDIA/cuCollections#337, July 2023. Each warp of a hash map collects matches in a buffer of its own and counts them in
//  shared memory; when the buffer is full it is flushed and one lane sets the counter back to zero. The lanes then vote on
//  whether to go on, and count again. In review: are the votes not enough? They are not: votes pass bits between registers
//  and order no memory. With the fix, racecheck was content under CUDA 11.8 and 12.2, and not under 12.0.
#pragma once
#include "exhibit.hpp"

namespace museum::votes {

template <bool Mended>
__global__ void collect(int* out, int* written, int const* keys, int per_lane, int wanted) {
  __shared__ int buffered[64], count;
  int const      lane = static_cast<int>(threadIdx.x);
  if (lane == 0) count = 0;
  __syncwarp();
  int next = 0;
  while (__any_sync(~0u, next < per_lane)) {
    if (keys[32 * next + lane] == wanted) buffered[atomicAdd(&count, 1)] = 32 * next + lane;  // [count]
    ++next;
    __syncwarp();
    int const found = count;
    __syncwarp();
    if (found >= 32 || next == per_lane) {  // flush
      int first = 0;
      if (lane == 0) first = atomicAdd(written, found);
      first = __shfl_sync(~0u, first, 0);
      for (int i = lane; i < found; i += 32) out[first + i] = buffered[i];
      if (Mended) __syncwarp();
      if (lane == 0) count = 0;  // [reset]
      if (Mended) __syncwarp();
    }
  }
}

inline exhibit const shown{"A vote is not a fence",
                           "NVIDIA/cuCollections#337",
                           __FILE__,
                           {{kind::read_after_write, "count", "reset"}, {kind::write_after_write, "count", "reset"}},
                           [](check_options const& o, bool mended) {
                             buffer<int> keys(32 * 6, 5), out(32 * 6), written(1, 0);
                             return check(o, mended ? collect<true> : collect<false>, 1, 32, 0, out.data(),
                                          written.data(), keys.data(), 6, 5);
                           }};

}  // namespace museum::votes

// clang-format off: the report of the first kernel (museum --record)
//  2 findings (schedule in_order, delivery late, seed 1)
//  11_votes.cuh:20: error: race: write after write, 5 times
//      20 | if (keys[32 * next + lane] == wanted) buffered[atomicAdd(&count, 1)] = 32 * next + lane;  // [count]
//         | atomic write of 4 bytes by thread 26 (warp 0, lane 26) of block (0, 0, 0)
//  11_votes.cuh:31: write before it
//      31 | if (lane == 0) count = 0;  // [reset]
//         | by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    count (int): static shared memory of collect<false>, bytes [0, 4) of 4
//    Lanes of a warp do not run in lock-step, and shuffles, votes, ldmatrix and mma order no memory. Missing: a
//    warp barrier (sync_warp, __syncwarp) between the writes of line 31 and line 20, or a block barrier.
//
//  11_votes.cuh:20: error: race: write after read, 160 times
//      20 | if (keys[32 * next + lane] == wanted) buffered[atomicAdd(&count, 1)] = 32 * next + lane;  // [count]
//         | write of 4 bytes by thread 26 (warp 0, lane 26) of block (0, 0, 0)
//  11_votes.cuh:29: read before it
//      29 | for (int i = lane; i < found; i += 32) out[first + i] = buffered[i];
//         | by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    buffered[0] (int): static shared memory of collect<false>, bytes [0, 4) of 256
//    Lanes of a warp do not run in lock-step, and shuffles, votes, ldmatrix and mma order no memory. Missing: a
//    warp barrier (sync_warp, __syncwarp) after the read of line 29 and before line 20 writes again, or a block
//    barrier.
