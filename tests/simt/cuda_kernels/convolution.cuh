// A 5 x 5 convolution of an image of uchar4 pixels, borders repeated: a block's tile and its apron in dynamic shared memory.
// Planted: the launch's shared memory is one row short of what the block stores.
#include <tenon/simt/cuda.hpp>

constexpr int apron = 2, pixels_x = 16, pixels_y = 8;
constexpr int row_pixels = pixels_x + 2 * apron, rows_stored = pixels_y + 2 * apron;
#if PLANTED
constexpr int convolution_bytes = (rows_stored - 1) * row_pixels * 4;
#else
constexpr int convolution_bytes = rows_stored * row_pixels * 4;
#endif

__constant__ int convolution_weight[5] = {1, 4, 6, 4, 1};

__global__ void convolution(uchar4* y, uchar4 const* x, int width, int height) {
  uchar4* const tile = tenon::simt::dynamic_shared<uchar4>();
  int const     left = blockIdx.x * pixels_x - apron, top = blockIdx.y * pixels_y - apron;
  for (int i = threadIdx.y * pixels_x + threadIdx.x; i < row_pixels * rows_stored; i += pixels_x * pixels_y) {
    int const from_x = min(max(left + i % row_pixels, 0), width - 1);
    int const from_y = min(max(top + i / row_pixels, 0), height - 1);
    tile[i]          = x[from_y * width + from_x];  // [store]
  }
  __syncthreads();
  int const column = left + apron + threadIdx.x, row = top + apron + threadIdx.y;
  if (column >= width || row >= height) return;
  int3 sum = make_int3(128, 128, 128);
  for (int j = 0; j < 5; ++j)
    for (int i = 0; i < 5; ++i) {
      uchar4 const p      = tile[(threadIdx.y + j) * row_pixels + threadIdx.x + i];
      int const    weight = convolution_weight[i] * convolution_weight[j];
      sum.x += weight * p.x;
      sum.y += weight * p.y;
      sum.z += weight * p.z;
    }
  y[row * width + column] = make_uchar4(sum.x >> 8, sum.y >> 8, sum.z >> 8, 255);
}
