// Kernels as people write them, with <tenon/simt/cuda.hpp> and no other header of tenon: right results in every build,
// clean and, with a planted bug, reported in a checked one.
#include <tenon/simt/cuda.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

#include <tenon/simt/check.hpp>
#include <tenon/simt/expect.hpp>

namespace {

constexpr int tile = 32;

template <bool Bug>
__global__ void transpose(float* out, float const* in, int width, int height) {
  __shared__ float block[tile][tile + 1];
  int const        x = static_cast<int>(blockIdx.x) * tile + static_cast<int>(threadIdx.x);
  int const        y = static_cast<int>(blockIdx.y) * tile + static_cast<int>(threadIdx.y);
  for (int j = 0; j < tile; j += 8)
    if (x < width && y + j < height)
      block[threadIdx.y + static_cast<unsigned>(j)][threadIdx.x] = in[(y + j) * width + x];
  if (!Bug) __syncthreads();
  int const tx = static_cast<int>(blockIdx.y) * tile + static_cast<int>(threadIdx.x);
  int const ty = static_cast<int>(blockIdx.x) * tile + static_cast<int>(threadIdx.y);
  for (int j = 0; j < tile; j += 8)
    if (tx < height && ty + j < width)
      out[(ty + j) * height + tx] = block[threadIdx.x][threadIdx.y + static_cast<unsigned>(j)];
}

// Harris, "Optimizing parallel reduction in CUDA": the last warp without barriers was right on lock-step machines only.
template <bool Bug>
__global__ void reduce(float* out, float const* in, int n) {
  auto* const    s = tenon::simt::dynamic_shared<float>();
  unsigned const t = threadIdx.x;
  s[t]             = static_cast<int>(t) < n ? in[t] : 0.f;
  __syncthreads();
  for (unsigned step = blockDim.x / 2; step > 32; step >>= 1) {
    if (t < step) s[t] += s[t + step];
    __syncthreads();
  }
  if (t < 32) {
    for (unsigned step = 32; step > 0; step >>= 1) {
      float const other = s[t + step];
      if (!Bug) __syncwarp();
      s[t] += other;
      if (!Bug) __syncwarp();
    }
  }
  if (t == 0) *out = s[0];
}

template <bool Bug>
__global__ void histogram(unsigned* bins, unsigned char const* x, int n) {
  __shared__ unsigned local[16];
  if (threadIdx.x < 16) local[threadIdx.x] = 0;
  __syncthreads();
  int const i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) {
    if (Bug) local[x[i] % 16] += 1;
    else atomicAdd(&local[x[i] % 16], 1u);
  }
  __syncthreads();
  if (threadIdx.x < 16) atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}

// Each row of 8 lanes scans for itself.
__global__ void scan_rows(int* out, int const* in) {
  int v = in[threadIdx.x];
  for (unsigned d = 1; d < 8; d *= 2) {
    int const other = __shfl_up_sync(0xffffffffu, v, d, 8);
    if (threadIdx.x % 8 >= d) v += other;
  }
  out[threadIdx.x] = v + __shfl_sync(0xffffffffu, v, 7, 8) * 1000;
}

__global__ void count_odd(int* odd, int const* in) {
  unsigned const bits = __ballot_sync(0xffffffffu, in[threadIdx.x] & 1);
  if (threadIdx.x == 0) *odd = __popc(bits);
}

// ---- everything else, once -------------------------------------------------------------------------------------------

__global__ void votes(int* out) {
  int const t   = static_cast<int>(threadIdx.x);
  out[3 * t]    = __syncthreads_count(t % 3 == 0);
  int const all = __syncthreads_and(t < 64), any = __syncthreads_or(t == 63);
  out[3 * t + 1] = 2 * all + any;
  out[3 * t + 2] = 2 * __syncthreads_and(t > 0) + __syncthreads_or(t < 0);
}

__global__ void matches(unsigned* out) {
  unsigned const lane = threadIdx.x % 32;
  int            all  = -1;
  unsigned*      mine = out + 12 * threadIdx.x;
  mine[0]             = __match_any_sync(~0u, lane % 4);
  mine[1]             = __match_any_sync(~0u, lane < 5 ? 1.5 : -0.5);
  mine[2]             = __match_all_sync(~0u, 7ll, &all) + (all ? 0u : 1u);
  mine[3]             = __match_all_sync(~0u, lane, &all) + (all ? 1u : 0u);
  mine[4]             = __reduce_add_sync(~0u, lane);
  mine[5]             = static_cast<unsigned>(__reduce_min_sync(~0u, 3 - static_cast<int>(lane)));
  mine[6]             = __reduce_max_sync(~0u, 3 - lane);
  mine[7]             = __reduce_and_sync(~0u, lane | 64u);
  mine[8]             = __reduce_or_sync(~0u, lane);
  mine[9]             = __reduce_xor_sync(~0u, lane + 1);
  mine[10]            = __activemask();
  // Half of the lanes by themselves.
  mine[11] = lane < 16 ? __reduce_add_sync(0xffffu, 1u) : static_cast<unsigned>(__any_sync(0xffff0000u, lane == 31));
}

