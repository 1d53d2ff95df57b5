// error: tenon::simt: a shuffle moves integers, floats, double
#include <tenon/simt/cuda.hpp>
__global__ void f(float2* y) { *y = __shfl_sync(~0u, *y, 0); }
