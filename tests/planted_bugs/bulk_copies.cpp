//  Bulk stores: the proxy fence before them, the waits behind them. CUDA has them as PTX only, so the plain kernels use
//  arch:: for them.
#include "planted_bugs.hpp"

#include <tenon/tile/swizzle.cuh>

namespace planted_bugs {
namespace {

// ---- 34: no proxy fence before the store ----------------------------------------------------------------------------

template <bool Bug>
__global__ void store_row(float* y, float const* x) {
  alignas(128) __shared__ float row[64];
  row[threadIdx.x] = 2 * x[threadIdx.x];  // [store_row: write]
  if (!Bug) arch::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    arch::bulk_store(y, row, sizeof row);  // [store_row: store]
    arch::bulk_commit();
    arch::bulk_wait<0>();
  }
}

// The fence stands in the loop over the tiles, and there may be none.
template <bool Bug>
__global__ void state_of_sequence(float* y, float const* x, int tiles) {
  auto&     state = arch::shared<tile::shared_tile<float, 1, 64>>();
  int const t     = static_cast<int>(threadIdx.x);
  state(0, t)     = 0;  // [state_of_sequence: clear]
  if (!Bug) arch::fence_proxy_async();
  for (int i = 0; i < tiles; ++i) {
    state(0, t) += x[64 * i + t];
    arch::fence_proxy_async();
  }
  arch::sync_block();
  if (t == 0) {
    arch::bulk_store(y, state.element, sizeof state.element);  // [state_of_sequence: store]
    arch::bulk_commit();
    arch::bulk_wait<0>();
  }
}

// ---- 35: the source is written again before it has been read --------------------------------------------------------

template <bool Bug>
__global__ void rows_through_one_stage(float* y, float const* x, int rows) {
  alignas(128) __shared__ float stage[64];
  for (int i = 0; i < rows; ++i) {
    stage[threadIdx.x] = x[64 * i + static_cast<int>(threadIdx.x)];  // [rows_through_one_stage: write]
    arch::fence_proxy_async();
    __syncthreads();
    if (threadIdx.x == 0) {
      arch::bulk_store(y + 64 * i, stage, sizeof stage);  // [rows_through_one_stage: store]
      arch::bulk_commit();
      if (!Bug) arch::bulk_wait_read<0>();
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) arch::bulk_wait<0>();
}

struct two_stages {
  tile::shared_tile<float, 1, 64> stage[2];
};

// Two stages, but the wait lets two stores stay unread.
template <bool Bug>
__global__ void rows_through_two_stages(float* y, float const* x, int rows) {
  auto&     shared = arch::shared<two_stages>();
  int const t      = static_cast<int>(threadIdx.x);
  for (int i = 0; i < rows; ++i) {
    auto& stage = shared.stage[i % 2];
    stage(0, t) = x[64 * i + t];  // [rows_through_two_stages: write]
    arch::fence_proxy_async();
    arch::sync_block();
    if (t == 0) {
      arch::bulk_store(y + 64 * i, stage.element, sizeof stage.element);  // [rows_through_two_stages: store]
      arch::bulk_commit();
      if (Bug) arch::bulk_wait_read<2>();
      else arch::bulk_wait_read<1>();
    }
    arch::sync_block();
  }
  if (t == 0) arch::bulk_wait<0>();
}

// ---- 36: nobody waits for the store ---------------------------------------------------------------------------------

template <bool Bug>
__global__ void store_and_leave(float* y, float const* x) {
  alignas(128) __shared__ float row[64];
  row[threadIdx.x] = x[threadIdx.x];
  arch::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x != 0) return;
  arch::bulk_store(y, row, sizeof row);  // [store_and_leave: store]
  arch::bulk_commit();
  if (!Bug) arch::bulk_wait_read<0>();
}

// The source has been read, but the output is not yet there.
template <bool Bug>
__global__ void store_and_look(float* y, float const* x, float* first) {
  auto&     row = arch::shared<tile::shared_tile<float, 1, 64>>();
  int const t   = static_cast<int>(threadIdx.x);
  row(0, t)     = x[t];
  arch::fence_proxy_async();
  arch::sync_block();
  if (t != 0) return;
  arch::bulk_store(y, row.element, sizeof row.element);  // [store_and_look: store]
  arch::bulk_commit();
  if (Bug) arch::bulk_wait_read<0>();
  else arch::bulk_wait<0>();
  *first = y[0];  // [store_and_look: read]
}

using row_kernel  = void (*)(float*, float const*);
using rows_kernel = void (*)(float*, float const*, int);

report run(check_options const& o, row_kernel kernel) {
  buffer<float> x(64, 1.f), y(64);
  return check(o, kernel, 1, 64, 0, y.data(), x.data());
}
report run(check_options const& o, rows_kernel kernel, int rows, std::size_t shared_bytes) {
  buffer<float> x(256, 1.f), y(256);
  return check(o, kernel, 1, 64, shared_bytes, y.data(), x.data(), rows);
}

// clang-format off
planted_case const cases[] = {
    {34, "store_row", style::cuda, "no proxy fence between the writes and the store",
     {{kind::missing_proxy_fence, "store_row: store", "store_row: write"}},
     [](check_options const& o, bool bug) { return run(o, bug ? store_row<true> : store_row<false>); },
     copies::asynchronous},
    {34, "state_of_sequence", style::tenon, "the proxy fence stands in a loop that does not run",
     {{kind::missing_proxy_fence, "state_of_sequence: store", "state_of_sequence: clear"}},
     [](check_options const& o, bool bug) {
       return run(o, bug ? state_of_sequence<true> : state_of_sequence<false>, 0, 256);
     },
     copies::asynchronous},
    {35, "rows_through_one_stage", style::cuda, "the stage is written while a store may read it",
     {{kind::unwaited_copy, "rows_through_one_stage: write", "rows_through_one_stage: store"}},
     [](check_options const& o, bool bug) {
       return run(o, bug ? rows_through_one_stage<true> : rows_through_one_stage<false>, 4, 0);
     },
     copies::asynchronous},
    {35, "rows_through_two_stages", style::tenon, "the wait leaves one store too many",
     {{kind::unwaited_copy, "rows_through_two_stages: write", "rows_through_two_stages: store"}},
     [](check_options const& o, bool bug) {
       return run(o, bug ? rows_through_two_stages<true> : rows_through_two_stages<false>, 4, sizeof(two_stages));
     },
     copies::asynchronous},
    {36, "store_and_leave", style::cuda, "the block ends while a store reads its memory",
     {{kind::unwaited_copy, "store_and_leave: store"}},
     [](check_options const& o, bool bug) { return run(o, bug ? store_and_leave<true> : store_and_leave<false>); },
     copies::asynchronous},
    {36, "store_and_look", style::tenon, "the output is read before it is there",
     {{kind::unwaited_copy, "store_and_look: read", "store_and_look: store"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64), first(1);
       return check(o, bug ? store_and_look<true> : store_and_look<false>, 1, 64, 256, y.data(), x.data(),
                    first.data());
     },
     copies::asynchronous},
};
// clang-format on

}  // namespace

chapter const bulk_copies{__FILE__, cases};

}  // namespace planted_bugs