__global__ void shuffles(double* out) {
  int const      lane = static_cast<int>(threadIdx.x);
  double*        mine = out + 8 * lane;
  short const    s    = static_cast<short>(-lane);
  __half const   h    = __int2half_rn(lane);
  __half2 const  pair = __floats2half2_rn(static_cast<float>(lane), 0.5f);
  __nv_bfloat162 b    = __float2bfloat162_rn(static_cast<float>(lane));
  mine[0]             = __shfl_sync(~0u, s, 5);
  mine[1]             = __shfl_xor_sync(~0u, 0.5 * lane, 1);
  mine[2]             = __shfl_up_sync(~0u, lane, 3, 8);
  mine[3]             = static_cast<double>(__shfl_down_sync(~0u, 1ull << lane, 2, 16));
  mine[4]             = __half2float(__shfl_xor_sync(~0u, h, 31));
  mine[5]             = __low2float(__shfl_sync(~0u, pair, 33));  // lane 1
  mine[6]             = __high2float(__shfl_sync(~0u, b, -1, 4));
  mine[7]             = __shfl_sync(~0u, static_cast<unsigned char>(200 + lane), 2, 4);
}

__global__ void all_atomics(int* i, unsigned* u, unsigned long long* l, float* f, double* d, __half2* h,
                            __nv_bfloat162* b, unsigned short* s) {
  int const t = static_cast<int>(threadIdx.x);
  atomicAdd(&i[0], t), atomicSub_block(&i[1], t), atomicMin(&i[2], -t), atomicMax_system(&i[3], t);
  atomicAnd(&i[4], ~(1 << t % 8)), atomicOr(&i[5], 1 << t % 8), atomicXor(&i[6], t);
  if (atomicCAS(&i[7], 0, t + 1) == 0) atomicExch(&i[8], t + 1);
  atomicInc(&u[0], 9), atomicDec(&u[1], 9), atomicAdd(&u[2], 1), atomicSub(&u[3], 1u), atomicMin_block(&u[4], 5u);
  atomicAdd(&l[0], 1ull << 32), atomicMax(&l[1], static_cast<unsigned long long>(t) << 40);
  atomicAdd(f, 0.5f), atomicAdd(d, 0.25), atomicExch_block(f + 1, 3.0f);
  atomicAdd(h, __floats2half2_rn(1, 2)), atomicAdd(b, __floats2bfloat162_rn(1, -1));
  atomicCAS(s, static_cast<unsigned short>(7), static_cast<unsigned short>(9));
}

struct with_constructor {
  float v;
  int   n;
  with_constructor() {}
};
__device__ int     launches_seen    = 0;
__constant__ float three_numbers[3] = {1, 2, 4};

template <class T, int N>
__device__ T rotated(T v) {
  __shared__ T s[2][N];
  s[1][threadIdx.x] = v;
  __syncthreads();
  return s[1][(threadIdx.x + 1) % N];
}

__global__ void static_shared(double* out) {
  __shared__ with_constructor s[64];
  __shared__ __align__(16) unsigned char bytes[64][4];
  __shared__ float4                      v[2][2][16];
  unsigned const                         t = threadIdx.x;
  s[t].v = static_cast<float>(t), s[t].n = 2;
  bytes[t][t % 4]               = 1;
  v[t / 32][t / 16 % 2][t % 16] = make_float4(1, 2, 3, static_cast<float>(t));
  __syncthreads();
  auto const* const other  = &s[63 - t];
  out[64 * blockIdx.x + t] = other->v * static_cast<float>(other->n) + bytes[63 - t][(63 - t) % 4] +
                             v[1][1][15 - t % 16].w + rotated<double, 64>(t) + rotated<int, 64>(static_cast<int>(t)) +
                             three_numbers[t % 3];
  if (t == 0) atomicAdd(&launches_seen, 1);
}

__global__ void hints(float4* y, float4 const* x, float* z, int offset) {
  float4 const a = __ldg(x + threadIdx.x), b = __ldcg(x + threadIdx.x), c = __ldcs(&x[threadIdx.x]);
  float4 const r = make_float4(a.x + b.y, b.z, c.w, __ldcv(z + threadIdx.x) + __ldlu(&z[0]));
  __stcg(y + threadIdx.x, r);
  __stwt(z + threadIdx.x + 32, 1);
  if (threadIdx.x == 0) y[32] = __ldca(reinterpret_cast<float4 const*>(z + offset));
}

