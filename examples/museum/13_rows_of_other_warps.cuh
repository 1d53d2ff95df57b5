//  13. Each warp waited for its own rows
//
//  flashinfer-ai/flashinfer#3439, May 2026. Each warp of a Mamba kernel loads its quarter of the state with cp.async, waits
//  for its copies and calls __syncwarp(). Then every warp multiplies with all of the state. cp.async's wait serves the thread
//  that copied, __syncwarp() its warp; nobody had waited for the other three. Five launches with equal inputs gave five
//  different outputs, off by up to 13 in fp16 at batch 99, by less than an ulp at small sizes.
#pragma once
#include "exhibit.hpp"

namespace museum::rows_of_other_warps {

template <bool Mended>
__global__ void replay(float* y, float const* state) {
  __shared__ float rows[4][32];
  unsigned const   lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  arch::cp_async<4>(&rows[warp][lane], state + threadIdx.x);  // [copy]
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  __syncwarp();
  if (Mended) __syncthreads();
  float sum = 0;
  for (unsigned i = 0; i < 4; ++i) sum += rows[(warp + i) % 4][31 - lane];  // [read]
  y[threadIdx.x] = sum;
}

inline exhibit const shown{"Each warp waited for its own rows",
                           "flashinfer-ai/flashinfer#3439",
                           __FILE__,
                           {{kind::read_after_write, "read", "copy"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> state(128, 1.f), y(128);
                             return check(o, mended ? replay<true> : replay<false>, 1, 128, 0, y.data(), state.data());
                           },
                           true};

}  // namespace museum::rows_of_other_warps

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  13_rows_of_other_warps.cuh:22: error: race: read after write, 378 times
//      22 | for (unsigned i = 0; i < 4; ++i) sum += rows[(warp + i) % 4][31 - lane];  // [read]
//         | read of 4 bytes by thread 63 (warp 1, lane 31) of block (0, 0, 0)
//  13_rows_of_other_warps.cuh:16: cp.async before it
//      16 | arch::cp_async<4>(&rows[warp][lane], state + threadIdx.x);  // [copy]
//         | by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//    rows[0][0] (float): static shared memory of replay<false>, bytes [0, 4) of 512
//    cp_async_wait makes the copied bytes visible to the thread that issued the copy only. Missing: a block
//    barrier (or a warp barrier within the warp) after the wait and before line 22.
//    Also: race: write after read, 3 times; uninitialised read, 6 times.
