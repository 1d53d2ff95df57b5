// Stream compaction: the positive values of x, block by block in any order, those of one block in their order. A warp counts
// by ballot, a block takes its room by one atomic.
// Planted: the barrier before the block's place is read.
#include <tenon/simt/cuda.hpp>

__global__ void compaction(int* y, int* count, int const* x, int n) {
  __shared__ int before[33];
  __shared__ int place;
  int const      i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  bool const     keep = i < n && x[i] > 0;
  unsigned const kept = __ballot_sync(~0u, keep);
  if (lane == 0) before[warp] = __popc(kept);
  __syncthreads();
  if (threadIdx.x == 0) {
    int sum = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) {
      int const of_warp = before[w];
      before[w]         = sum;  // [place]
      sum += of_warp;
    }
    place = atomicAdd(count, sum);  // [place]
  }
#if !PLANTED
  __syncthreads();
#endif
  if (keep) y[place + before[warp] + __popc(kept & ((1u << lane) - 1))] = x[i];  // [read]
}