__global__ void tiles(unsigned* out) {
  namespace cg                   = cooperative_groups;
  auto const               block = cg::this_thread_block();
  cg::thread_block_tile<8> eight = cg::tiled_partition<8>(block);
  auto const               pair  = cg::tiled_partition<2>(eight);
  cg::thread_group const   group = cg::tiled_partition(cg::thread_group(block), 4);
  int const                rank  = static_cast<int>(block.thread_rank());
  int                      all   = 0;
  unsigned*                mine  = out + 10 * rank;
  float3 const             far   = eight.shfl(make_float3(0, static_cast<float>(rank), 1), 3);
  mine[0]                        = block.size() + block.group_index().x + block.thread_index().y;
  mine[1]                        = eight.meta_group_rank() * 100 + eight.meta_group_size() * 10 + eight.thread_rank();
  mine[2]                        = pair.meta_group_rank() * 10 + pair.meta_group_size();
  mine[3]                        = static_cast<unsigned>(far.y);
  mine[4]                        = eight.ballot(rank % 2) + eight.match_any(rank / 4);
  mine[5]                        = static_cast<unsigned>(eight.any(rank == 9) * 2 + eight.all(rank < 16));
  mine[6] = static_cast<unsigned>(cg::reduce(eight, rank, cg::plus<int>()) + eight.shfl_xor(rank, 4) +
                                  eight.shfl_up(rank, 1));
  mine[7] = group.size() * 10 + group.thread_rank();
  mine[8] = eight.match_all(rank / 8, all);
  mine[9] = pair.shfl_down(static_cast<unsigned>(rank), 1);
  group.sync(), eight.sync(), cg::sync(block);
}

// A grid and blocks of three dimensions; the second kernel reads what the first one wrote.
__global__ void number_cells(int* cell) {
  dim3 const     at(blockIdx.x * blockDim.x + threadIdx.x, blockIdx.y * blockDim.y + threadIdx.y,
                    blockIdx.z * blockDim.z + threadIdx.z);
  unsigned const nx = gridDim.x * blockDim.x, ny = gridDim.y * blockDim.y, i = (at.z * ny + at.y) * nx + at.x;
  cell[i] = static_cast<int>(i);
}
__global__ void next_cell(int* to, int const* from, unsigned n) {
  unsigned const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) to[i] = from[(i + 1) % n];
}

using tenon::simt::buffer;

/// Runs the kernel; a checked build has nothing to say about it.
template <class Kernel, class... Args>
void launch(Kernel kernel, dim3 grid, dim3 block, std::size_t shared_bytes, Args const&... args) {
  EXPECT_EQ(tenon::simt::launch(kernel, grid, block, shared_bytes, args...), tenon::simt::outcome::finished);
}

std::vector<float> counting(std::size_t n) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), 0.f);
  return v;
}

TEST(cuda_vocabulary, transpose_with_static_shared_memory) {
  buffer<float> in(counting(40 * 50)), out(40 * 50);
  launch(transpose<false>, dim3(2, 2), dim3(tile, 8), 0, out.data(), in.data(), 50, 40);
  auto const got = out.values();
  for (std::size_t y = 0; y < 40; ++y)
    for (std::size_t x = 0; x < 50; ++x) EXPECT_EQ(got[x * 40 + y], static_cast<float>(y * 50 + x));
}

TEST(cuda_vocabulary, reduce_with_dynamic_shared_memory) {
  buffer<float> in(counting(200)), out(1);
  launch(reduce<false>, 1, 256, 256 * sizeof(float), out.data(), in.data(), 200);
  EXPECT_EQ(out.values()[0], 199 * 200 / 2);
}

TEST(cuda_vocabulary, histogram_with_atomics) {
  std::vector<unsigned char> x(500);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<unsigned char>(i * i % 251);
  std::vector<unsigned> expected(16);
  for (auto const v : x) ++expected[v % 16];
  buffer<unsigned char> in(x);
  buffer<unsigned>      bins(16, 0u);
  launch(histogram<false>, 8, 64, 0, bins.data(), in.data(), 500);
  EXPECT_EQ(bins.values(), expected);
}

TEST(cuda_vocabulary, shuffles_within_a_width_and_votes) {
  std::vector<int> x(32);
  std::iota(x.begin(), x.end(), 1);
  buffer<int> in(x), out(32), odd(1);
  launch(scan_rows, 1, 32, 0, out.data(), in.data());
  auto const got = out.values();
  for (int i = 0; i < 32; ++i) {
    int sum = 0, all = 0;
    for (int k = i / 8 * 8; k < i / 8 * 8 + 8; ++k) all += k + 1, sum += k <= i ? k + 1 : 0;
    EXPECT_EQ(got[static_cast<std::size_t>(i)], sum + 1000 * all) << i;
  }
  launch(count_odd, 1, 32, 0, odd.data(), in.data());
  EXPECT_EQ(odd.values()[0], 16);
}

