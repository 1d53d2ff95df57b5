//  15. The other way out
//
//  Dao-AILab/flash-attention#1344, November 2024. The epilogue of FlashAttention 3 puts the output tile into shared memory
//  and writes it out in one of two ways: by the copy engine, behind a barrier; or, for sequences of various lengths, by all
//  threads, without one. To see it reproducibly the reporter had to make the last warp sleep for a microsecond.
#pragma once
#include "exhibit.hpp"

namespace museum::other_epilogue {

template <bool Mended>
__global__ void epilogue(float* y, float const* accumulator, int rows) {
  __shared__ float tile[8][16];
  int const        t = static_cast<int>(threadIdx.x), warp = t / 32, lane = t % 32;
  // Fragments lie across the rows of the tile ...
  tile[lane / 4][8 * (warp % 2) + lane % 4 * 2]     = accumulator[2 * t];  // [write]
  tile[lane / 4][8 * (warp % 2) + lane % 4 * 2 + 1] = accumulator[2 * t + 1];
  if (Mended) __syncthreads();
  // ... and threads write along them.
  for (int i = t; i < 16 * rows; i += 64) y[i] = tile[i / 16][i % 16];  // [read]
}

inline exhibit const shown{"The other way out",
                           "Dao-AILab/flash-attention#1344",
                           __FILE__,
                           {{kind::read_after_write, "read", "write"}, {kind::write_after_read, "read", "write"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> accumulator(128, 1.f), y(128);
                             return check(o, mended ? epilogue<true> : epilogue<false>, 1, 64, 0, y.data(),
                                          accumulator.data(), 7);
                           }};

}  // namespace museum::other_epilogue

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  15_other_epilogue.cuh:20: error: race: read after write, 12 times
//      20 | for (int i = t; i < 16 * rows; i += 64) y[i] = tile[i / 16][i % 16];  // [read]
//         | read of 4 bytes by thread 32 (warp 1, lane 0) of block (0, 0, 0)
//  15_other_epilogue.cuh:16: write before it
//      16 | tile[lane / 4][8 * (warp % 2) + lane % 4 * 2]     = accumulator[2 * t];  // [write]
//         | by thread 8 (warp 0, lane 8) of block (0, 0, 0)
//    tile[2][0] (float): static shared memory of epilogue<false>, bytes [128, 132) of 512
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after line 16 and before line 20.
//    Also: race: read after write (line 17), 12 times; race: read after write within a warp (line 17), 16 times;
//    race: read after write within a warp, 14 times; race: write after read, 16 times; 4 more.
