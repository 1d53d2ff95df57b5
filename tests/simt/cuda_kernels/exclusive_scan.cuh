// Exclusive prefix sum of a block after Blelloch: sums up a tree, then hands them down. Two elements a thread, in dynamic
// shared memory.
// Planted: the barrier at the head of the way down.
#include <tenon/simt/cuda.hpp>

__global__ void exclusive_scan(int* y, int const* x, int n) {
  int* const s      = tenon::simt::dynamic_shared<int>();
  int const  t      = threadIdx.x;
  int        offset = 1;
  s[2 * t]          = x[2 * t];
  s[2 * t + 1]      = x[2 * t + 1];
  for (int d = n / 2; d > 0; d /= 2) {
    __syncthreads();
    if (t < d) s[offset * (2 * t + 2) - 1] += s[offset * (2 * t + 1) - 1];
    offset *= 2;
  }
  if (t == 0) s[n - 1] = 0;
  for (int d = 1; d < n; d *= 2) {
    offset /= 2;
#if !PLANTED
    __syncthreads();
#endif
    if (t < d) {
      int const left = offset * (2 * t + 1) - 1, right = offset * (2 * t + 2) - 1;
      int const v = s[left];
      s[left]     = s[right];  // [hand down]
      s[right] += v;           // [add]
    }
  }
  __syncthreads();
  y[2 * t]     = s[2 * t];
  y[2 * t + 1] = s[2 * t + 1];
}
