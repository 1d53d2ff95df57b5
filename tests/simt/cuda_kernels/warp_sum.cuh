// Sums of blocks of floats: shuffles within a warp, then one warp over the sums of the warps.
// Planted: the second stage names all lanes of a warp of which only some are there.
#include <tenon/simt/cuda.hpp>

__device__ __forceinline__ float sum_of_warp(float v, unsigned lanes) {
#pragma unroll
  for (int d = warpSize / 2; d > 0; d /= 2) v += __shfl_down_sync(lanes, v, d);  // [shuffle]
  return v;
}

__global__ void warp_sum(float* sums, float const* x, int n) {
  __shared__ float of_warp[32];
  unsigned const   lane = threadIdx.x % warpSize, warp = threadIdx.x / warpSize, warps = blockDim.x / warpSize;
  unsigned const   i   = blockIdx.x * blockDim.x + threadIdx.x;
  float            own = i < static_cast<unsigned>(n) ? x[i] : 0.0f;
  own                  = sum_of_warp(own, 0xffffffffu);
  if (lane == 0) of_warp[warp] = own;
  __syncthreads();
#if PLANTED
  if (threadIdx.x < warps) {
    own = sum_of_warp(of_warp[lane], 0xffffffffu);
#else
  if (warp == 0) {
    own = sum_of_warp(lane < warps ? of_warp[lane] : 0.0f, 0xffffffffu);
#endif
    if (lane == 0) sums[blockIdx.x] = own;
  }
}
