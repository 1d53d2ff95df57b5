//  5. The barrier that was tidied away
//
//  ggml-org/llama.cpp#24360, June 2026. A state-space scan walks over the time steps; B and C of a step are put into shared
//  memory for all threads. One of its two barriers went when the loop was rewritten. A reader asked about it (ggml#1498), a
//  first patch was closed for a reason of policy (#23364), and continuous integration failed now and then until somebody
//  looked for the race behind it. The mended kernel was measured 2.7 % slower; the other one was wrong.
#pragma once
#include "exhibit.hpp"

namespace museum::state_space_scan {

template <bool Mended>
__global__ void scan(float* y, float const* x, float const* b, float const* c, int steps) {
  __shared__ float step_b[16], step_c[16];
  unsigned const   t         = threadIdx.x;
  float            state[16] = {};
  for (int step = 0; step < steps; ++step) {
    if (t < 16) step_b[t] = b[16 * step + static_cast<int>(t)];  // [write]
    else if (t < 32) step_c[t - 16] = c[16 * step + static_cast<int>(t) - 16];
    __syncthreads();
    float out = 0;
    for (int n = 0; n < 16; ++n) {
      state[n] = 0.9f * state[n] + step_b[n] * x[64 * step + static_cast<int>(t)];  // [read]
      out += state[n] * step_c[n];
    }
    y[64 * step + static_cast<int>(t)] = out;
    if (Mended) __syncthreads();
  }
}

inline exhibit const shown{"The barrier that was tidied away",
                           "ggml-org/llama.cpp#24360",
                           __FILE__,
                           {{kind::write_after_read, "write", "read"}, {kind::read_after_write, "write", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(192, 1.f), b(48, 1.f), c(48, 1.f), y(192);
                             return check(o, mended ? scan<true> : scan<false>, 1, 64, 0, y.data(), x.data(), b.data(),
                                          c.data(), 3);
                           }};

}  // namespace museum::state_space_scan

// clang-format off: the report of the first kernel (museum --record)
//  2 findings (schedule in_order, delivery late, seed 1)
//  05_state_space_scan.cuh:18: error: race: write after read, 32 times
//      18 | if (t < 16) step_b[t] = b[16 * step + static_cast<int>(t)];  // [write]
//         | write of 4 bytes by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  05_state_space_scan.cuh:23: read before it
//      23 | state[n] = 0.9f * state[n] + step_b[n] * x[64 * step + static_cast<int>(t)];  // [read]
//         | by thread 63 (warp 1, lane 31) of block (0, 0, 0)
//    step_b[0] (float): static shared memory of scan<false>, bytes [0, 4) of 64
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 23 and before line 18 writes again.
//    Also: race: read after write, 976 times; race: read after write within a warp, 752 times.
//
//  05_state_space_scan.cuh:19: error: race: write after read, 32 times
//      19 | else if (t < 32) step_c[t - 16] = c[16 * step + static_cast<int>(t) - 16];
//         | write of 4 bytes by thread 16 (warp 0, lane 16) of block (0, 0, 0)
//  05_state_space_scan.cuh:24: read before it
//      24 | out += state[n] * step_c[n];
//         | by thread 63 (warp 1, lane 31) of block (0, 0, 0)
//    step_c[0] (float): static shared memory of scan<false>, bytes [0, 4) of 64
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 24 and before line 19 writes again.
//    Also: race: read after write, 976 times; race: read after write within a warp, 240 times.
