// y = A x, a warp a row; blocks of 32 x 4 threads.
// Planted: lanes beyond the last column leave before the shuffles.
#include <tenon/simt/cuda.hpp>

__global__ void gemv(float* y, float const* a, float const* x, int rows, int columns) {
  int const row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x;
  if (row >= rows) return;
#if PLANTED
  if (lane >= columns) return;
#endif
  float sum = 0.0f;
  for (int i = lane; i < columns; i += 32) sum = fmaf(a[row * columns + i], x[i], sum);
#pragma unroll
  for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, d);  // [shuffle]
  if (lane == 0) y[row] = sum;
}
