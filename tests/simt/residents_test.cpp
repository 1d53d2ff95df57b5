// Blocks that wait for each other: several on their way at a time.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#if TENON_CHECKED

namespace {

using namespace tenon;
using simt::schedule, simt::kind;

/// All blocks of the grid meet; every one is on its way.
template <bool Ordered>
__device__ void grid_barrier(unsigned* arrived) {
  __syncthreads();
  if (threadIdx.x == 0) {
    if (Ordered) {
      arch::atomic_add_ordered(arrived, 1);
      while (arch::load_acquire(arrived) < gridDim.x) {
      }
    } else {
      atomicAdd(arrived, 1);
      while (atomicAdd(arrived, 0) < gridDim.x) {
      }
    }
  }
  __syncthreads();
}

/// Two steps of a sum over the grid; partial sums stay in shared memory while the others are awaited.
template <bool Ordered>
__global__ void normalise(float* y, float* part, unsigned* arrived, float const* x) {
  __shared__ float kept[64];
  auto* const      mine = simt::dynamic_shared<float>();
  unsigned const   i    = blockIdx.x * blockDim.x + threadIdx.x;
  kept[threadIdx.x] = mine[threadIdx.x] = x[i];
  __syncthreads();
  if (threadIdx.x == 0) {
    float sum = 0;
    for (unsigned t = 0; t < blockDim.x; ++t) sum += mine[t];
    part[blockIdx.x] = sum;
  }
  grid_barrier<Ordered>(arrived);
  float total = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) total += part[b];
  y[i] = (kept[threadIdx.x] + mine[threadIdx.x]) / total;
}

constexpr unsigned blocks = 5, threads = 64;

template <bool Ordered>
simt::report run(simt::check_options const& options, std::vector<float>* values = nullptr) {
  std::vector<float> contents(blocks * threads);
  std::iota(contents.begin(), contents.end(), 1.f);
  simt::buffer<float>    x{std::span<float const>(contents)}, y(contents.size()), part(blocks);
  simt::buffer<unsigned> arrived(1, 0u);
  auto const found = simt::check(options, normalise<Ordered>, blocks, threads, threads * sizeof(float), y.data(),
                                 part.data(), arrived.data(), x.data());
  if (values) *values = y.values();
  return found;
}

TEST(residents, a_grid_barrier_is_passed) {
  for (auto const order :
       {schedule::in_order, schedule::reversed, schedule::warp_ahead, schedule::random, schedule::priorities}) {
    std::vector<float> y;
    EXPECT_TRUE(is_clean(run<true>({.seed = 4, .schedule = order, .resident_blocks = blocks}, &y)));
    float const total = blocks * threads * (blocks * threads + 1) / 2.f;
    for (std::size_t i = 0; i < y.size(); ++i) ASSERT_FLOAT_EQ(y[i], 2 * static_cast<float>(i + 1) / total);
  }
}
TEST(residents, one_after_the_other_they_wait_for_ever) {
  auto const found = run<true>({.seed = 4});
  EXPECT_TRUE(found.has(kind::deadlock)) << found;
  EXPECT_TRUE(run<true>({.seed = 4, .resident_blocks = blocks - 1}).has(kind::deadlock)) << "one is missing";
}
TEST(residents, a_barrier_without_order_is_a_race) {
  for (auto const order : {schedule::in_order, schedule::reversed, schedule::random})
    EXPECT_TRUE(run<false>({.seed = 4, .schedule = order, .resident_blocks = blocks}).has(kind::read_after_write));
}

/// Every block waits for the one after it, which an in-order run starts later.
__global__ void chain(unsigned* flag, unsigned* sum) {
  if (blockIdx.x + 1 < gridDim.x)
    while (arch::load_acquire(&flag[blockIdx.x + 1]) == 0) {
    }
  *sum += blockIdx.x;  // one at a time, in the order of the chain
  arch::store_release(&flag[blockIdx.x], 1u);
}
TEST(residents, a_chain_of_blocks) {
  for (auto const order : {schedule::in_order, schedule::reversed, schedule::random}) {
    simt::buffer<unsigned> flag(8, 0u), sum(1, 0u);
    EXPECT_TRUE(is_clean(
        simt::check({.seed = 2, .schedule = order, .resident_blocks = 8}, chain, 8, 1, 0, flag.data(), sum.data())));
    EXPECT_EQ(sum.values()[0], 28u);
  }
}

/// Two blocks wait for each other at barriers of their own.
__global__ void crossed(unsigned* flag) {
  while (arch::load_acquire(&flag[1 - blockIdx.x]) == 0) {
  }
  arch::store_release(&flag[blockIdx.x], 1u);
}
TEST(residents, a_deadlock_between_blocks_is_told) {
  simt::buffer<unsigned> flag(2, 0u);
  EXPECT_TRUE(reports(simt::check({.resident_blocks = 2}, crossed, 2, 32, 0, flag.data()), kind::deadlock));
}

}  // namespace

#endif
