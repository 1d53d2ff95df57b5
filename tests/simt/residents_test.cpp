// What blocks have in common: several on their way at a time, that wait for each other; the program's __device__ variables.
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

/// As older code has it: a volatile flag, and a fence on both sides or not.
template <bool Fenced>
__global__ void hand_over(float* y, float* value, unsigned volatile* flag) {
  if (blockIdx.x == 0) {
    *value = 3;
    if (Fenced) __threadfence();
    *flag = 1;
  } else {
    while (*flag == 0) {
    }
    if (Fenced) __threadfence();
    *y = *value;
  }
}
template <bool Fenced>
simt::report run_hand_over(schedule order, float* y = nullptr) {
  simt::buffer<float>    out(1), value(1);
  simt::buffer<unsigned> flag(1, 0u);
  auto const found = simt::check({.seed = 2, .schedule = order, .resident_blocks = 2}, hand_over<Fenced>, 2, 1, 0,
                                 out.data(), value.data(), flag.data());
  if (y) *y = out.values()[0];
  return found;
}
TEST(residents, a_volatile_flag_needs_fences) {
  for (auto const order : {schedule::in_order, schedule::reversed, schedule::random}) {
    float y = 0;
    EXPECT_TRUE(is_clean(run_hand_over<true>(order, &y)));
    EXPECT_EQ(y, 3.f);
    EXPECT_TRUE(run_hand_over<false>(order).has(kind::read_after_write));
  }
}

/// A spin in shared memory ends, one way or the other.
__global__ void spin(unsigned* y, bool set) {
  __shared__ unsigned volatile flag;
  if (threadIdx.x == 0) flag = 0;
  __syncthreads();
  if (threadIdx.x == 33) {
    while (flag == 0) {
    }
    *y = 1;
  } else if (threadIdx.x == 0 && set) {
    flag = 1;
  }
}
TEST(residents, a_spin_that_nobody_ends_is_a_deadlock) {
  simt::buffer<unsigned> y(1);
  EXPECT_TRUE(simt::check({}, spin, 1, 64, 0, y.data(), false).has(kind::deadlock));
  auto const found = simt::check({}, spin, 1, 64, 0, y.data(), true);
  EXPECT_FALSE(found.has(kind::deadlock)) << found;
  EXPECT_TRUE(found.has(kind::read_after_write)) << "nothing orders the flag in shared memory";
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

namespace counted {
struct tally {
  unsigned calls, last[2];
};
__device__ tally      seen;
__constant__ unsigned weight = 2;
}  // namespace counted

namespace {

template <bool Atomic>
__global__ void count_calls() {
  if (Atomic) atomicAdd(&counted::seen.calls, counted::weight);
  else counted::seen.last[1] += counted::weight;
}
TEST(variables, of_the_device_are_watched) {
  EXPECT_TRUE(is_clean(simt::check({}, count_calls<true>, 3, 64, 0)));
  EXPECT_EQ(counted::seen.calls, 3u * 64 * 2);
  auto const found = simt::check({}, count_calls<false>, 3, 64, 0);
  ASSERT_FALSE(found.clean());
  EXPECT_EQ(found.findings[0].what, kind::read_after_write);
  EXPECT_NE(found.findings[0].bytes.find("seen.last[1]"), std::string::npos) << found;
}

}  // namespace

#endif
