// y[i] = sum of weight[j] x[i + j] over -3 <= j <= 3, x zero outside: a block's piece and its halo in shared memory.
// Planted: the halo behind the piece is not loaded.
#include <tenon/simt/cuda.hpp>

constexpr int stencil_radius = 3, stencil_threads = 64;

__constant__ float stencil_weight[2 * stencil_radius + 1] = {0.5f, -1.0f, 2.0f, 3.0f, 2.0f, -1.0f, 0.5f};

__global__ void stencil_1d(float* y, float const* x, int n) {
  __shared__ float piece[stencil_threads + 2 * stencil_radius];
  int const        i = blockIdx.x * blockDim.x + threadIdx.x, at = threadIdx.x + stencil_radius;
  piece[at] = i < n ? x[i] : 0.0f;
  if (threadIdx.x < stencil_radius) {
    piece[threadIdx.x] = i >= stencil_radius && i - stencil_radius < n ? x[i - stencil_radius] : 0.0f;
#if !PLANTED
    int const behind            = i + stencil_threads;
    piece[at + stencil_threads] = behind < n ? x[behind] : 0.0f;
#endif
  }
  __syncthreads();
  float sum = 0.0f;
  for (int j = -stencil_radius; j <= stencil_radius; ++j)
    sum += stencil_weight[j + stencil_radius] * piece[at + j];  // [read]
  if (i < n) y[i] = sum;
}
