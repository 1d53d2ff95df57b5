// error: no matching function for call to
#include <tenon/simt/cuda.hpp>
__global__ void f(float* y) { atomicMin(y, 1.0f); }
