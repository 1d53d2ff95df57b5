// Kernels as people write them, with <tenon/simt/cuda.hpp> and no other header of tenon: right results in every build,
// clean and, with a planted bug, reported in a checked one.
#include <tenon/simt/cuda.hpp>

#include <gtest/gtest.h>

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

using tenon::simt::buffer, tenon::simt::dim3, tenon::simt::launch;

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
#endif

}  // namespace
