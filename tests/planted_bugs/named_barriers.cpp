//  Named barriers: their counts and their numbers. CUDA has them as PTX only, so the plain kernels use arch:: for them.
#include "planted_bugs.hpp"

#include <tenon/tile/swizzle.cuh>

namespace planted_bugs {
namespace {

// ---- 10: wrong counts -----------------------------------------------------------------------------------------------

// One warp hands a row to two; the barrier counts one of them.
template <bool Bug>
__global__ void hand_over(float* y, float const* x) {
  __shared__ float row[32];
  constexpr int    threads = Bug ? 64 : 96;
  if (threadIdx.x < 32) {
    row[threadIdx.x] = x[threadIdx.x];
    arch::arrive_named(1, threads);  // [hand_over: arrive]
  } else {
    arch::sync_named(1, threads);  // [hand_over: wait]
    y[threadIdx.x - 32] = row[31 - threadIdx.x % 32];
  }
}

// Who arrives and who waits do not agree on the count.
template <bool Bug>
__global__ void two_counts(float* y, float const* x) {
  auto&     row = arch::shared<tile::shared_tile<float, 1, 64>>();
  int const t   = static_cast<int>(threadIdx.x);
  if (arch::warp() < 2) {
    row(0, t) = x[t];
    arch::arrive_named(1, 96);  // [two_counts: arrive]
  } else {
    arch::sync_named(1, Bug ? 64 : 96);  // [two_counts: wait]
    y[arch::lane()] = row(0, 31 - arch::lane()) + row(0, 63 - arch::lane());
  }
}

// ---- 11: one number for two barriers --------------------------------------------------------------------------------

// Two pairs of warps, each with a row of its own, and one barrier between them.
template <bool Bug>
__global__ void two_pairs(float* y, float const* x) {
  __shared__ float row[128];
  unsigned const   pair = threadIdx.x / 64;
  row[threadIdx.x]      = x[threadIdx.x];
  arch::sync_named(Bug ? 1 : 1 + static_cast<int>(pair), 64);  // [two_pairs: barrier]
  y[threadIdx.x] = row[threadIdx.x ^ 63];
}

// The barrier of everyone has the number of the second pair's.
template <bool Bug>
__global__ void pairs_then_all(float* y, float const* x) {
  auto&         row = arch::shared<tile::shared_tile<float, 1, 128>>();
  constexpr int all = Bug ? 2 : 3;
  int const     t = static_cast<int>(threadIdx.x), pair = t / 64;
  row(0, t) = x[t];
  arch::sync_named(1 + pair, 64);  // [pairs_then_all: pair]
  float const other = row(0, t ^ 63);
  arch::sync_named(all, 128);  // [pairs_then_all: all]
  row(0, t) = other;
  arch::sync_named(all, 128);
  y[t] = row(0, 127 - t);
}

template <void (*Bad)(float*, float const*), void (*Good)(float*, float const*)>
report row(check_options const& o, bool bug, unsigned threads, std::size_t shared_bytes = 0) {
  buffer<float> x(128, 1.f), y(128);
  return check(o, bug ? Bad : Good, 1, threads, shared_bytes, y.data(), x.data());
}

// clang-format off
planted_case const cases[] = {
    {10, "hand_over", style::cuda, "the barrier counts fewer threads than come",
     {{kind::barrier_misuse, "hand_over: wait"}},
     [](check_options const& o, bool bug) { return row<hand_over<true>, hand_over<false>>(o, bug, 96); }},
    {10, "two_counts", style::tenon, "two counts for one barrier",
     {{kind::barrier_misuse, "two_counts: wait", "two_counts: arrive"}},
     [](check_options const& o, bool bug) { return row<two_counts<true>, two_counts<false>>(o, bug, 96, 256); }},
    {11, "two_pairs", style::cuda, "two pairs of warps meet at one barrier",
     {{kind::barrier_misuse, "two_pairs: barrier", "two_pairs: barrier"}},
     [](check_options const& o, bool bug) { return row<two_pairs<true>, two_pairs<false>>(o, bug, 128); }},
    {11, "pairs_then_all", style::tenon, "the barrier of everyone has the number of a pair's",
     {{kind::barrier_misuse, "pairs_then_all: pair", "pairs_then_all: all"}},
     [](check_options const& o, bool bug) { return row<pairs_then_all<true>, pairs_then_all<false>>(o, bug, 128, 512); }},
};
// clang-format on

}  // namespace

chapter const named_barriers{__FILE__, cases};

}  // namespace planted_bugs