TEST(cuda_vocabulary, block_votes) {
  buffer<int> out(192);
  launch(votes, 1, 64, 0, out.data());
  auto const got = out.values();
  for (std::size_t t = 0; t < 64; ++t) {
    EXPECT_EQ(got[3 * t], 22);
    EXPECT_EQ(got[3 * t + 1], 3);
    EXPECT_EQ(got[3 * t + 2], 0);
  }
}

TEST(cuda_vocabulary, matches_and_reductions) {
  buffer<unsigned> out(12 * 32);
  launch(matches, 1, 32, 0, out.data());
  auto const got = out.values();
  for (unsigned l = 0; l < 32; ++l) {
    unsigned const want[12] = {
        0x11111111u << l % 4, l < 5 ? 31u : ~31u, ~0u, 0, 496, static_cast<unsigned>(-28), ~0u, 64, 31, 32, 1u << l,
        l < 16 ? 16u : 1u};
    for (unsigned i = 0; i < 12; ++i) EXPECT_EQ(got[12 * l + i], want[i]) << l << ' ' << i;
  }
}

TEST(cuda_vocabulary, shuffles_of_every_width) {
  buffer<double> out(8 * 32);
  launch(shuffles, 1, 32, 0, out.data());
  auto const got = out.values();
  for (int l = 0; l < 32; ++l) {
    double const want[8] = {-5.0,
                            0.5 * (l ^ 1),
                            l % 8 < 3 ? double(l) : double(l - 3),
                            std::ldexp(1.0, l % 16 + 2 < 16 ? l + 2 : l),
                            double(l ^ 31),
                            1.0,
                            double(l / 4 * 4 + 3),
                            200.0 + l / 4 * 4 + 2};
    for (int i = 0; i < 8; ++i) EXPECT_EQ(got[static_cast<std::size_t>(8 * l + i)], want[i]) << l << ' ' << i;
  }
}

TEST(cuda_vocabulary, atomics_of_every_kind) {
  buffer<int>                i(std::vector<int>{0, 0, 0, 0, -1, 0, 0, 0, 0});
  buffer<unsigned>           u(std::vector<unsigned>{0, 3, 0, 100, 8});
  buffer<unsigned long long> l(2, 0ull);
  buffer<float>              f(2, 0.0f);
  buffer<double>             d(1, 0.0);
  buffer<__half2>            h(1, __float2half2_rn(0));
  buffer<__nv_bfloat162>     b(1, __float2bfloat162_rn(0));
  buffer<unsigned short>     s(std::vector<unsigned short>{7, 7});
  launch(all_atomics, 1, 64, 0, i.data(), u.data(), l.data(), f.data(), d.data(), h.data(), b.data(), s.data());
  auto const ints = i.values();
  EXPECT_EQ(std::vector<int>(ints.begin(), ints.begin() + 7), (std::vector<int>{2016, -2016, -63, 63, -256, 255, 0}));
  EXPECT_TRUE(ints[7] >= 1 && ints[7] <= 64 && ints[8] == ints[7]);
  EXPECT_EQ(u.values(), (std::vector<unsigned>{4, 9, 64, 36, 5}));
  EXPECT_EQ(l.values(), (std::vector<unsigned long long>{64ull << 32, 63ull << 40}));
  EXPECT_EQ(f.values(), (std::vector<float>{32, 3}));
  EXPECT_EQ(d.values()[0], 16);
  EXPECT_TRUE(h.values()[0] == __floats2half2_rn(64, 128));
  EXPECT_TRUE(b.values()[0] == __floats2bfloat162_rn(64, -64));
  EXPECT_EQ(s.values(), (std::vector<unsigned short>{9, 7}));
}

TEST(cuda_vocabulary, static_shared_variables_of_every_type) {
  buffer<double> out(128);
  int const      before = launches_seen;
  for (int again = 0; again < 2; ++again) {
    launch(static_shared, 2, 64, 0, out.data());
    auto const got = out.values();
    for (int t = 0; t < 64; ++t)
      EXPECT_EQ(got[static_cast<std::size_t>(64 + t)],
                2 * (63 - t) + 1 + 63 - t % 16 + 2 * ((t + 1) % 64) + static_cast<double>(three_numbers[t % 3]));
  }
  EXPECT_EQ(launches_seen - before, 4);
}

TEST(cuda_vocabulary, loads_and_stores_with_hints) {
  buffer<float4> x(32, make_float4(1, 2, 3, 4)), y(33);
  buffer<float>  z(64, 5.0f);
  launch(hints, 1, 32, 0, y.data(), x.data(), z.data(), 4);
  EXPECT_EQ(y.values()[9].x + y.values()[9].y * 10 + y.values()[9].z * 100 + y.values()[9].w * 1000, 10433);
  EXPECT_EQ(z.values()[40], 1);
}

