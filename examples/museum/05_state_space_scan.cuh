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
