// error: tenon::simt: textures are not modelled
#include <tenon/simt/cuda.hpp>
__global__ void f(float* y, cudaTextureObject_t x) { *y = tex2D<float>(x, 1.0f, 2.0f); }
