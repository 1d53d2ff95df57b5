// One pass of a radix sort: a block's keys split by one bit, zeros first, their order kept. A ballot ranks the keys within
// a warp, warp 0 scans the counts of the warps.
// Planted: the barrier before warp 0 reads the counts.
#include <tenon/simt/cuda.hpp>

__global__ void radix_split(unsigned* keys, int bit) {
  __shared__ unsigned s[256];
  __shared__ int      zeros_of[8], zeros_before[9];
  unsigned const      t = threadIdx.x, lane = t & 31, warp = t >> 5, warps = blockDim.x >> 5;
  unsigned const      own   = keys[t];
  unsigned const      zeros = __ballot_sync(0xffffffff, (own >> bit & 1) == 0);
  if (lane == 0) zeros_of[warp] = __popc(zeros);  // [count]
  if (t == 0) zeros_before[0] = 0;
#if !PLANTED
  __syncthreads();
#endif
  if (warp == 0) {
    int count = lane < warps ? zeros_of[lane] : 0;  // [scan]
    for (unsigned d = 1; d < 32; d *= 2) {
      int const before = __shfl_up_sync(0xffffffff, count, d);
      if (lane >= d) count += before;
    }
    if (lane < warps) zeros_before[lane + 1] = count;
  }
  __syncthreads();
  int const before = zeros_before[warp] + __popc(zeros & ((1u << lane) - 1));
  int const to     = zeros >> lane & 1 ? before : static_cast<int>(t) - before + zeros_before[warps];
  s[to]            = own;
  __syncthreads();
  keys[t] = s[t];
}
