// Sums of segments: sum[key[i]] += x[i], keys ascending. A warp scans its values within equal keys; the last lane of each run
// adds it to the whole.
// Planted: it is added without an atomic, though a segment may reach into the next warp or block.
#include <tenon/simt/cuda.hpp>

__global__ void segmented_sum(float* sum, float const* x, int const* key, int n) {
  int const      i    = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned const lane = threadIdx.x & 31;
  int const      k    = i < n ? key[i] : -1;
  float          v    = i < n ? x[i] : 0.0f;
  for (unsigned d = 1; d < 32; d <<= 1) {
    float const other     = __shfl_up_sync(0xffffffffu, v, d);
    int const   other_key = __shfl_up_sync(0xffffffffu, k, d);
    if (lane >= d && other_key == k) v += other;
  }
  int const next = __shfl_down_sync(0xffffffffu, k, 1);
  if (k >= 0 && (lane == 31 || next != k)) {
#if PLANTED
    sum[k] += v;  // [add]
#else
    atomicAdd(&sum[k], v);
#endif
  }
}
