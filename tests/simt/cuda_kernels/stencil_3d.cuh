// Seven-point stencil on nx x ny x nz cells, z by z: a block's plane in shared memory, the planes before and behind in
// registers.
// Planted: the barrier before the plane is replaced.
#include <tenon/simt/cuda.hpp>

constexpr int stencil_x = 16, stencil_y = 8;

__global__ void stencil_3d(double* y, double const* x, int nx, int ny, int nz) {
  __shared__ double plane[stencil_y + 2][stencil_x + 2];
  int const         ix = blockIdx.x * stencil_x + threadIdx.x, iy = blockIdx.y * stencil_y + threadIdx.y;
  int const         tx = threadIdx.x + 1, ty = threadIdx.y + 1;
  auto const        at = [=](int i, int j, int k) {
    return i < 0 || i >= nx || j < 0 || j >= ny || k < 0 || k >= nz ? 0.0 : x[(k * ny + j) * nx + i];
  };
  double below = 0.0, here = at(ix, iy, 0);
  for (int k = 0; k < nz; ++k) {
    double const above = at(ix, iy, k + 1);
    plane[ty][tx]      = here;  // [write]
    if (threadIdx.x == 0) plane[ty][0] = at(ix - 1, iy, k);
    if (threadIdx.x == stencil_x - 1) plane[ty][stencil_x + 1] = at(ix + 1, iy, k);
    if (threadIdx.y == 0) plane[0][tx] = at(ix, iy - 1, k);
    if (threadIdx.y == stencil_y - 1) plane[stencil_y + 1][tx] = at(ix, iy + 1, k);
    __syncthreads();
    double const around = plane[ty][tx - 1] + plane[ty][tx + 1] + plane[ty - 1][tx] + plane[ty + 1][tx];  // [read]
    if (ix < nx && iy < ny) y[(k * ny + iy) * nx + ix] = around + below + above - 6.0 * here;
    below = here;
    here  = above;
#if !PLANTED
    __syncthreads();
#endif
  }
}
