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
