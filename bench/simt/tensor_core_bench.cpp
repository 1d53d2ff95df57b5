//  mma.sync on the plain machine, one core: a kernel whose warps do nothing but multiply tiles.
//
//  Axes: threads of the block. Operations: 2 m n k of each instruction. A warp's 32 fibers meet at each instruction, so the
//  kernel's figure has that in it.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/launch.hpp>
#include <tenon/simt/session.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <type_traits>

namespace {

namespace simt = tenon::simt;
using tenon::bf16, tenon::e4m3, tenon::f16, tenon::tf32;

struct params {
  float* d;
  int    steps;
};

/// A warp tile of two by four products a step. Operands are of ordinary size and differ from lane to lane.
template <class T>
__global__ void multiply_tiles(__grid_constant__ params const p) {
  using namespace tenon;
  std::uint32_t const own = threadIdx.x * 0x01010101u & 0x03030303u;
  std::uint32_t       a[2][4], b[4][2];
  float               d[2][4][4] = {};
  for (auto& fragment : a)
    for (std::uint32_t r = 0; r < 4; ++r)
      fragment[r] = (std::is_same_v<T, tf32> ? 0x3f800000u : 0x38383838u) + (own ^ r);
  for (auto& fragment : b)
    for (std::uint32_t r = 0; r < 2; ++r)
      fragment[r] = (std::is_same_v<T, tf32> ? 0xbf800000u : 0xb838b838u) + (own ^ r);
  for (int step = 0; step < p.steps; ++step)
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 4; ++j) {
        if constexpr (std::is_same_v<T, tf32>) arch::mma_m16n8k8<T>(d[i][j], a[i], b[j]);
        else if constexpr (std::is_same_v<T, e4m3>) arch::mma_m16n8k32<T>(d[i][j], a[i], b[j]);
        else arch::mma_m16n8k16<T>(d[i][j], a[i], b[j]);
      }
  float sum = 0;
  for (auto& row : d)
    for (auto& tile : row)
      for (float v : tile) sum += v;
  p.d[threadIdx.x] = sum;
}

template <class T, simt::numerics Sums>
void mma_tiles(benchmark::State& state) {
  constexpr int steps   = 64;
  auto const    threads = static_cast<unsigned>(state.range(0));
  static float  d[1024];
  for (auto _ : state) {
    simt::session  session({.seed = 1, .numerics = Sums});
    tenon::context where;
    where.arch    = 80;
    where.threads = 1;
    where.session = &session;
    if (!tenon::arch::launch("multiply_tiles", where, {.grid = 1, .block = threads}, multiply_tiles<T>,
                             params{d, steps})
             .ok())
      return state.SkipWithError("the launch failed");
  }
  constexpr int k = 256 / (8 * static_cast<int>(sizeof(T)));
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * 16 * 8 * k * 8 * steps * (threads / 32), benchmark::Counter::kIsIterationInvariantRate);
}
void blocks(benchmark::internal::Benchmark* b) { b->ArgName("threads")->Arg(32)->Arg(128)->Arg(256); }
BENCHMARK_TEMPLATE(mma_tiles, bf16, simt::numerics::f32)->Apply(blocks);
BENCHMARK_TEMPLATE(mma_tiles, bf16, simt::numerics::ampere)->Apply(blocks);
BENCHMARK_TEMPLATE(mma_tiles, bf16, simt::numerics::hopper)->Apply(blocks);
BENCHMARK_TEMPLATE(mma_tiles, f16, simt::numerics::f32)->Apply(blocks);
BENCHMARK_TEMPLATE(mma_tiles, f16, simt::numerics::hopper)->Apply(blocks);
BENCHMARK_TEMPLATE(mma_tiles, tf32, simt::numerics::hopper)->Apply(blocks);
BENCHMARK_TEMPLATE(mma_tiles, e4m3, simt::numerics::ada)->Apply(blocks);
BENCHMARK_TEMPLATE(mma_tiles, e4m3, simt::numerics::hopper)->Apply(blocks);

}  // namespace
