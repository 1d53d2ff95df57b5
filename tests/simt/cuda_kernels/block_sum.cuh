// Sums of blocks of floats: a tree in shared memory, half of the threads in every step.
// Planted: the tree's barrier.
#include <tenon/simt/cuda.hpp>

template <int Threads>
__global__ void __launch_bounds__(Threads) block_sum(float* sums, float const* x, int n) {
  __shared__ float partial[Threads];
  int const        t = threadIdx.x, stride = blockDim.x * gridDim.x;
  float            own = 0.0f;
  for (int i = blockIdx.x * blockDim.x + t; i < n; i += stride) own += x[i];
  partial[t] = own;
  __syncthreads();
  for (int step = Threads / 2; step > 0; step /= 2) {
    if (t < step) partial[t] += partial[t + step];  // [add]
#if !PLANTED
    __syncthreads();
#endif
  }
  if (t == 0) sums[blockIdx.x] = partial[0];
}
