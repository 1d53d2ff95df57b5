// One Jacobi step of the Laplace equation on a grid of rows x columns; the border stays.
// Planted: the step writes to the grid that it reads.
#include <tenon/simt/cuda.hpp>

__global__ void jacobi(float* y, float* x, int rows, int columns) {
  int const column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row < 1 || row >= rows - 1 || column < 1 || column >= columns - 1) return;
  int const   i    = row * columns + column;
  float const mean = 0.25f * (x[i - 1] + x[i + 1] + x[i - columns] + x[i + columns]);  // [read]
#if PLANTED
  x[i] = mean;  // [write]
#endif
  y[i] = mean;
}
