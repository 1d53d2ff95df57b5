// Softmax of each row, a block a row: the maximum and the sum by shuffles and one shared word a warp.
// Planted: the barrier between reading the maxima and reusing their words for the sums.
#include <tenon/simt/cuda.hpp>

template <class Op>
__device__ float over_block(float v, float* of_warp, Op op) {
  for (int d = 16; d > 0; d >>= 1) v = op(v, __shfl_xor_sync(0xffffffff, v, d));
  if ((threadIdx.x & 31) == 0) of_warp[threadIdx.x >> 5] = v;  // [write]
  __syncthreads();
  for (unsigned w = 0; w < blockDim.x / 32; ++w) v = w == 0 ? of_warp[w] : op(v, of_warp[w]);  // [read]
#if !PLANTED
  __syncthreads();
#endif
  return v;
}

struct larger {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

__global__ void softmax(float* y, float const* x, int columns) {
  __shared__ float of_warp[32];
  float const*     row     = x + blockIdx.x * columns;
  float            largest = -INFINITY, total = 0.0f;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) largest = fmaxf(largest, row[i]);
  largest = over_block(largest, of_warp, larger{});
  for (int i = threadIdx.x; i < columns; i += blockDim.x) total += __expf(row[i] - largest);
  total = over_block(total, of_warp, sum{});
  for (int i = threadIdx.x; i < columns; i += blockDim.x)
    y[blockIdx.x * columns + i] = __fdividef(__expf(row[i] - largest), total);
}
