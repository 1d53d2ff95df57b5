// error: tenon::simt: cooperative_groups::coalesced_threads
#include <tenon/simt/cuda.hpp>
__global__ void f() { cooperative_groups::coalesced_threads().sync(); }