TEST(cuda_vocabulary, cooperative_groups_tiles) {
  buffer<unsigned> out(320);
  launch(tiles, 1, dim3(8, 4), 0, out.data());
  auto const got = out.values();
  for (unsigned r = 0; r < 32; ++r) {
    unsigned const first    = r / 8 * 8;
    unsigned const want[10] = {32 + r / 8,
                               r / 8 * 100 + 40 + r % 8,
                               r % 8 / 2 * 10 + 4,
                               first + 3,
                               0xaau + (r % 8 < 4 ? 0xfu : 0xf0u),
                               (first == 8 ? 2u : 0u) + (first < 16 ? 1u : 0u),
                               8 * first + 28 + (r ^ 4) + (r % 8 ? r - 1 : r),
                               40 + r % 4,
                               0xff,
                               r | 1};
    for (unsigned i = 0; i < 10; ++i) EXPECT_EQ(got[10 * r + i], want[i]) << r << ' ' << i;
  }
}

TEST(cuda_vocabulary, kernels_in_sequence_on_three_dimensional_grids) {
  buffer<int> a(144), b(144);
  launch(number_cells, dim3(2, 3, 2), dim3(2, 1, 6), 0, a.data());
  launch(next_cell, 5, 32, 0, b.data(), a.data(), 144u);
  auto const got = b.values();
  for (std::size_t i = 0; i < 144; ++i) EXPECT_EQ(got[i], (static_cast<int>(i) + 1) % 144);
}

// ---- arithmetic, which needs no kernel ------------------------------------------------------------------------------

TEST(cuda_vocabulary, integer_intrinsics) {
  EXPECT_EQ(__popc(0xf0f0u) + __popcll(~0ull), 72);
  EXPECT_EQ(__clz(1) * 100 + __clzll(0), 3164);
  EXPECT_EQ(__ffs(0) + __ffs(8) + __ffsll(1ll << 40), 45);
  EXPECT_EQ(__brev(0x12345678u), 0x1e6a2c48u);
  EXPECT_EQ(__brevll(1), 1ull << 63);
  EXPECT_EQ(__fns(0xb4, 0, 3), 5u);
  EXPECT_EQ(__fns(0xb4, 7, -2), 5u);
  EXPECT_EQ(__fns(0xb4, 2, 0), 2u);
  EXPECT_EQ(__fns(0xb4, 3, 0), ~0u);
  EXPECT_EQ(__byte_perm(0x33221100, 0x77665588, 0x7410), 0x77881100u);
  EXPECT_EQ(__byte_perm(0x33221100, 0x77665588, 0xc8e2), 0xff000022u);
  EXPECT_EQ(__funnelshift_l(0x80000001u, 0x2, 33), 0x5u);
  EXPECT_EQ(__funnelshift_lc(7, 9, 40), 7u);
  EXPECT_EQ(__funnelshift_r(0x80000000u, 0x3, 31), 0x7u);
  EXPECT_EQ(__funnelshift_rc(7, 9, 32), 9u);
  EXPECT_EQ(__mulhi(-2, 1 << 30), -1);
  EXPECT_EQ(__umulhi(~0u, ~0u), 0xfffffffeu);
  EXPECT_EQ(__mul64hi(-1, 1), -1);
  EXPECT_EQ(__umul64hi(~0ull, 16), 15u);
  EXPECT_EQ(__mul24(0x1fffffe, 3), -6);
  EXPECT_EQ(__umul24(0xff000003u, 5), 15u);
  EXPECT_EQ(__sad(std::numeric_limits<int>::min(), std::numeric_limits<int>::max(), 1), 0u);
  EXPECT_EQ(__usad(3, 10, 1), 8u);
  EXPECT_EQ(__hadd(-3, -4), -4);
  EXPECT_EQ(__rhadd(std::numeric_limits<int>::max(), std::numeric_limits<int>::max()), std::numeric_limits<int>::max());
  EXPECT_EQ(__uhadd(~0u, ~0u - 1), ~0u - 1);
  EXPECT_EQ(__dp4a(0x01ff0280, 0x02030405, 7), 2 - 3 + 8 - 640 + 7);
  EXPECT_EQ(__dp4a(0xff010203u, 0x02010101u, 1u), 517u);
  EXPECT_EQ(__dp2a_lo(0x0001fffe, 0x03020905, 1), -2 * 5 + 9 + 1);
  EXPECT_EQ(__dp2a_hi(0x0001fffe, 0x03020905, 1), -2 * 2 + 3 + 1);
  EXPECT_EQ(__vadd4(0xff010280u, 0x01010180u), 0x00020300u);
  EXPECT_EQ(__vadd2(0xffff0001u, 0x00010001u), 0x00000002u);
  EXPECT_EQ(__vaddss4(0x7f80ff10u, 0x01ff0110u), 0x7f800020u);
  EXPECT_EQ(__vsubus4(0x10203040u, 0x20102041u), 0x00101000u);
  EXPECT_EQ(__vabsdiffu4(0x01ff0010u, 0x02000110u), 0x01ff0100u);
  EXPECT_EQ(__vmins2(0x8000ffffu, 0x00010000u), 0x8000ffffu);
  EXPECT_EQ(__vmaxu4(0x01ff0280u, 0x02000380u), 0x02ff0380u);
  EXPECT_EQ(__vcmpgts4(0x7f800001u, 0x80800000u), 0xff0000ffu);
  EXPECT_EQ(__vcmpeq2(0x00010002u, 0x00010003u), 0xffff0000u);
  EXPECT_EQ(__vavgu4(0x01020304u, 0x02020305u), 0x02020305u);
  EXPECT_EQ(__vneg4(0x01ff0080u), 0xff010080u);
  EXPECT_EQ(__vabs2(0xffff8000u), 0x00018000u);
  EXPECT_EQ(__vsadu4(0x01020304u, 0x04030201u), 8u);
  EXPECT_EQ(min(-1, 2u), 2u);
  EXPECT_EQ(max(3ll, -4ll), 3);
}

