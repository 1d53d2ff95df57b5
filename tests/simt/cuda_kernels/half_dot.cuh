// y = a x + y and the dot product of the new y with x, in half2; a block sums in float, its warps through shared memory.
// Planted: the warp's barrier between writing and reading the partial sums.
#include <tenon/simt/cuda.hpp>

#include <cuda_fp16.h>

__global__ void half_dot(float* dot, __half2* y, __half2 const* x, float a, int pairs) {
  __shared__ float s[128];
  __half2 const    scale = __float2half2_rn(a);
  float            sum   = 0.0f;
  unsigned const   lane  = threadIdx.x % 32;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += gridDim.x * blockDim.x) {
    __half2 const v = x[i], now = __hfma2(scale, v, y[i]);
    y[i]           = now;
    float2 const p = __half22float2(v), q = __half22float2(now);
    sum = fmaf(p.x, q.x, fmaf(p.y, q.y, sum));
  }
  s[threadIdx.x] = sum;  // [write]
#if !PLANTED
  __syncwarp();
#endif
  if (lane < 8) {
    float four = 0.0f;
    for (int k = 0; k < 4; ++k) four += s[threadIdx.x - lane + 4 * lane + k];  // [read]
    for (int d = 4; d > 0; d /= 2) four += __shfl_down_sync(0xffu, four, d, 8);
    if (lane == 0) atomicAdd(dot, four);
  }
}
