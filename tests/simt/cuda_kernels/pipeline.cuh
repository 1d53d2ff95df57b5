// y = x scaled by its block's largest magnitude, one tile after the other: while one tile is worked on, the next is on its
// way to shared memory.
// Planted: the wait leaves one group too many in flight.
#include <tenon/simt/cuda.hpp>

#include <cuda_pipeline.h>

constexpr int pipeline_tile = 256, pipeline_threads = 64;

__global__ void pipeline(float* y, float const* x, int tiles) {
  __shared__ __align__(16) float stage[2][pipeline_tile];
  int const                      t = threadIdx.x, first = blockIdx.x * tiles;
  auto const                     fetch = [&](int tile) {
    float const* const from = &x[(first + tile) * pipeline_tile];
    if (tile < tiles) __pipeline_memcpy_async(&stage[tile % 2][4 * t], from + 4 * t, sizeof(float4));  // [copy]
    __pipeline_commit();
  };
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    fetch(tile + 1);
#if PLANTED
    __pipeline_wait_prior(2);
#else
    __pipeline_wait_prior(1);
#endif
    __syncthreads();
    float largest = 0.0f;
    for (int i = t; i < pipeline_tile; i += pipeline_threads)
      largest = fmaxf(largest, fabsf(stage[tile % 2][i]));  // [use]
    int const      bits = __reduce_max_sync(0xffffffff, __float_as_int(largest));
    __shared__ int of_warp[2];
    if (t % 32 == 0) of_warp[t / 32] = bits;
    __syncthreads();
    float const scale = 1.0f / __int_as_float(max(of_warp[0], of_warp[1]));
    for (int i = t; i < pipeline_tile; i += pipeline_threads)
      y[(first + tile) * pipeline_tile + i] = stage[tile % 2][i] * scale;
    __syncthreads();
  }
}
