// y += scale A x in int8: four products an instruction, eight lanes a row.
// Planted: the sum is added to what nobody has set.
#include <tenon/simt/cuda.hpp>

__global__ void int8_gemv(float* y, int const* a, int const* x, float scale, int rows, int words) {
  int const      row  = (blockIdx.x * blockDim.x + threadIdx.x) / 8;
  unsigned const part = threadIdx.x % 8;
  int            sum  = 0;
  if (row < rows)
    for (int w = part; w < words; w += 8) sum = __dp4a(a[row * words + w], x[w], sum);
  for (int d = 4; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d, 8);
  if (part == 0 && row < rows) {
#if PLANTED
    y[row] += scale * __int2float_rn(sum);  // [add]
#else
    y[row] = scale * __int2float_rn(sum);
#endif
  }
}
