//  12. Zeros on top of the scales
//
//  ggml-org/llama.cpp#28358, September 2026. A query of head size 64 is quantised into 16 words of shared memory, and its
//  scales are put right behind them. All 32 lanes store, the upper 16 of them zeros as padding: onto the scales, which two
//  lanes are writing at the same moment. Code generation and luck kept the results right; racecheck gave 50 records, of this
//  and of a second race beside it.
#pragma once
#include "exhibit.hpp"

namespace museum::padding {

template <bool Mended>
__global__ void quantise(float* y, float const* x) {
  __shared__ int words[32];
  constexpr int  used   = 16;
  auto* const    scales = reinterpret_cast<float*>(words + used);  // one for each 32 values
  int const      lane   = static_cast<int>(threadIdx.x);
  float          v[4] = {}, largest = 0;
  for (int i = 0; i < 4 && lane < used; ++i) v[i] = x[4 * lane + i], largest = fmaxf(largest, fabsf(v[i]));
  for (int lanes = 4; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));
  float const scale = largest / 127;
  unsigned    word  = 0;
  for (int i = 0; i < 4 && lane < used; ++i) word |= (static_cast<unsigned>(v[i] / scale) & 0xff) << 8 * i;
  if (!Mended || lane < used) words[lane] = static_cast<int>(word);  // [padding]
  if (lane < used && lane % 8 == 0) scales[lane / 8] = scale;        // [scale]
  __syncwarp();
  y[lane] = static_cast<float>(words[lane % used]) * scales[lane % used / 8];
}

inline exhibit const shown{"Zeros on top of the scales",
                           "ggml-org/llama.cpp#28358",
                           __FILE__,
                           {{kind::write_after_write, "padding", "scale"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(64, 1.f), y(32);
                             return check(o, mended ? quantise<true> : quantise<false>, 1, 32, 0, y.data(), x.data());
                           }};

}  // namespace museum::padding

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  12_padding.cuh:24: error: race: write after write, 2 times
//      24 | if (!Mended || lane < used) words[lane] = static_cast<int>(word);  // [padding]
//         | write of 4 bytes by thread 16 (warp 0, lane 16) of block (0, 0, 0)
//  12_padding.cuh:25: write before it
//      25 | if (lane < used && lane % 8 == 0) scales[lane / 8] = scale;        // [scale]
//         | by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    words[16] (int): static shared memory of quantise<false>, bytes [64, 68) of 128
//    Lanes of a warp do not run in lock-step, and shuffles, votes, ldmatrix and mma order no memory. Missing: a
//    warp barrier (sync_warp, __syncwarp) between the writes of line 25 and line 24, or a block barrier.
