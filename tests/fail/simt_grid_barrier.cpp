// error: tenon::simt: cooperative_groups::this_grid
#include <tenon/simt/cuda.hpp>
__global__ void f() { cooperative_groups::this_grid().sync(); }
