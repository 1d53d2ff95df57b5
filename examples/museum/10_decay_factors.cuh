//  10. NaN beyond 32 thousand tokens
//
//  vllm-project/vllm-xpu-kernels#411, June 2026. Gated delta net once more, in SYCL on another vendor's card; the race is the
//  same. The decay factors of a (chunk, head) pair lie in shared memory. A sub-group that is done early refills them while
//  others still take exp(g[m] - g[n]). If old and new are close, a low bit is wrong; if they are far apart, exp overflows,
//  and the NaN spreads through the state: "!!!!" in place of text. The project's own test skipped one size because of
//  a "random error": this one.
#pragma once
#include "exhibit.hpp"

namespace museum::decay_factors {

template <bool Mended>
__global__ void decayed(float* y, float const* gates, int heads) {
  __shared__ float g[64];
  unsigned const   t = threadIdx.x;
  for (int head = 0; head < heads; ++head) {
    if (Mended && head > 0) __syncthreads();
    g[t] = gates[64 * head + static_cast<int>(t)];  // [refill]
    __syncthreads();
    float sum = 0;
    for (unsigned n = 0; n <= t; ++n) sum += __expf(g[t] - g[n]);  // [read]
    y[64 * head + static_cast<int>(t)] = sum;
  }
}

inline exhibit const shown{"NaN beyond 32 thousand tokens",
                           "vllm-project/vllm-xpu-kernels#411",
                           __FILE__,
                           {{kind::write_after_read, "refill", "read"}, {kind::read_after_write, "refill", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> gates(192, -1.f), y(192);
                             return check(o, mended ? decayed<true> : decayed<false>, 1, 64, 0, y.data(), gates.data(),
                                          3);
                           }};

}  // namespace museum::decay_factors

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  10_decay_factors.cuh:19: error: race: write after read, 64 times
//      19 | g[t] = gates[64 * head + static_cast<int>(t)];  // [refill]
//         | write of 4 bytes by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  10_decay_factors.cuh:22: read before it
//      22 | for (unsigned n = 0; n <= t; ++n) sum += __expf(g[t] - g[n]);  // [read]
//         | by thread 63 (warp 1, lane 31) of block (0, 0, 0)
//    g[0] (float): static shared memory of decayed<false>, bytes [0, 4) of 256
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 22 and before line 19 writes again.
//    Also: race: write after read within a warp, 61 times; race: read after write, 1952 times; race: read after
//    write within a warp, 1893 times.
