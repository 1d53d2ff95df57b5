// The largest value and the first index that has it, as one 64-bit key: the value's bits in order, the index turned round.
// Planted: the loop goes one too far.
#include <tenon/simt/cuda.hpp>

__device__ inline unsigned in_order(float v) {
  unsigned const u = __float_as_uint(v);
  return u & 0x80000000u ? ~u : u | 0x80000000u;
}

__global__ void arg_max(unsigned long long* best, float const* x, int n) {
  unsigned long long own = 0;
#if PLANTED
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i <= n; i += gridDim.x * blockDim.x) {
#else
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
#endif
    unsigned const value = in_order(x[i]);  // [read]
    own = max(own, static_cast<unsigned long long>(value) << 32 | (0xffffffffu - static_cast<unsigned>(i)));
  }
  for (int d = 16; d > 0; d /= 2) own = max(own, __shfl_xor_sync(0xffffffffu, own, d));
  if (threadIdx.x % warpSize == 0) atomicMax(best, own);
}
