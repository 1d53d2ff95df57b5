// Batcher's bitonic network over 2 * blockDim keys in shared memory; each thread orders one pair a step.
// Planted: the barrier between two steps of one merge.
#include <tenon/simt/cuda.hpp>

__global__ void bitonic_sort(unsigned* keys) {
  unsigned* const s    = tenon::simt::dynamic_shared<unsigned>();
  unsigned const  size = 2 * blockDim.x, t = threadIdx.x;
  s[t]              = keys[t];
  s[t + blockDim.x] = keys[t + blockDim.x];
  for (unsigned run = 2; run <= size; run *= 2) {
    bool const up = (t & run / 2) == 0;
    __syncthreads();
    for (unsigned step = run / 2; step > 0; step /= 2) {
#if !PLANTED
      __syncthreads();
#endif
      unsigned const at = 2 * t - (t & (step - 1));
      unsigned const a = s[at], b = s[at + step];  // [read]
      s[at]        = up ? min(a, b) : max(a, b);   // [write]
      s[at + step] = up ? max(a, b) : min(a, b);   // [write]
    }
  }
  __syncthreads();
  keys[t]              = s[t];
  keys[t + blockDim.x] = s[t + blockDim.x];
}
