//  Global memory: races between blocks, and semaphores that order nothing.
#include "planted_bugs.hpp"

#include <tenon/tile/reduce.cuh>

#include <vector>

namespace planted_bugs {
namespace {

// ---- 43: a semaphore without release and acquire --------------------------------------------------------------------

// The last block to arrive adds up what all have left: threadFenceReduction without its fence.
template <bool Bug>
__global__ void last_block_adds(float* total, float* partial, unsigned* arrived, float const* x) {
  __shared__ bool last;
  float           v = x[32 * blockIdx.x + threadIdx.x];
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(~0u, v, lanes);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = v;  // [last_block_adds: write]
    if (!Bug) __threadfence();
    last = atomicInc(arrived, gridDim.x - 1) == gridDim.x - 1;
    if (!Bug) __threadfence();
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += partial[i];  // [last_block_adds: read]
  *total = sum;
}

struct split_storage {
  tile::block_reduce<64>::storage sums;
  unsigned                        arrived;
};

// The parts of a split sum; the counter is relaxed where it should release and acquire.
template <bool Bug>
__global__ void split_sum(float* total, float* partial, unsigned* arrived, float const* x) {
  auto&       shared = arch::shared<split_storage>();
  float const sum    = tile::block_reduce<64>{shared.sums}(x[64 * blockIdx.x + threadIdx.x], tile::plus{});
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;  // [split_sum: write]
    shared.arrived      = Bug ? arch::atomic_add(arrived, 1u) : arch::atomic_add_ordered(arrived, 1u);
  }
  arch::sync_block();
  if (shared.arrived != gridDim.x - 1 || threadIdx.x != 0) return;
  float all = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) all += partial[i];  // [split_sum: read]
  *total = all;
}

// A flag raised without a release: the reader's acquire has nothing to acquire.
template <bool Bug>
__global__ void flagged(float* y, float* value, unsigned* flag) {
  if (threadIdx.x == 0) {
    *value = 9;  // [flagged: write]
    if (Bug) arch::atomic_exchange(flag, 1u);
    else arch::store_release(flag, 1u);
  }
  if (threadIdx.x == 32) {
    while (arch::load_acquire(flag) == 0) {
    }
    *y = *value;  // [flagged: read]
  }
}

// ---- 44: blocks race in global memory -------------------------------------------------------------------------------

template <bool Bug>
__global__ void block_sums(float* sum, float const* x) {
  float v = x[32 * blockIdx.x + threadIdx.x];
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(~0u, v, lanes);
  if (threadIdx.x != 0) return;
  if (Bug) *sum += v;  // [block_sums: update]
  else atomicAdd(sum, v);
}

// A stencil in place: the neighbour at the block's edge belongs to another block.
template <bool Bug>
__global__ void smooth(float* y, float* x, int n) {
  int const   i    = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  float const left = i > 0 ? x[i - 1] : 0, right = i + 1 < n ? x[i + 1] : 0;  // [smooth: read]
  arch::sync_block();
  (Bug ? x : y)[i] = 0.5f * (left + right);  // [smooth: write]
}

template <class Word>
report reduction(check_options const& o, void (*kernel)(float*, float*, Word*, float const*), unsigned threads,
                 std::size_t shared_bytes) {
  buffer<float> total(1), partial(4), x(4 * threads, 1.f);
  buffer<Word>  arrived(1, Word{});
  return check(o, kernel, 4, threads, shared_bytes, total.data(), partial.data(), arrived.data(), x.data());
}

// clang-format off
planted_case const cases[] = {
    {43, "last_block_adds", style::cuda, "no __threadfence around the counter",
     {{kind::read_after_write, "last_block_adds: read", "last_block_adds: write"}},
     [](check_options const& o, bool bug) {
       return reduction(o, bug ? last_block_adds<true> : last_block_adds<false>, 32, 0);
     }},
    {43, "split_sum", style::tenon, "a relaxed counter of finished parts",
     {{kind::read_after_write, "split_sum: read", "split_sum: write"}},
     [](check_options const& o, bool bug) {
       return reduction(o, bug ? split_sum<true> : split_sum<false>, 64, sizeof(split_storage));
     }},
    {43, "flagged", style::tenon, "a flag raised without a release",
     {{kind::read_after_write, "flagged: read", "flagged: write"}},
     [](check_options const& o, bool bug) {
       buffer<float>    y(1), value(1);
       buffer<unsigned> flag(1, 0u);
       return check(o, bug ? flagged<true> : flagged<false>, 1, 64, 0, y.data(), value.data(), flag.data());
     }},
    {44, "block_sums", style::cuda, "blocks add to one word without an atomic",
     {{kind::read_after_write, "block_sums: update", "block_sums: update"}},
     [](check_options const& o, bool bug) {
       buffer<float> sum(1, 0.f), x(128, 1.f);
       return check(o, bug ? block_sums<true> : block_sums<false>, 4, 32, 0, sum.data(), x.data());
     }},
    {44, "smooth", style::tenon, "a stencil in place over the edge of the block",
     {{kind::read_after_write, "smooth: read", "smooth: write"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(128, 1.f), y(128);
       return check(o, bug ? smooth<true> : smooth<false>, 2, 64, 0, y.data(), x.data(), 128);
     }},
};
// clang-format on

}  // namespace

chapter const global_memory{__FILE__, cases};

}  // namespace planted_bugs
