// error: tenon::simt: surfaces are not modelled
#include <tenon/simt/cuda.hpp>
__global__ void f(cudaSurfaceObject_t y) { surf2Dwrite(1.0f, y, 0, 0); }
