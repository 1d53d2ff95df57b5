// error: tenon::simt: kernels cannot launch kernels here
#include <tenon/simt/cuda.hpp>
__global__ void f(void* parameters) { cudaLaunchDevice(parameters, nullptr); }
