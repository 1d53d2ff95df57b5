// error: tenon::simt: a tile has 1, 2, 4, 8, 16 or 32 threads
#include <tenon/simt/cuda.hpp>
__global__ void f() { cooperative_groups::tiled_partition<64>(cooperative_groups::this_thread_block()).sync(); }
