// A sum in one launch: every block writes its part, the block that comes last adds the parts.
// Planted: the fence between the part and the ticket that says it is there.
#include <tenon/simt/cuda.hpp>

__device__ inline float tree_sum(float* s) {
  for (unsigned step = blockDim.x / 2; step > 0; step >>= 1) {
    __syncthreads();
    if (threadIdx.x < step) s[threadIdx.x] += s[threadIdx.x + step];
  }
  return s[0];
}

__global__ void last_block_sum(float* total, float* part, unsigned* finished, float const* x, int n) {
  __shared__ float s[128];
  __shared__ bool  last;
  unsigned const   i   = blockIdx.x * blockDim.x + threadIdx.x;
  s[threadIdx.x]       = i < static_cast<unsigned>(n) ? x[i] : 0.0f;
  float const of_block = tree_sum(s);
  if (threadIdx.x == 0) {
    part[blockIdx.x] = of_block;  // [write]
#if !PLANTED
    __threadfence();
#endif
    last = atomicInc(finished, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  float own = 0.0f;
  for (unsigned b = threadIdx.x; b < gridDim.x; b += blockDim.x) own += part[b];  // [read]
  s[threadIdx.x] = own;
  own            = tree_sum(s);
  if (threadIdx.x == 0) *total = own;
}
