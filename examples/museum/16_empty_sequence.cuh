//  16. The empty sequence
//
//  MoonshotAI/FlashKDA#24 and #25, July 2026. A state is built up in shared memory and leaves by the copy engine, which sees
//  memory through a proxy of its own: plain stores reach it after a proxy fence. The fence stands in the loop over the tiles.
//  A batch may hold an empty sequence; then the loop does not run, and the engine stores a state that was cleared a moment
//  ago, or what was there before. An audit against the manual found it, not a test. The barrier is no substitute.
#pragma once
#include "exhibit.hpp"

namespace museum::empty_sequence {

template <bool Mended>
__global__ void final_state(float* y, float const* x, int tiles) {
  alignas(128) __shared__ float state[64];
  unsigned const                t = threadIdx.x;
  state[t]                        = 0;  // [clear]
  if (Mended) arch::fence_proxy_async();
  for (int tile = 0; tile < tiles; ++tile) {
    state[t] += x[64 * tile + static_cast<int>(t)];
    arch::fence_proxy_async();
  }
  __syncthreads();
  if (t == 0) {
    arch::bulk_store(y, state, sizeof state);  // [store]
    arch::bulk_commit();
    arch::bulk_wait<0>();
  }
}

inline exhibit const shown{"The empty sequence",
                           "MoonshotAI/FlashKDA#24, #25",
                           __FILE__,
                           {{kind::missing_proxy_fence, "store", "clear"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(64, 1.f), y(64);
                             return check(o, mended ? final_state<true> : final_state<false>, 1, 64, 0, y.data(),
                                          x.data(), 0);
                           },
                           true};

}  // namespace museum::empty_sequence

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  16_empty_sequence.cuh:24: error: missing proxy fence
//      24 | arch::bulk_store(y, state, sizeof state);  // [store]
//         | asynchronous read of 256 bytes by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  16_empty_sequence.cuh:16: plain write before it
//      16 | state[t]                        = 0;  // [clear]
//         | by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    state (float[64]): static shared memory of final_state<false>, bytes [0, 256) of 256
//    Bulk copies go through the async proxy, which need not see plain writes, even behind a barrier. Missing:
//    fence_proxy_async() by the writing threads after the write and before the barrier.
