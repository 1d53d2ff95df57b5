//  What the plain machine of the host target costs: a switch between fibers, a block barrier, a GEMM on tiles of mma.sync.
//
//  The checked machine's figures come from a program of its own (bench/simt/checked), which bench_simt starts at its end.
#include <tenon/gemm/gemm.hpp>
#include <tenon/simt/launch.hpp>
#include <tenon/simt/plain/block.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>

#include "checked/gemm_tiles.hpp"

namespace {

namespace simt = tenon::simt;

/// Two fibers that hand over to each other.
void fiber_switch(benchmark::State& state) {
  static simt::fiber main, other;
  simt::stack_pool   stacks;
  stacks.reserve(1);
  other.prepare(stacks.stack(0), stacks.usable_bytes(), 0, [] {
    simt::fiber::entered();
    for (;;) main.resume_from(other);
  });
  for (auto _ : state) other.resume_from(main);
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(fiber_switch);

/// One barrier of a block: as many switches as it has threads.
void block_barrier(benchmark::State& state) {
  auto const    threads  = static_cast<unsigned>(state.range(0));
  constexpr int barriers = 1000;
  for (auto _ : state)
    simt::launch(
        [] {
          for (int i = 0; i < barriers; ++i) simt::machine::sync_block({});
        },
        1, threads, 0);
  state.SetItemsProcessed(static_cast<std::int64_t>(threads) * barriers * state.iterations());
}
BENCHMARK(block_barrier)->Arg(32)->Arg(128)->Arg(256)->Arg(1024);

void gemm_tiles(benchmark::State& state, simt::numerics sums) { bench::gemm_tiles(state, sums); }
BENCHMARK_CAPTURE(gemm_tiles, plain_f32, simt::numerics::f32);
BENCHMARK_CAPTURE(gemm_tiles, plain_ampere, simt::numerics::ampere);
BENCHMARK_CAPTURE(gemm_tiles, plain_hopper, simt::numerics::hopper);

}  // namespace
