// Inclusive prefix sum of a long vector in one launch: blocks take tickets, each waits for the sum of those before its own
// and hands on the sum with its own.
// Planted: the fence between the sum and the flag that announces it.
#include <tenon/simt/cuda.hpp>

__global__ void ticket_scan(int* y, int* sum_to, unsigned* flag, unsigned* ticket, int const* x) {
  __shared__ unsigned mine;
  __shared__ int      before, of_warp[4];
  unsigned const      t = threadIdx.x, lane = t % 32, warp = t / 32;
  if (t == 0) mine = atomicAdd(ticket, 1u);
  __syncthreads();
  unsigned const i = mine * blockDim.x + t;
  int            v = x[i];
  for (unsigned d = 1; d < 32; d *= 2) {
    int const other = __shfl_up_sync(~0u, v, d);
    if (lane >= d) v += other;
  }
  if (lane == 31) of_warp[warp] = v;
  __syncthreads();
  for (unsigned w = 0; w < warp; ++w) v += of_warp[w];
  if (t == blockDim.x - 1) {
    before = 0;
    if (mine > 0) {
      while (atomicAdd(&flag[mine - 1], 0u) == 0) __nanosleep(20);
      __threadfence();
      before = sum_to[mine - 1];  // [read]
    }
    sum_to[mine] = before + v;  // [write]
#if !PLANTED
    __threadfence();
#endif
    atomicExch(&flag[mine], 1u);
  }
  __syncthreads();
  y[i] = before + v;
}
