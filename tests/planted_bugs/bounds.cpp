//  Bounds, initialisation and alignment of shared and global memory.
#include "planted_bugs.hpp"

#include <tenon/tile/reduce.cuh>
#include <tenon/tile/swizzle.cuh>

#include <algorithm>
#include <cstdint>

namespace planted_bugs {
namespace {

// ---- 12: shared memory ends -----------------------------------------------------------------------------------------

// Room for the row, but not for the halo beside it.
template <bool Bug>
__global__ void blur(float* y, float const* x, unsigned n) {
  auto* const    cell = dynamic_shared<float>();
  unsigned const t    = threadIdx.x;
  cell[t + 1]         = x[t];  // [blur: write]
  if (t == 0) cell[0] = 0;
  if (t == n - 1 && !Bug) cell[n + 1] = 0;
  __syncthreads();
  y[t] = Bug ? cell[t] : cell[t] + cell[t + 1] + cell[t + 2];
}

struct stages {
  tile::shared_tile<float, 1, 64> stage[2];
};

// The launch has room for one stage of two.
template <bool Bug>
__global__ void two_stages(float* y, float const* x) {
  auto&     shared      = arch::shared<stages>();  // [two_stages: storage]
  int const t           = static_cast<int>(threadIdx.x);
  shared.stage[0](0, t) = x[t];
  arch::sync_block();
  y[t] = shared.stage[0](0, 63 - t);
}

// ---- 14: shared memory is unset -------------------------------------------------------------------------------------

// The cells at the two ends of the row are never written.
template <bool Bug>
__global__ void edges(float* y, float const* x) {
  __shared__ float cell[66];
  cell[threadIdx.x + 1] = x[threadIdx.x];
  if (!Bug && threadIdx.x < 2) cell[65 * threadIdx.x] = 0;
  __syncthreads();
  y[threadIdx.x] = cell[threadIdx.x] + cell[threadIdx.x + 1] + cell[threadIdx.x + 2];  // [edges: read]
}

// Rows beyond the matrix are left as they were instead of being cleared.
template <bool Bug>
__global__ void last_rows(float* y, bf16 const* x, int rows) {
  auto&     tile = arch::shared<tile::shared_tile<bf16, 16, 16>>();
  int const lane = arch::lane(), row = lane / 2;
  if (row < rows) arch::store<8>(tile.chunk(row, lane % 2), arch::load<8>(x + 8 * lane));
  else if (!Bug) arch::store<8>(tile.chunk(row, lane % 2), vec<bf16, 8>{});
  arch::sync_warp();
  std::uint32_t a[4];
  arch::ldmatrix(a, tile.chunk(lane % 16, lane / 16));  // [last_rows: read]
  y[lane] = static_cast<float>((a[0] ^ a[1] ^ a[2] ^ a[3]) & 0xff);
}

// ---- 15: global memory is unset -------------------------------------------------------------------------------------

template <bool Bug>
__global__ void accumulate(float* y, float const* x) {
  if (!Bug) y[threadIdx.x] = 0;
  y[threadIdx.x] += x[threadIdx.x];  // [accumulate: read]
}

// Adds up the parts of a split sum, one more than there are.
template <bool Bug>
__global__ void combine(float* y, float const* part, int parts) {
  auto& shared = arch::shared<tile::block_reduce<64>::storage>();
  float sum    = 0;
  for (int i = 0; i < parts + (Bug ? 1 : 0); ++i)
    sum += part[64 * i + static_cast<int>(threadIdx.x)];  // [combine: read]
  y[threadIdx.x] = tile::block_reduce<64>{shared}(sum, tile::plus{});
}

// ---- 16: global memory ends -----------------------------------------------------------------------------------------

template <bool Bug>
__global__ void scale(float* y, float const* x, unsigned n) {
  unsigned const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (Bug || i < n) y[i] = 2 * x[i];  // [scale: access]
}

// Rows that are no multiple of the vector: the last load goes beyond them.
template <bool Bug>
__global__ void vector_tail(float* y, float const* x, int n) {
  int const first = 4 * static_cast<int>(threadIdx.x);
  if (first >= n) return;
  if (Bug || first + 4 <= n) {
    arch::store(y + first, arch::load<4>(x + first));  // [vector_tail: access]
  } else {
    for (int i = first; i < n; ++i) y[i] = x[i];
  }
}

// ---- 17: misaligned vectors -----------------------------------------------------------------------------------------

template <bool Bug>
__global__ void copy_float4(float* y, float const* x) {
  auto const* const from                    = reinterpret_cast<float4 const*>(x + (Bug ? 1 : 0));
  reinterpret_cast<float4*>(y)[threadIdx.x] = from[threadIdx.x];  // [copy_float4: copy]
}

// Rows of 62 floats: every other one begins beside a multiple of 16 bytes.
template <bool Bug>
__global__ void odd_rows(float* y, float const* x, int pitch) {
  auto&       shared = arch::shared<tile::block_reduce<32>::storage>();
  int const   column = 4 * (static_cast<int>(threadIdx.x) % 15);
  auto const  v      = arch::load<4>(x + pitch * static_cast<int>(blockIdx.x) + column);  // [odd_rows: load]
  float const sum    = tile::block_reduce<32>{shared}(v[0] + v[1] + v[2] + v[3], tile::plus{});
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

// ---- 18: misaligned rows of ldmatrix --------------------------------------------------------------------------------

// The tile begins behind a header of two words.
template <bool Bug>
__global__ void behind_a_header(unsigned* y) {
  auto* const    words = dynamic_shared<unsigned>();
  unsigned const lane  = threadIdx.x;
  auto* const    tile  = words + (Bug ? 2 : 4);
  for (unsigned i = lane; i < 36; i += 32) words[i] = i;
  __syncwarp();
  std::uint32_t r[1];
  arch::ldmatrix(r, tile + 4 * (lane % 8));  // [behind_a_header: load]
  y[lane] = r[0];
}

// Rows padded against bank conflicts, but by 4 elements and not by 8.
template <bool Bug>
__global__ void padded_rows(float* y, bf16 const* x) {
  constexpr int pitch = 16 + (Bug ? 4 : 8);
  auto&         tile  = arch::shared<bf16[16 * 24]>();
  int const     lane  = arch::lane();
  for (int i = lane; i < 16 * 16; i += 32) tile[i / 16 * pitch + i % 16] = x[i];
  arch::sync_warp();
  std::uint32_t a[4];
  arch::ldmatrix(a, tile + pitch * (lane % 16) + 8 * (lane / 16));  // [padded_rows: load]
  y[lane] = static_cast<float>((a[0] ^ a[1] ^ a[2] ^ a[3]) & 0xff);
}

// clang-format off
planted_case const cases[] = {
    {12, "blur", style::cuda, "the launch forgets the halo",
     {{kind::out_of_bounds, "blur: write"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? blur<true> : blur<false>, 1, 64, (bug ? 64 : 66) * sizeof(float), y.data(), x.data(), 64u);
     }},
    {12, "two_stages", style::tenon, "the launch has room for one stage of two",
     {{kind::out_of_bounds, "two_stages: storage"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? two_stages<true> : two_stages<false>, 1, 64, sizeof(stages) / (bug ? 2 : 1), y.data(),
                    x.data());
     }},
    {14, "edges", style::cuda, "the ends of a row are never set",
     {{kind::uninitialised_read, "edges: read"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? edges<true> : edges<false>, 1, 64, 0, y.data(), x.data());
     }},
    {14, "last_rows", style::tenon, "rows beyond the matrix are not cleared",
     {{kind::uninitialised_read, "last_rows: read"}},
     [](check_options const& o, bool bug) {
       buffer<bf16>  x(12 * 16, bf16(1.f));
       buffer<float> y(32);
       return check(o, bug ? last_rows<true> : last_rows<false>, 1, 32, 512, y.data(), x.data(), 12);
     }},
    {15, "accumulate", style::cuda, "adds to an output that nobody cleared",
     {{kind::uninitialised_read, "accumulate: read"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(64, 1.f), y(64);
       return check(o, bug ? accumulate<true> : accumulate<false>, 1, 64, 0, y.data(), x.data());
     }},
    {15, "combine", style::tenon, "reads a part that no block wrote",
     {{kind::uninitialised_read, "combine: read"}},
     [](check_options const& o, bool bug) {
       buffer<float> part(4 * 64), y(64);
       std::fill_n(part.data(), 3 * 64, 1.f);
       return check(o, bug ? combine<true> : combine<false>, 1, 64, 64, y.data(), part.data(), 3);
     }},
    {16, "scale", style::cuda, "no guard for the last block",
     {{kind::out_of_bounds, "scale: access"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(100, 1.f), y(100);
       return check(o, bug ? scale<true> : scale<false>, 2, 64, 0, y.data(), x.data(), 100u);
     }},
    {16, "vector_tail", style::tenon, "a vector load beyond the end of the row",
     {{kind::out_of_bounds, "vector_tail: access"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(102, 1.f), y(102);
       return check(o, bug ? vector_tail<true> : vector_tail<false>, 1, 32, 0, y.data(), x.data(), 102);
     }},
    {17, "copy_float4", style::cuda, "a pointer to float4 that is none",
     {{kind::misaligned, "copy_float4: copy"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(132, 1.f), y(128);
       return check(o, bug ? copy_float4<true> : copy_float4<false>, 1, 32, 0, y.data(), x.data());
     }},
    {17, "odd_rows", style::tenon, "rows whose pitch is no multiple of the vector",
     {{kind::misaligned, "odd_rows: load"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(256, 1.f), y(4);
       return check(o, bug ? odd_rows<true> : odd_rows<false>, 4, 32, 64, y.data(), x.data(), bug ? 62 : 64);
     }},
    {18, "behind_a_header", style::cuda, "the tile begins behind two words",
     {{kind::misaligned, "behind_a_header: load"}},
     [](check_options const& o, bool bug) {
       buffer<unsigned> y(32);
       return check(o, bug ? behind_a_header<true> : behind_a_header<false>, 1, 32, 36 * 4, y.data());
     }},
    {18, "padded_rows", style::tenon, "rows padded by 8 bytes",
     {{kind::misaligned, "padded_rows: load"}},
     [](check_options const& o, bool bug) {
       buffer<bf16>  x(256, bf16(1.f));
       buffer<float> y(32);
       return check(o, bug ? padded_rows<true> : padded_rows<false>, 1, 32, 768, y.data(), x.data());
     }},
};
// clang-format on

}  // namespace

chapter const bounds{__FILE__, cases};

}  // namespace planted_bugs
