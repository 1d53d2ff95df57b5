//  cp.async: waits, barriers behind them, sizes. CUDA has it as PTX only, so the plain kernels use arch:: for it.
#include "planted_bugs.hpp"

#include <tenon/core/tensor_view.hpp>
#include <tenon/tile/copy.cuh>

namespace planted_bugs {
namespace {

// ---- 19, 20: waits in a pipeline of two stages ----------------------------------------------------------------------

enum class waits { good, none, one_too_few };

// Every thread reads what it has copied itself, one stage behind.
template <waits Wait>
__global__ void pipelined_sum(float* y, float const* x, int tiles) {
  __shared__ float stage[2][64];
  unsigned const   t   = threadIdx.x;
  float            sum = 0;
  arch::cp_async<4>(&stage[0][t], x + t);  // [pipelined_sum: first copy]
  arch::cp_async_commit();
  for (int i = 0; i < tiles; ++i) {
    if (i + 1 < tiles) arch::cp_async<4>(&stage[(i + 1) % 2][t], x + 64 * (i + 1) + t);  // [pipelined_sum: copy]
    arch::cp_async_commit();
    if (Wait == waits::good) arch::cp_async_wait<1>();
    if (Wait == waits::one_too_few) arch::cp_async_wait<2>();
    sum += stage[i % 2][t];  // [pipelined_sum: read]
  }
  arch::cp_async_wait<0>();
  y[t] = sum;
}

struct two_tiles {
  tile::shared_tile<float, 8, 8> stage[2];
};

// A tile per stage; the last stage waits for the group before it only.
template <waits Wait>
__global__ void two_tiles_kernel(float* y, tensor_view<float const, 2> x) {
  auto&     shared = arch::shared<two_tiles>();
  int const t      = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 2; ++i) {
    tile::copy_async<64>(shared.stage[i], x, 0, 8 * i, t);
    arch::cp_async_commit();
  }
  if (Wait == waits::good) arch::cp_async_wait<0>();
  if (Wait == waits::one_too_few) arch::cp_async_wait<1>();
  arch::sync_block();
  y[t] = shared.stage[0](t / 8, t % 8) * shared.stage[1](t / 8, t % 8);  // [two_tiles_kernel: read]
  arch::cp_async_wait<0>();
}

// ---- 21: a wait serves the thread that copied, and nobody else ------------------------------------------------------

template <bool Bug>
__global__ void reversed_copy(float* y, float const* x) {
  __shared__ float row[64];
  unsigned const   t = threadIdx.x;
  arch::cp_async<4>(&row[t], x + t);  // [reversed_copy: copy]
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  if (!Bug) __syncthreads();
  y[t] = row[63 - t];  // [reversed_copy: read]
}

// The barrier stands before the wait instead of behind it.
template <bool Bug>
__global__ void transposed_tile(float* y, tensor_view<float const, 2> x) {
  auto&     tile = arch::shared<tile::shared_tile<float, 8, 8>>();
  int const t    = static_cast<int>(threadIdx.x);
  tile::copy_async<64>(tile, x, 0, 0, t);
  arch::cp_async_commit();
  if (Bug) arch::sync_block();
  arch::cp_async_wait<0>();
  if (!Bug) arch::sync_block();
  y[t] = tile(t % 8, t / 8);  // [transposed_tile: read]
}

// ---- 23: how much of the source there is ----------------------------------------------------------------------------

template <bool Bug>
__global__ void copied_tail(float* y, float const* x, int n) {
  __shared__ float4 row[32];
  int const         first = 4 * static_cast<int>(threadIdx.x), left = 4 * (n - first);
  arch::cp_async<16>(&row[threadIdx.x], x + first, Bug || left > 16 ? 16 : left < 0 ? 0 : left);  // [copied_tail: copy]
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  auto const* const own = reinterpret_cast<float const*>(&row[threadIdx.x]);
  for (int i = first; i < first + 4; ++i)
    if (i < n) y[i] = own[i - first];
}

// Columns that are left, in whole chunks: rounded up, so the last row's copy goes beyond the matrix.
template <bool Bug>
__global__ void whole_chunks(float* y, float const* x, int rows, int columns) {
  auto&             tile = arch::shared<tile::shared_tile<float, 8, 8>>();
  int const         row = static_cast<int>(threadIdx.x) / 2, chunk = static_cast<int>(threadIdx.x) % 2;
  int const         left  = min(max(columns - 4 * chunk, 0), 4);
  int const         bytes = row >= rows ? 0 : Bug ? (left > 0 ? 16 : 0) : 4 * left;
  auto const* const from  = bytes > 0 ? x + 8 * row + 4 * chunk : x;
  arch::cp_async<16>(tile.chunk(row, chunk), from, bytes);  // [whole_chunks: copy]
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  arch::sync_block();
  for (int i = 0; i < 4; ++i) y[4 * threadIdx.x + static_cast<unsigned>(i)] = tile(row, 4 * chunk + i);
}

tensor_view<float const, 2> matrix(buffer<float> const& x, index_t rows, index_t columns) {
  return {x.data(), {rows, columns}, {columns, 1}};
}

template <waits Bad>
report sum_of_tiles(check_options const& o, bool bug) {
  buffer<float> x(256, 1.f), y(64);
  return check(o, bug ? pipelined_sum<Bad> : pipelined_sum<waits::good>, 1, 64, 0, y.data(), x.data(), 4);
}
template <waits Bad>
report product_of_tiles(check_options const& o, bool bug) {
  buffer<float> x(128, 1.f), y(64);
  return check(o, bug ? two_tiles_kernel<Bad> : two_tiles_kernel<waits::good>, 1, 64, sizeof(two_tiles), y.data(),
               matrix(x, 8, 16));
}

place const tile_copy{"arch::cp_async<16>(to.chunk(r + i, c)", "tile/copy.cuh"};

// clang-format off
planted_case const cases[] = {
    {19, "pipelined_sum", style::cuda, "copies are read without a wait",
     {{kind::unwaited_copy, "pipelined_sum: read", "pipelined_sum: first copy"}},
     sum_of_tiles<waits::none>,
     copies::asynchronous},
    {19, "two_tiles_kernel", style::tenon, "tiles are read without a wait",
     {{kind::unwaited_copy, "two_tiles_kernel: read", tile_copy}},
     product_of_tiles<waits::none>,
     copies::asynchronous},
    {20, "pipelined_sum", style::cuda, "the wait leaves one group too many",
     {{kind::unwaited_copy, "pipelined_sum: read", "pipelined_sum: first copy"}},
     sum_of_tiles<waits::one_too_few>,
     copies::asynchronous},
    {20, "two_tiles_kernel", style::tenon, "the last wait leaves the last group",
     {{kind::unwaited_copy, "two_tiles_kernel: read", tile_copy}},
     product_of_tiles<waits::one_too_few>,
     copies::asynchronous},
    {21, "reversed_copy", style::cuda, "a wait, but no barrier behind it",
     {{kind::read_after_write, "reversed_copy: read", "reversed_copy: copy"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? reversed_copy<true> : reversed_copy<false>, 1, 64, 0, y.data(), x.data());
     },
     copies::asynchronous},
    {21, "transposed_tile", style::tenon, "the barrier stands before the wait",
     {{kind::read_after_write, "transposed_tile: read", tile_copy}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? transposed_tile<true> : transposed_tile<false>, 1, 64, 256, y.data(), matrix(x, 8, 8));
     },
     copies::asynchronous},
    {23, "copied_tail", style::cuda, "the last copy takes 16 bytes where fewer are left",
     {{kind::out_of_bounds, "copied_tail: copy"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(102, 1.f), y(102);
       return check(o, bug ? copied_tail<true> : copied_tail<false>, 1, 32, 0, y.data(), x.data(), 102);
     },
     copies::asynchronous},
    {23, "whole_chunks", style::tenon, "the bytes that are left, rounded up",
     {{kind::out_of_bounds, "whole_chunks: copy"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(8 * 8 - 2, 1.f), y(64);
       return check(o, bug ? whole_chunks<true> : whole_chunks<false>, 1, 16, 256, y.data(), x.data(), 8, 6);
     },
     copies::asynchronous},
};
// clang-format on

}  // namespace

chapter const asynchronous_copies{__FILE__, cases};

}  // namespace planted_bugs
