//  18. The arrival that was optimised away
//
//  tile-ai/tilelang#2566, found by a fuzzer. A load is announced to a barrier with the bytes that it brings and one arrival.
//  If the loop over the tiles has exactly one turn, the compiler sees a contiguous copy, takes a simpler instruction for it,
//  and forgets the arrival that the other path makes. The bytes come, the phase does not end, the consumer waits for ever.
//  With two turns and more all is well.
#pragma once
#include "exhibit.hpp"

namespace museum::missing_arrival {

template <bool Mended>
__global__ void one_tile(float* y, float const* x) {
  alignas(128) __shared__ float tile[64];
  __shared__ arch::mbarrier full;
  unsigned const            t = threadIdx.x;
  if (t == 0) {
    arch::mbarrier_init(&full, 1);
    arch::fence_mbarrier_init();
    if (Mended) arch::mbarrier_arrive_expect(&full, 256);
    else arch::mbarrier_expect(&full, 256);
    arch::bulk_load(tile, x, 256, &full);
  }
  __syncthreads();
  arch::mbarrier_wait(&full, 0);  // [wait]
  y[t] = tile[63 - t];
}

inline exhibit const shown{"The arrival that was optimised away",
                           "tile-ai/tilelang#2566",
                           __FILE__,
                           {{kind::deadlock, "wait"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(64, 1.f), y(64);
                             return check(o, mended ? one_tile<true> : one_tile<false>, 1, 64, 0, y.data(), x.data());
                           },
                           true};

}  // namespace museum::missing_arrival

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  18_missing_arrival.cuh:25: error: deadlock
//      25 | arch::mbarrier_wait(&full, 0);  // [wait]
//         | waits in mbarrier_wait by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    No thread of the block can go on:
//        64 thread(s) (0, 1, 2, 3, ...) wait in mbarrier_wait at 18_missing_arrival.cuh:25, full (mbarrier): static shared memory of one_tile<false>, bytes [0, 8) of 8: phase 0 (parity 0) has 0 of 1 arrivals
