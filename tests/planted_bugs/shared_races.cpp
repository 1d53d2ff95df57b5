//  Races between the threads of a block in shared memory.
#include "planted_bugs.hpp"

#include <tenon/tile/reduce.cuh>
#include <tenon/tile/swizzle.cuh>

namespace planted_bugs {
namespace {

// ---- 1: a read before the barrier -----------------------------------------------------------------------------------

template <bool Bug>
__global__ void transpose(float* y, float const* x) {
  __shared__ float tile[8][9];
  tile[threadIdx.y][threadIdx.x] = x[8 * threadIdx.y + threadIdx.x];  // [transpose: write]
  if (!Bug) __syncthreads();
  y[8 * threadIdx.y + threadIdx.x] = tile[threadIdx.x][threadIdx.y];  // [transpose: read]
}

// ---- 2: a write before everyone has read ----------------------------------------------------------------------------

template <bool Bug>
__global__ void stencil(float* y, float const* x, int steps) {
  __shared__ float cell[66];
  cell[threadIdx.x + 1] = x[threadIdx.x];
  if (threadIdx.x < 2) cell[65 * threadIdx.x] = 0;
  __syncthreads();
  for (int step = 0; step < steps; ++step) {
    float const next = 0.5f * (cell[threadIdx.x] + cell[threadIdx.x + 2]);  // [stencil: read]
    if (!Bug) __syncthreads();
    cell[threadIdx.x + 1] = next;  // [stencil: write]
    __syncthreads();
  }
  y[threadIdx.x] = cell[threadIdx.x + 1];
}

// The storage of a block reduction serves a second one.
template <bool Bug>
__global__ void centred(float* y, float const* x) {
  using reduction    = tile::block_reduce<64>;
  auto&       shared = arch::shared<reduction::storage>();
  float const v      = x[threadIdx.x];
  float const sum    = reduction{shared}(v, tile::plus{});
  if (!Bug) arch::sync_block();
  float const largest = reduction{shared}(v - sum / 64, tile::maximum{});
  y[threadIdx.x]      = (v - sum / 64) / largest;
}

// ---- 3: two writers -------------------------------------------------------------------------------------------------

template <bool Bug>
__global__ void last_above(int* last, float const* x, float limit) {
  __shared__ int found;
  if (threadIdx.x == 0) found = -1;
  __syncthreads();
  if (x[threadIdx.x] > limit) {
    if (Bug) found = static_cast<int>(threadIdx.x);  // [last_above: write]
    else atomicMax(&found, static_cast<int>(threadIdx.x));
  }
  __syncthreads();
  if (threadIdx.x == 0) *last = found;
}

struct row_storage {
  tile::shared_tile<float, 1, 64> row;
  tile::block_reduce<64>::storage sums;
  float                           total;
};

// Everyone stores the total that everyone has, into the one word.
template <bool Bug>
__global__ void total_of_row(float* y, float const* x) {
  auto& shared                                 = arch::shared<row_storage>();
  shared.row(0, static_cast<int>(threadIdx.x)) = x[threadIdx.x];
  float const sum                              = tile::block_reduce<64>{shared.sums}(x[threadIdx.x], tile::plus{});
  if (Bug || threadIdx.x == 0) shared.total = sum;  // [total_of_row: write]
  arch::sync_block();
  y[threadIdx.x] = shared.row(0, 63 - static_cast<int>(threadIdx.x)) / shared.total;
}

// 1 again, with tiles: the row is read across before everyone has stored it.
template <bool Bug>
__global__ void reversed_row(float* y, float const* x) {
  auto&     shared = arch::shared<row_storage>();
  int const t      = static_cast<int>(threadIdx.x);
  shared.row(0, t) = x[t];  // [reversed_row: write]
  if (!Bug) arch::sync_block();
  float const v = shared.row(0, 63 - t);  // [reversed_row: read]
  y[t]          = v / tile::block_reduce<64>{shared.sums}(v, tile::plus{});
}

// ---- 13: members that overlap ---------------------------------------------------------------------------------------

// One array, carved by hand: the sums begin in the middle of the tile.
template <bool Bug>
__global__ void carved(float* y, float const* x) {
  auto* const tile  = dynamic_shared<float>();
  auto* const sums  = tile + (Bug ? 32 : 64);
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  float v = tile[63 - threadIdx.x];  // [carved: read]
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(~0u, v, lanes);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = v;  // [carved: write]
  __syncthreads();
  y[threadIdx.x] = sums[0] + sums[1];
}

union either {
  tile::shared_tile<float, 1, 64> row;
  tile::block_reduce<64>::storage sums;
};

template <bool Bug>
__global__ void overlaid(float* y, float const* x) {
  auto&     shared = arch::shared<either>();
  int const t      = static_cast<int>(threadIdx.x);
  shared.row(0, t) = x[t];
  arch::sync_block();
  float const v = shared.row(0, 63 - t);  // [overlaid: read]
  if (!Bug) arch::sync_block();
  y[t] = v / tile::block_reduce<64>{shared.sums}(v, tile::plus{});
}

place const block_reduce_write{"shared.warp[arch::warp()] = v", "tile/reduce.cuh"};
place const block_reduce_read{"operation(all, shared.warp[w])", "tile/reduce.cuh"};

// A row of 64 in, a row of 64 out, by 64 threads.
template <void (*Bad)(float*, float const*), void (*Good)(float*, float const*)>
report row(check_options const& o, bool bug, std::size_t shared_bytes) {
  buffer<float> x(64, 1.f), y(64);
  return check(o, bug ? Bad : Good, 1, 64, shared_bytes, y.data(), x.data());
}

// clang-format off
planted_case const cases[] = {
    {1, "transpose", style::cuda, "read before the barrier",
     {{kind::read_after_write, "transpose: read", "transpose: write"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? transpose<true> : transpose<false>, 1, {8, 8}, 0, y.data(), x.data());
     }},
    {1, "reversed_row", style::tenon, "read before the barrier",
     {{kind::read_after_write, "reversed_row: read", "reversed_row: write"}},
     [](check_options const& o, bool bug) {
       return row<reversed_row<true>, reversed_row<false>>(o, bug, sizeof(row_storage));
     }},
    {2, "stencil", style::cuda, "overwritten before everyone has read",
     {{kind::write_after_read, "stencil: write", "stencil: read"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? stencil<true> : stencil<false>, 1, 64, 0, y.data(), x.data(), 3);
     }},
    {2, "centred", style::tenon, "storage of a block reduction used again at once",
     {{kind::write_after_read, block_reduce_write, block_reduce_read}, {kind::read_after_write, block_reduce_write, block_reduce_read}},
     [](check_options const& o, bool bug) { return row<centred<true>, centred<false>>(o, bug, 64); }},
    {3, "last_above", style::cuda, "two threads write one word",
     {{kind::write_after_write, "last_above: write", "last_above: write"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f);
       buffer<int>   last(1);
       return check(o, bug ? last_above<true> : last_above<false>, 1, 64, 0, last.data(), x.data(), 0.5f);
     }},
    {3, "total_of_row", style::tenon, "everyone writes the same value to one word",
     {{kind::write_after_write, "total_of_row: write", "total_of_row: write"}},
     [](check_options const& o, bool bug) {
       return row<total_of_row<true>, total_of_row<false>>(o, bug, sizeof(row_storage));
     }},
    {13, "carved", style::cuda, "two arrays overlap",
     {{kind::write_after_read, "carved: write", "carved: read"}},
     [](check_options const& o, bool bug) { return row<carved<true>, carved<false>>(o, bug, 66 * sizeof(float)); }},
    {13, "overlaid", style::tenon, "members of a union used at the same time",
     {{kind::write_after_read, block_reduce_write, "overlaid: read"}},
     [](check_options const& o, bool bug) { return row<overlaid<true>, overlaid<false>>(o, bug, sizeof(either)); }},
};
// clang-format on

}  // namespace

chapter const shared_races{__FILE__, cases};

}  // namespace planted_bugs
