// Accelerations of n bodies (x, y, z, mass) by all the others, a tile of bodies in shared memory at a time.
// Planted: the threads behind the last body meet at a barrier of their own.
#include <tenon/simt/cuda.hpp>

__global__ void n_body(float3* acceleration, float4 const* body, int n, float softening) {
  __shared__ float4 tile[64];
  int const         i    = blockIdx.x * blockDim.x + threadIdx.x;
  float4 const      mine = i < n ? body[i] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  float3            sum  = make_float3(0.0f, 0.0f, 0.0f);
  for (int first = 0; first < n; first += blockDim.x) {
    int const j       = first + threadIdx.x;
    tile[threadIdx.x] = j < n ? body[j] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#if PLANTED
    if (i < n) __syncthreads();  // [bodies]
    else __syncthreads();        // [others]
#else
    __syncthreads();
#endif
    for (unsigned k = 0; k < blockDim.x; ++k) {
      float4 const other = tile[k];
      float const  dx = other.x - mine.x, dy = other.y - mine.y, dz = other.z - mine.z;
      float const  r = rsqrtf(dx * dx + dy * dy + dz * dz + softening), pull = other.w * r * r * r;
      sum.x += dx * pull;
      sum.y += dy * pull;
      sum.z += dz * pull;
    }
    __syncthreads();
  }
  if (i < n) acceleration[i] = sum;
}
