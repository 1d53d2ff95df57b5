// Inclusive prefix sum of a block after Hillis and Steele: log2(n) steps, each element adds the one `d` before it.
// Planted: the barrier between reading the neighbour and overwriting it.
#include <tenon/simt/cuda.hpp>

__global__ void inclusive_scan(int* y, int const* x) {
  __shared__ int s[256];
  unsigned const t = threadIdx.x;
  s[t]             = x[blockIdx.x * blockDim.x + t];
  __syncthreads();
  for (unsigned d = 1; d < blockDim.x; d *= 2) {
    int const before = t >= d ? s[t - d] : 0;  // [read]
#if !PLANTED
    __syncthreads();
#endif
    s[t] += before;  // [write]
    __syncthreads();
  }
  y[blockIdx.x * blockDim.x + t] = s[t];
}
