// 64 bins of bytes: each block counts in shared memory and adds its counts to the whole.
// Planted: the shared counts grow without an atomic.
#include <tenon/simt/cuda.hpp>

constexpr int histogram_bins = 64;

__global__ void histogram(unsigned* bins, unsigned char const* x, int n) {
  __shared__ unsigned count[histogram_bins];
  for (int i = threadIdx.x; i < histogram_bins; i += blockDim.x) count[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    int const bin = __ldg(&x[i]) >> 2;
#if PLANTED
    ++count[bin];  // [count]
#else
    atomicAdd(&count[bin], 1u);
#endif
  }
  __syncthreads();
  for (int i = threadIdx.x; i < histogram_bins; i += blockDim.x)
    if (count[i]) atomicAdd(&bins[i], count[i]);
}