TEST(cuda_vocabulary, floating_point_intrinsics) {
  float const tiny = std::ldexp(1.0f, -30), next = std::nextafter(1.0f, 2.0f), before = std::nextafter(1.0f, 0.0f);
  EXPECT_EQ(__fadd_rn(1, tiny), 1);
  EXPECT_EQ(__fadd_ru(1, tiny), next);
  EXPECT_EQ(__fsub_rz(1, tiny), before);
  EXPECT_EQ(__fsub_rd(-1, tiny), -next);
  EXPECT_EQ(__fmul_ru(next, next) - __fmul_rd(next, next), std::ldexp(1.0f, -23));
  EXPECT_EQ(__fdiv_ru(1, 3) - __fdiv_rz(1, 3), std::ldexp(1.0f, -25));
  EXPECT_EQ(__fmaf_rn(next, next, -1), std::fma(next, next, -1.0f));
  EXPECT_EQ(__frcp_rd(3), __fdiv_rd(1, 3));
  EXPECT_EQ(__fsqrt_ru(2), std::nextafter(__fsqrt_rd(2), 2.0f));
  EXPECT_EQ(__dadd_ru(1, tiny * tiny * tiny), std::nextafter(1.0, 2.0));
  EXPECT_EQ(__ddiv_rd(1, 3), std::nextafter(__ddiv_ru(1, 3), 0.0));
  EXPECT_EQ(__fma_rz(3, 5, 1), 16);
  EXPECT_EQ(
      __float2int_rn(2.5f) * 1000 + __float2int_rz(-2.9f) * 100 + __float2int_ru(2.1f) * 10 + __float2int_rd(-2.1f),
      1827);
  EXPECT_EQ(__float2int_rn(1e10f), std::numeric_limits<int>::max());
  EXPECT_EQ(__float2uint_rz(-1e10f), 0u);
  EXPECT_EQ(__float2int_rn(NAN), 0);
  EXPECT_EQ(__float2ll_rz(NAN), std::numeric_limits<long long>::min());
  EXPECT_EQ(__double2ull_rn(1e30), ~0ull);
  EXPECT_EQ(__int2float_rz(0x7fffffff), 2147483520.0f);
  EXPECT_EQ(__ll2double_ru((1ll << 53) + 1), 9007199254740994.0);
  EXPECT_EQ(__double2float_rd(0.1), std::nextafter(0.1f, 0.0f));
  EXPECT_EQ(__float_as_int(1), 0x3f800000);
  EXPECT_EQ(__uint_as_float(0xc0000000u), -2);
  EXPECT_EQ(__hiloint2double(__double2hiint(-1.1), __double2loint(-1.1)), -1.1);
  EXPECT_EQ(__saturatef(-3) + __saturatef(0.25f) + __saturatef(7) + __saturatef(NAN), 1.25f);
  EXPECT_EQ(sinpif(1.5f) * 10 + cospif(3), -11);
  EXPECT_EQ(sinpif(1e9f) + cospif(0.5f), 0);
  EXPECT_FLOAT_EQ(rsqrtf(4) + __expf(1) + __logf(10) + __powf(2, 3), 0.5f + std::exp(1.0f) + std::log(10.0f) + 8);
  EXPECT_FLOAT_EQ(norm3df(2, 3, 6) + rnorm4df(1, 1, 1, 1) + rhypotf(3, 4), 7.7f);
  EXPECT_NEAR(normcdff(1.96f), 0.975002f, 1e-6f);
  EXPECT_EQ(min(1.0f, NAN) + max(NAN, 2.0f), 3);
}

