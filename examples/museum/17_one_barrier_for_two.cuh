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
      auto* const    filled = Mended ? &full[tile % 2] : &full[0];
      unsigned const parity = static_cast<unsigned>(Mended ? tile / 2 % 2 : tile % 2);
      arch::mbarrier_wait(filled, parity);  // [wait]
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
                           true,
                           {.seed = 1, .delivery = tenon::simt::delivery::eager}};

}  // namespace museum::one_barrier_for_two

// clang-format off: the report of the first kernel (museum --record)
//  3 findings (schedule in_order, delivery eager, seed 1)
//  17_one_barrier_for_two.cuh:27: error: barrier phase overtaken
//      27 | arch::bulk_load(buffer_of[tile % 2], v + 64 * tile, 256, filled);  // [load]
//         | arrival that ends phase 1 by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    full[0] (mbarrier): static shared memory of pipeline<false>, bytes [0, 8) of 16
//    Nobody has waited for the phase before it: what that phase announced was never looked at.
//
//  17_one_barrier_for_two.cuh:35: error: asynchronous copy not waited for, 2 times
//      35 | sum += buffer_of[tile % 2][t - 32] + buffer_of[tile % 2][t];
//         | read of 4 bytes by thread 63 (warp 1, lane 31) of block (0, 0, 0)
//  17_one_barrier_for_two.cuh:27: bulk load before it
//      27 | arch::bulk_load(buffer_of[tile % 2], v + 64 * tile, 256, filled);  // [load]
//         | by an asynchronous copy
//    buffer_of[0][31] (float): static shared memory of pipeline<false>, bytes [124, 128) of 512
//    The bytes come by a bulk load. Missing: a wait for that phase of its mbarrier (check the parity) by this
//    thread, or by one that meets it at a barrier afterwards.
//
//  17_one_barrier_for_two.cuh:25: error: deadlock
//      25 | arch::mbarrier_wait(&empty[tile % 2], (tile / 2 % 2 ^ 1) & 1);
//         | waits in mbarrier_wait by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  17_one_barrier_for_two.cuh:34: waits in mbarrier_wait
//      34 | arch::mbarrier_wait(filled, parity);  // [wait]
//         | by thread 32 (warp 1, lane 0) of block (0, 0, 0)
//    No thread of the block can go on:
//        1 thread(s) (0) wait in mbarrier_wait at 17_one_barrier_for_two.cuh:25, empty[0] (mbarrier): static shared memory of pipeline<false>, bytes [0, 8) of 16: phase 0 (parity 0) has 1 of 32 arrivals
//        31 thread(s) (1, 2, 3, 4, ...) have returned
//        32 thread(s) (32, 33, 34, 35, ...) wait in mbarrier_wait at 17_one_barrier_for_two.cuh:34, full[0] (mbarrier): static shared memory of pipeline<false>, bytes [0, 8) of 16: phase 2 (parity 0) has 0 of 1 arrivals
