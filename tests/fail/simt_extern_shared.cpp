// error: declaration
#include <tenon/simt/cuda.hpp>
__global__ void f(float* y) {
  extern __shared__ float x[];  // tenon::simt::dynamic_shared<float>() instead
  *y = x[0];
}
