//  17. One bit for two buffers
//
//  tile-ai/TileOPs#1900 and #1903, August 2026. Two buffers for V, each with its own "empty" barrier, but one "full" barrier
//  for both. A barrier's phase is one bit: a producer that is two ahead flips it twice, and the consumer waits for a phase
//  that is over. Compiled by CUDA 12.9 it ran; by 13.2 it hung, at 8 query heads a group and not at 4. A warp that spins on
//  a barrier gives no report but a full load meter.
#pragma once
#include "exhibit.hpp"

namespace museum::one_barrier_for_two {

template <bool Mended>
__global__ void pipeline(float* y, float const* v, int tiles) {
  alignas(128) __shared__ float buffer_of[2][64];
  __shared__ arch::mbarrier full[2], empty[2];
  unsigned const            t = threadIdx.x;
  if (t == 0) {
    for (int i = 0; i < 2; ++i) arch::mbarrier_init(&full[i], 1), arch::mbarrier_init(&empty[i], 32);
    arch::fence_mbarrier_init();
  }
  __syncthreads();
  if (t == 0) {  // producer
    for (int tile = 0; tile < tiles; ++tile) {
      auto* const filled = Mended ? &full[tile % 2] : &full[0];
      arch::mbarrier_wait(&empty[tile % 2], (tile / 2 % 2 ^ 1) & 1);
      arch::mbarrier_arrive_expect(filled, 256);                         // [expect]
      arch::bulk_load(buffer_of[tile % 2], v + 64 * tile, 256, filled);  // [load]
    }
  } else if (t >= 32) {  // consumers
    float sum = 0;
    for (int tile = 0; tile < tiles; ++tile) {
      arch::mbarrier_wait(Mended ? &full[tile % 2] : &full[0], static_cast<unsigned>(Mended ? tile / 2 % 2 : tile % 2));
      sum += buffer_of[tile % 2][t - 32] + buffer_of[tile % 2][t];
      arch::mbarrier_arrive(&empty[tile % 2]);
    }
    y[t - 32] = sum;
  }
}

inline exhibit const shown{"One bit for two buffers",
                           "tile-ai/TileOPs#1900, #1903",
                           __FILE__,
                           {{kind::phase_overtaken, "load"}, {kind::barrier_misuse, "expect"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> v(6 * 64, 1.f), y(32);
                             return check(o, mended ? pipeline<true> : pipeline<false>, 1, 64, 0, y.data(), v.data(),
                                          6);
                           },
                           true};

}  // namespace museum::one_barrier_for_two
