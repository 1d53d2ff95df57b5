//  9. The third of three siblings
//
//  JustVugg/colibri#1099, August 2026. Three kernels store the accumulator of a matrix product to shared memory, each lane
//  its fragment, and read it back row by row, so that every lane reads what other lanes stored. Two of them carry a
//  __syncwarp() in between, the third did not. Racecheck listed it: three hazards, as warnings.
#pragma once
#include "exhibit.hpp"

namespace museum::third_sibling {

template <bool Mended>
__global__ void store_rows(float* y, float const* accumulator) {
  __shared__ float out[16 * 8];
  int const        lane = static_cast<int>(threadIdx.x), group = lane / 4, column = lane % 4 * 2;
  for (int i = 0; i < 4; ++i) {  // the fragment of m16n8: rows group and group + 8, two columns each
    int const row                 = group + i / 2 * 8;
    out[8 * row + column + i % 2] = accumulator[4 * lane + i];  // [write]
  }
  if (Mended) __syncwarp();
  for (int i = lane; i < 16 * 8; i += 32) y[i] = out[i];  // [read]
}

inline exhibit const shown{"The third of three siblings",
                           "JustVugg/colibri#1099",
                           __FILE__,
                           {{kind::read_after_write, "read", "write"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> accumulator(128, 1.f), y(128);
                             return check(o, mended ? store_rows<true> : store_rows<false>, 1, 32, 0, y.data(),
                                          accumulator.data());
                           }};

}  // namespace museum::third_sibling

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  09_third_sibling.cuh:20: error: race: read after write, 62 times
//      20 | for (int i = lane; i < 16 * 8; i += 32) y[i] = out[i];  // [read]
//         | read of 4 bytes by thread 1 (warp 0, lane 1) of block (0, 0, 0)
//  09_third_sibling.cuh:17: write before it
//      17 | out[8 * row + column + i % 2] = accumulator[4 * lane + i];  // [write]
//         | by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    out[1] (float): static shared memory of store_rows<false>, bytes [4, 8) of 512
//    Lanes of a warp do not run in lock-step, and shuffles, votes, ldmatrix and mma order no memory. Missing: a
//    warp barrier (sync_warp, __syncwarp) after line 17 and before line 20, or a block barrier.
//    Also: race: write after read, 62 times; uninitialised read, 62 times.