TEST(cuda_vocabulary, half_and_bfloat16_are_rounded_once) {
  auto const half_of = [](unsigned bits) { return __ushort_as_half(static_cast<unsigned short>(bits)); };
  auto const bf_of   = [](unsigned bits) { return __ushort_as_bfloat16(static_cast<unsigned short>(bits)); };
  // 2^-11 less a little more than a float keeps: through float it would be a tie and go up.
  EXPECT_EQ(__half_as_ushort(__hfma(half_of(0x2801), half_of(0x23fe), half_of(0x3c01))), 0x3c01);
  EXPECT_EQ(__half_as_ushort(__hadd(half_of(0x3c00), half_of(0x1000))), 0x3c00);  // 1 + 2^-11, a tie
  EXPECT_EQ(__half_as_ushort(__hmul(half_of(0x0001), half_of(0x3a00))), 0x0001);  // subnormal
  EXPECT_EQ(__half_as_ushort(half_of(0x7bff) + half_of(0x4c00)), 0x7c00);         // to infinity
  EXPECT_EQ(__half_as_ushort(__hdiv(half_of(0x3c00), half_of(0x4200))), 0x3555);  // a third
  EXPECT_EQ(__half_as_ushort(__hsub(half_of(0x7c00), half_of(0x7c00))), 0x7fff);
  EXPECT_EQ(__half_as_ushort(__float2half_rz(65520.0f)), 0x7bff);
  EXPECT_EQ(__half_as_ushort(__float2half_ru(1e-10f)), 0x0001);
  EXPECT_EQ(__half_as_ushort(__float2half_rd(-1e-10f)), 0x8001);
  EXPECT_EQ(__half_as_ushort(__float2half_ru(-1e10f)), 0xfbff);
  EXPECT_EQ(__half_as_ushort(__double2half(1 + std::ldexp(1.0, -11) + std::ldexp(1.0, -50))), 0x3c01);
  EXPECT_EQ(__bfloat16_as_ushort(__hmul(bf_of(0x0080), bf_of(0x3f40))), 0x0060);  // subnormal
  EXPECT_EQ(__bfloat16_as_ushort(__hadd(bf_of(0x3f80), bf_of(0x3b81))), 0x3f81);  // just over half an ulp
  EXPECT_EQ(__bfloat16_as_ushort(__float2bfloat16_rz(-1.999f)), 0xbfff);
  EXPECT_EQ(__bfloat16_as_ushort(__ll2bfloat16_rn((1ll << 62) + (1ll << 54) + 1)), 0x5e81);
  EXPECT_EQ(__half2int_rn(__float2half(2.5f)) + __bfloat162ll_ru(bf_of(0x3f81)), 4);
  EXPECT_EQ(__half2uint_rz(__float2half(-3)), 0u);
  EXPECT_EQ(__half2short_rz(half_of(0xfc00)), -32768);
  EXPECT_EQ(__half2ushort_rn(half_of(0x7fff)), 0);

  __half const nan = half_of(0x7e00), one = 1.0f;
  EXPECT_FALSE(__heq(nan, nan) || __hne(nan, one) || __hlt(nan, one));
  EXPECT_TRUE(__hequ(nan, one) && __hneu(nan, nan) && __hgeu(nan, one) && nan != nan && __hisnan(nan));
  EXPECT_EQ(float(__hmax(nan, one)), 1);
  EXPECT_TRUE(__hisnan(__hmin_nan(nan, one)));
  EXPECT_EQ(__half_as_ushort(__hmin(half_of(0x8000), half_of(0x0000))), 0x8000);
  EXPECT_EQ(__hisinf(half_of(0xfc00)), -1);
  EXPECT_EQ(float(__hadd_sat(one, one)) + float(__hfma_relu(one, one, half_of(0xc000))), 1);

  __half2 v = __floats2half2_rn(1.5f, -2);
  v += __half2half2(__float2half(0.5f));
  v = __hfma2(v, __halves2half2(2, 4), __lowhigh2highlow(v));
  EXPECT_TRUE(v == __floats2half2_rn(2.5f, -4));
  EXPECT_EQ(__heq2_mask(v, __floats2half2_rn(2.5f, 0)), 0x0000ffffu);
  EXPECT_TRUE(__hblt2(__hneg2(v), make_half2(0, 5)) && !__hbeq2(v, __high2half2(v)));
  EXPECT_EQ(__half22float2(h2sqrt(__habs2(v))).y, 2);
  __nv_bfloat162 const w = __hmax2(__float2bfloat162_rn(3), __float22bfloat162_rn(make_float2(1, 4)));
  EXPECT_EQ(__low2float(w) * 10 + __bfloat162float(__high2bfloat16(w)), 34);
  __half counter = 3;
  ++counter, counter *= counter, counter -= __half(1);
  EXPECT_EQ(static_cast<int>(counter), 15);
  EXPECT_EQ(float(hexp2(__half(3)) + hrcp(__half(4)) + hfloor(__half(-0.5f))), 7.25f);
}

