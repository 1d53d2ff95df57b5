// error: tenon::simt: cooperative_groups::this_cluster: clusters are not modelled
#include <tenon/simt/cuda.hpp>
__global__ void f() { cooperative_groups::this_cluster().sync(); }
