// A matrix transposed by tiles of 32 x 32; the tile's odd row length keeps its columns off one bank.
// Planted: the rows are transposed without the test for the matrix's edge.
#include <tenon/simt/cuda.hpp>

constexpr int transpose_tile = 32, transpose_rows = 8;

template <class T>
__global__ void transpose(T* __restrict__ y, T const* __restrict__ x, int width, int height) {
  __shared__ T tile[transpose_tile][transpose_tile + 1];
  int          column = blockIdx.x * transpose_tile + threadIdx.x, row = blockIdx.y * transpose_tile + threadIdx.y;
  for (int i = 0; i < transpose_tile; i += transpose_rows)
    if (column < width && row + i < height) tile[threadIdx.y + i][threadIdx.x] = x[(row + i) * width + column];
  __syncthreads();
  column = blockIdx.y * transpose_tile + threadIdx.x;
  row    = blockIdx.x * transpose_tile + threadIdx.y;
  for (int i = 0; i < transpose_tile; i += transpose_rows)
#if PLANTED
    if (column < height) y[(row + i) * height + column] = tile[threadIdx.x][threadIdx.y + i];  // [write]
#else
    if (column < height && row + i < width) y[(row + i) * height + column] = tile[threadIdx.x][threadIdx.y + i];
#endif
}
