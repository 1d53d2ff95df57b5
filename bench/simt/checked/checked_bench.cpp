//  What the checked machine of the host target costs: an access, a barrier, a GEMM on tiles of mma.sync.
//
//  Items of the access benches are loads and stores that the checker judges.
#include <tenon/simt/buffer.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/session.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>

#include "gemm_tiles.hpp"

namespace {

namespace simt = tenon::simt;

/// Every thread reads and writes one word of its own again and again.
__global__ void count_up(float* y, int times) {
  for (int i = 0; i < times; ++i) y[threadIdx.x] += 1;
}
void own_access(benchmark::State& state) {
  constexpr int       times = 256, threads = 128;
  simt::buffer<float> y(threads, 0.f);
  for (auto _ : state) {
    simt::session session;
    simt::launch(session, count_up, 1, threads, 0, y.data(), times);
    if (!session.found().clean()) return state.SkipWithError("not clean");
  }
  state.SetItemsProcessed(std::int64_t{2} * times * threads * state.iterations());
}
BENCHMARK(own_access);

/// Every thread walks over its part of global memory: one load and one store an element, each word for the first time.
__global__ void scale(float* y, float const* x, int each) {
  for (int i = 0; i < each; ++i) {
    int const at = i * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
    y[at]        = 2 * x[at];
  }
}
void global_access(benchmark::State& state) {
  constexpr int       each = 64, threads = 128;
  simt::buffer<float> x(each * threads, 1.f), y(each * threads);
  for (auto _ : state) {
    simt::session session;
    simt::launch(session, scale, 1, threads, 0, y.data(), x.data(), each);
    if (!session.found().clean()) return state.SkipWithError("not clean");
  }
  state.SetItemsProcessed(std::int64_t{2} * each * threads * state.iterations());
}
BENCHMARK(global_access);

/// A tiled fp32 product in shared memory, 128 x 128 x 128 in tiles of 16: as textbooks write it.
__global__ void matmul(float* c, float const* a, float const* b, int n) {
  __shared__ float ta[16][16], tb[16][16];
  int const        row = static_cast<int>(blockIdx.y * 16 + threadIdx.y),
            column     = static_cast<int>(blockIdx.x * 16 + threadIdx.x);
  float sum            = 0;
  for (int k = 0; k < n; k += 16) {
    ta[threadIdx.y][threadIdx.x] = a[row * n + k + static_cast<int>(threadIdx.x)];
    tb[threadIdx.y][threadIdx.x] = b[(k + static_cast<int>(threadIdx.y)) * n + column];
    __syncthreads();
    for (int i = 0; i < 16; ++i) sum += ta[threadIdx.y][i] * tb[i][threadIdx.x];
    __syncthreads();
  }
  c[row * n + column] = sum;
}
void shared_access(benchmark::State& state) {
  constexpr int       n = 128;
  simt::buffer<float> a(n * n, 1.f), b(n * n, 1.f), c(n * n);
  for (auto _ : state) {
    simt::session session;
    simt::launch(session, matmul, tenon::simt::dim3(n / 16, n / 16), tenon::simt::dim3(16, 16), 0, c.data(), a.data(),
                 b.data(), n);
    if (!session.found().clean()) return state.SkipWithError("not clean");
  }
  state.SetItemsProcessed(std::int64_t{n} * n * (2 * n + 4 * n / 16 + 1) * state.iterations());
}
BENCHMARK(shared_access);

void gemm_tiles(benchmark::State& state, simt::numerics sums) { bench::gemm_tiles(state, sums); }
BENCHMARK_CAPTURE(gemm_tiles, checked_f32, simt::numerics::f32);
BENCHMARK_CAPTURE(gemm_tiles, checked_hopper, simt::numerics::hopper);

}  // namespace
