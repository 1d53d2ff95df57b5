// Sums of groups of 16 by cooperative groups: each tile sums its own through shared memory, its first thread writes.
// Planted: the tile's barrier after the values are written.
#include <tenon/simt/cuda.hpp>

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

__global__ void tile_sums(int* sums, int* largest, int const* x) {
  namespace cg = cooperative_groups;
  __shared__ int         s[128];
  cg::thread_block const block = cg::this_thread_block();
  auto const             tile  = cg::tiled_partition<16>(block);
  int* const             own   = s + tile.meta_group_rank() * tile.size();
  unsigned const         i     = blockIdx.x * block.size() + block.thread_rank();
  own[tile.thread_rank()]      = x[i];  // [write]
#if !PLANTED
  tile.sync();
#endif
  int sum = own[tile.thread_rank() ^ 1];  // [read]
  for (unsigned d = tile.size() / 2; d > 0; d /= 2) sum += tile.shfl_down(sum, d);
  int const most = cg::reduce(tile, x[i], cg::greater<int>());
  if (tile.thread_rank() == 0) {
    unsigned const to = blockIdx.x * tile.meta_group_size() + tile.meta_group_rank();
    sums[to]          = sum;
    largest[to]       = most;
  }
}