TEST(cuda_vocabulary, vector_types_have_their_sizes_and_alignments) {
  EXPECT_EQ(sizeof(float3) + sizeof(uchar4) + sizeof(short3) + sizeof(longlong2) + sizeof(double4),
            12u + 4 + 6 + 16 + 32);
  EXPECT_EQ(alignof(float4) + alignof(float3) + alignof(uchar4) + alignof(ushort2) + alignof(int2) + alignof(double2) +
                alignof(longlong4) + alignof(uint3),
            16u + 4 + 4 + 4 + 8 + 16 + 16 + 4);
  dim3 const d = make_uint3(2, 3, 4);
  EXPECT_EQ(d.x * 100 + d.y * 10 + d.z + static_cast<unsigned>(make_char2(1, -1).y), 233u);
}

#if TENON_CHECKED
using tenon::simt::check, tenon::simt::check_options, tenon::simt::kind, tenon::simt::schedule;

template <class Run>
void planted(kind what, Run const& run) {
  for (auto const s : {schedule::in_order, schedule::reversed, schedule::warp_ahead, schedule::random}) {
    SCOPED_TRACE(to_string(s));
    check_options const options{.seed = 3, .schedule = s};
    EXPECT_TRUE(reports(run(options, std::true_type{}), what));
    EXPECT_TRUE(is_clean(run(options, std::false_type{})));
  }
}

TEST(cuda_vocabulary, a_transpose_without_its_barrier) {
  planted(kind::write_after_read, [](auto const& o, auto bug) {
    buffer<float> in(counting(32 * 32)), out(32 * 32);
    auto          found = check(o, transpose<bug()>, dim3(1, 1), dim3(tile, 8), 0, out.data(), in.data(), 32, 32);
    // Which of the two accesses comes first is the schedule's choice.
    for (auto& f : found.findings)
      if (f.what == kind::read_after_write) f.what = kind::write_after_read;
    return found;
  });
}

TEST(cuda_vocabulary, a_reduction_whose_last_warp_trusts_in_lock_step) {
  planted(kind::write_after_read, [](auto const& o, auto bug) {
    buffer<float> in(counting(256)), out(1);
    return check(o, reduce<bug()>, 1, 256, 256 * sizeof(float), out.data(), in.data(), 256);
  });
}

TEST(cuda_vocabulary, a_histogram_without_atomics) {
  planted(kind::write_after_write, [](auto const& o, auto bug) {
    buffer<unsigned char> in(std::vector<unsigned char>(64, 3));
    buffer<unsigned>      bins(16, 0u);
    auto                  found = check(o, histogram<bug()>, 1, 64, 0, bins.data(), in.data(), 64);
    for (auto& f : found.findings)
      if (f.what == kind::read_after_write) f.what = kind::write_after_write;
    return found;
  });
}

TEST(cuda_vocabulary, everything_is_clean) {
  for (auto const order : {schedule::reversed, schedule::random}) {
    check_options const o{.seed = 5, .schedule = order};
    buffer<int>         i(192), cell(144);
    buffer<unsigned>    u(12 * 32);
    buffer<double>      d(256);
    EXPECT_TRUE(is_clean(check(o, votes, 1, 64, 0, i.data())));
    EXPECT_TRUE(is_clean(check(o, matches, 1, 32, 0, u.data())));
    EXPECT_TRUE(is_clean(check(o, shuffles, 1, 32, 0, d.data())));
    EXPECT_TRUE(is_clean(check(o, static_shared, 2, 64, 0, d.data())));
    EXPECT_TRUE(is_clean(check(o, tiles, 1, dim3(8, 4), 0, u.data())));
    EXPECT_TRUE(is_clean(check(o, number_cells, dim3(2, 3, 2), dim3(2, 1, 6), 0, cell.data())));
  }
}

TEST(cuda_vocabulary, a_misaligned_vector_with_a_hint) {
  buffer<float4> x(1, make_float4(1, 2, 3, 4)), y(33);
  buffer<float>  z(64, 5.0f);
  EXPECT_TRUE(reports(check({}, hints, 1, 1, 0, y.data(), x.data(), z.data(), 1), kind::misaligned));
}
#endif

}  // namespace
