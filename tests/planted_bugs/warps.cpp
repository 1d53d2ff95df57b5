//  Lanes of a warp: what orders their memory, what they must agree on; and block barriers in branches.
#include "planted_bugs.hpp"

#include <tenon/tile/mma.cuh>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/swizzle.cuh>

#include <cstdint>

namespace planted_bugs {
namespace {

// ---- 4: lanes do not run in lock-step -------------------------------------------------------------------------------

template <bool Bug>
__global__ void swap_neighbours(float* y, float const* x) {
  __shared__ float pair[64];
  pair[threadIdx.x] = x[threadIdx.x];  // [swap_neighbours: write]
  if (!Bug) __syncwarp();
  y[threadIdx.x] = pair[threadIdx.x ^ 1];  // [swap_neighbours: read]
}

// Every lane stores a row of the tile, then the warp reads fragments of it.
template <bool Bug>
__global__ void fragment_of_rows(float* y, bf16 const* x) {
  auto&     tile = arch::shared<tile::shared_tile<bf16, 16, 16>>();
  int const lane = arch::lane();
  arch::store<8>(tile.chunk(lane / 2, lane % 2), arch::load<8>(x + 8 * lane));  // [fragment_of_rows: write]
  if (!Bug) arch::sync_warp();
  std::uint32_t a[4];
  arch::ldmatrix(a, tile.chunk(lane % 16, lane / 16));  // [fragment_of_rows: read]
  y[lane] = static_cast<float>(a[0] ^ a[1] ^ a[2] ^ a[3]);
}

// ---- 5: a shuffle or a vote orders no memory ------------------------------------------------------------------------

// Lane 0 reserves room for the warp; everyone takes a place in it.
template <bool Bug>
__global__ void append(int* out, int* count, float const* x) {
  __shared__ int first[2];
  bool const     wanted = x[threadIdx.x] > 0;
  unsigned const votes  = __ballot_sync(~0u, wanted);
  unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0) first[warp] = atomicAdd(count, __popc(votes));  // [append: write]
  int const own = __popc(__ballot_sync(~0u, wanted) & ((1u << lane) - 1));
  if (!Bug) __syncwarp();
  if (wanted) out[first[warp] + own] = static_cast<int>(threadIdx.x);  // [append: read]
}

// The reduction's shuffles are taken for a barrier.
template <bool Bug>
__global__ void scaled_by_first(float* y, float const* x) {
  auto&       scale = arch::shared<float>();
  float const v     = x[threadIdx.x];
  if (threadIdx.x == 0) scale = v;  // [scaled_by_first: write]
  float const sum = tile::warp_reduce(v, tile::plus{});
  if (!Bug) arch::sync_warp();
  y[threadIdx.x] = sum * scale;  // [scaled_by_first: read]
}

// ---- 6: block barriers in a branch ----------------------------------------------------------------------------------

template <bool Bug>
__global__ void roles(float* y, float const* x) {
  __shared__ float row[64];
  if (threadIdx.x < 32) {
    row[threadIdx.x] = x[threadIdx.x];
    if (Bug) __syncthreads();  // [roles: first]
  } else {
    row[threadIdx.x] = 2 * x[threadIdx.x];
    if (Bug) __syncthreads();  // [roles: second]
  }
  if (!Bug) __syncthreads();
  y[threadIdx.x] = row[63 - threadIdx.x];
}

// The second warp has one tile less, and so one barrier less.
template <bool Bug>
__global__ void uneven_loop(float* y, float const* x) {
  auto&     row   = arch::shared<tile::shared_tile<float, 1, 64>>();
  int const t     = static_cast<int>(threadIdx.x);
  int const tiles = Bug && arch::warp() == 1 ? 2 : 3;
  float     sum   = 0;
  for (int i = 0; i < tiles; ++i) {
    row(0, t) = x[t];
    arch::sync_block();  // [uneven_loop: inside]
    sum += row(0, 63 - t);
    arch::sync_block();
  }
  row(0, t) = sum;
  arch::sync_block();  // [uneven_loop: behind]
  y[t] = row(0, 63 - t);
}

// ---- 7: lanes disagree on a collective ------------------------------------------------------------------------------

template <bool Bug>
__global__ void half_sums(float* y, float const* x) {
  float v = x[threadIdx.x];
  if (!Bug || threadIdx.x % 32 < 16) v += __shfl_xor_sync(~0u, v, 1);  // [half_sums: first]
  else v += __shfl_down_sync(~0u, v, 1);                               // [half_sums: second]
  y[threadIdx.x] = v;
}

template <bool Bug>
__global__ void product_in_a_branch(float* y) {
  tile::fragment_a a{};
  tile::fragment_b b{};
  float            d[4] = {};
  if (!Bug || arch::lane() < 8) arch::mma_m16n8k16<bf16>(d, a.r, b.r);  // [product_in_a_branch: first]
  else arch::mma_m16n8k16<bf16>(d, a.r, b.r);                           // [product_in_a_branch: second]
  y[threadIdx.x] = d[0];
}

// ---- 8: wrong masks -------------------------------------------------------------------------------------------------

// Only some lanes come in, but the mask names all of them.
template <bool Bug>
__global__ void sum_of_some(float* y, float const* x, unsigned n) {
  float          v  = threadIdx.x < n ? x[threadIdx.x] : 0;
  unsigned const in = __ballot_sync(~0u, threadIdx.x < n);
  if (threadIdx.x < n) v += __shfl_xor_sync(Bug ? ~0u : in, v, 1);  // [sum_of_some: shuffle]
  __syncwarp();                                                     // [sum_of_some: barrier]
  y[threadIdx.x] = v;
}

// The upper half shuffles under the lower half's mask.
template <bool Bug>
__global__ void half_warps(float* y, float const* x) {
  float v = x[threadIdx.x];
  if (arch::lane() >= 16) v = arch::shuffle_xor(v, 1, Bug ? 0x0000ffffu : 0xffff0000u);  // [half_warps: shuffle]
  y[threadIdx.x] = v;
}

// ---- 9: lanes that have returned ------------------------------------------------------------------------------------

template <bool Bug>
__global__ void early_return(float* y, float const* x, unsigned n) {
  if (Bug && threadIdx.x >= n) return;
  float v = threadIdx.x < n ? x[threadIdx.x] : 0;
  for (int lanes = 16; lanes > 0; lanes /= 2)
    v += __shfl_down_sync(~0u, v, static_cast<unsigned>(lanes));  // [early_return: shuffle]
  if (threadIdx.x == 0) *y = v;
}

template <bool Bug>
__global__ void early_return_before_ldmatrix(float* y, bf16 const* x, int rows) {
  auto&     tile = arch::shared<tile::shared_tile<bf16, 16, 16>>();
  int const lane = arch::lane();
  arch::store<8>(tile.chunk(lane / 2, lane % 2), arch::load<8>(x + 8 * lane));
  arch::sync_warp();
  if (Bug && lane >= 2 * rows) return;
  std::uint32_t a[4];
  arch::ldmatrix(a, tile.chunk(lane % 16, lane / 16));  // [early_return_before_ldmatrix: load]
  y[lane] = Bug ? 0 : static_cast<float>(a[0] ^ a[1] ^ a[2] ^ a[3]);
}

template <void (*Bad)(float*, float const*), void (*Good)(float*, float const*)>
report row(check_options const& o, bool bug, unsigned threads, std::size_t shared_bytes = 0) {
  buffer<float> x(threads, 1.f), y(threads);
  return check(o, bug ? Bad : Good, 1, threads, shared_bytes, y.data(), x.data());
}

// clang-format off
planted_case const cases[] = {
    {4, "swap_neighbours", style::cuda, "no __syncwarp between a write and a read",
     {{kind::read_after_write, "swap_neighbours: read", "swap_neighbours: write"}},
     [](check_options const& o, bool bug) { return row<swap_neighbours<true>, swap_neighbours<false>>(o, bug, 64); }},
    {4, "fragment_of_rows", style::tenon, "ldmatrix of rows that other lanes have just stored",
     {{kind::read_after_write, "fragment_of_rows: read", "fragment_of_rows: write"}},
     [](check_options const& o, bool bug) {
       buffer<bf16>  x(256, bf16(1.f));
       buffer<float> y(32);
       return check(o, bug ? fragment_of_rows<true> : fragment_of_rows<false>, 1, 32, 512, y.data(), x.data());
     }},
    {5, "append", style::cuda, "a vote taken for a barrier",
     {{kind::read_after_write, "append: read", "append: write"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f);
       buffer<int>   out(64), count(1, 0);
       return check(o, bug ? append<true> : append<false>, 1, 64, 0, out.data(), count.data(), x.data());
     }},
    {5, "scaled_by_first", style::tenon, "the shuffles of a reduction taken for a barrier",
     {{kind::read_after_write, "scaled_by_first: read", "scaled_by_first: write"}},
     [](check_options const& o, bool bug) {
       return row<scaled_by_first<true>, scaled_by_first<false>>(o, bug, 32, 4);
     }},
    {6, "roles", style::cuda, "a barrier in each branch",
     {{kind::divergent_barrier, "roles: first", "roles: second"}},
     [](check_options const& o, bool bug) { return row<roles<true>, roles<false>>(o, bug, 64); }},
    {6, "uneven_loop", style::tenon, "a barrier in a loop that warps leave at different times",
     {{kind::divergent_barrier, "uneven_loop: inside", "uneven_loop: behind"}},
     [](check_options const& o, bool bug) { return row<uneven_loop<true>, uneven_loop<false>>(o, bug, 64, 256); }},
    {7, "half_sums", style::cuda, "lanes execute different shuffles",
     {{kind::divergent_collective, "half_sums: first", "half_sums: second"}},
     [](check_options const& o, bool bug) { return row<half_sums<true>, half_sums<false>>(o, bug, 32); }},
    {7, "product_in_a_branch", style::tenon, "a diverged warp reaches an mma",
     {{kind::divergent_collective, "product_in_a_branch: first", "product_in_a_branch: second"}},
     [](check_options const& o, bool bug) {
       buffer<float> y(32);
       return check(o, bug ? product_in_a_branch<true> : product_in_a_branch<false>, 1, 32, 0, y.data());
     }},
    {8, "sum_of_some", style::cuda, "the mask names lanes that do not come",
     {{kind::divergent_collective, "sum_of_some: shuffle", "sum_of_some: barrier"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(32, 1.f), y(32);
       return check(o, bug ? sum_of_some<true> : sum_of_some<false>, 1, 32, 0, y.data(), x.data(), 20u);
     }},
    {8, "half_warps", style::tenon, "a lane is not in its own mask",
     {{kind::divergent_collective, "half_warps: shuffle"}},
     [](check_options const& o, bool bug) { return row<half_warps<true>, half_warps<false>>(o, bug, 32); }},
    {9, "early_return", style::cuda, "a shuffle reads lanes that have returned",
     {{kind::divergent_collective, "early_return: shuffle"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(32, 1.f), y(1);
       return check(o, bug ? early_return<true> : early_return<false>, 1, 32, 0, y.data(), x.data(), 20u);
     }},
    {9, "early_return_before_ldmatrix", style::tenon, "lanes have returned before an ldmatrix",
     {{kind::divergent_collective, "early_return_before_ldmatrix: load"}},
     [](check_options const& o, bool bug) {
       buffer<bf16>  x(256, bf16(1.f));
       buffer<float> y(32);
       return check(o, bug ? early_return_before_ldmatrix<true> : early_return_before_ldmatrix<false>, 1, 32, 512,
                    y.data(), x.data(), 12);
     }},
};
// clang-format on

}  // namespace

chapter const warps{__FILE__, cases};

}  // namespace planted_bugs
