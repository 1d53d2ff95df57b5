//  What a step costs the host: schedule() and commit() of sequences that decode, with their cache's manager.
//
//  Axis: sequences. Contexts of 512 to 4,500 tokens, a cache of 16-token pages with the prefix cache on; every 16th step of a
//  sequence takes a page and enters a full one into the index. Counters: heap allocations per step, ns per sequence.
#include <tenon/kv/kv_blocks.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "../../tests/support/counted_new.hpp"
#include "engine/schedule/scheduler.hpp"

namespace {

using namespace tenon::engine;

/// Sequences that all decode.
struct decoding {
  static constexpr int prompt = 512, most = 4000;

  tenon::kv_blocks<>        pages;
  scheduler                 schedule;
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> stops;
  std::int64_t              steps = 0;

  explicit decoding(int n)
      : pages({.blocks = n * 288, .max_sequences = n, .max_blocks_per_sequence = 288}),
        schedule({.max_sequences = n, .max_batched_tokens = 16384, .max_partial = n}, pages),
        ids(static_cast<std::size_t>(n)),
        stops(static_cast<std::size_t>(n)) {
    std::mt19937              random(1);
    std::vector<std::int32_t> text(prompt);
    for (int i = 0; i < n; ++i) {
      for (auto& t : text) t = static_cast<std::int32_t>(random() % 50000);
      if (schedule.submit({.tag = static_cast<std::uint64_t>(i), .prompt = text, .max_tokens = most}) != refusal::none)
        std::abort();
    }
    while (schedule.schedule(0).decodes < n) commit(random);
    commit(random);
  }
  void commit(std::mt19937& random) {
    auto const draws = static_cast<std::size_t>(schedule.schedule(0).draws);
    ids.resize(draws), stops.assign(draws, 0);
    for (auto& id : ids) id = static_cast<std::int32_t>(random() % 50000);
    schedule.commit(ids, stops);
  }
  bool over() const { return steps >= most - 200; }
};

void schedule_and_commit(benchmark::State& state) {
  auto const   n       = static_cast<int>(state.range(0));
  auto         batch   = std::make_unique<decoding>(n);
  std::int64_t counted = 0;
  for (auto _ : state) {
    if (batch->over()) {
      state.PauseTiming();
      batch.reset();
      batch = std::make_unique<decoding>(n);
      state.ResumeTiming();
    }
    std::int64_t const before = test::allocations;
    step_plan const&   plan   = batch->schedule.schedule(0);
    if (plan.decodes != n) state.SkipWithError("not all decode");
    batch->schedule.commit(batch->ids, batch->stops);
    counted += test::allocations - before;
    batch->steps++;
  }
  state.SetItemsProcessed(state.iterations() * n);
  state.counters["allocations_per_step"] =
      benchmark::Counter(static_cast<double>(counted), benchmark::Counter::kAvgIterations);
}
BENCHMARK(schedule_and_commit)->Arg(256)->Arg(1024)->Unit(benchmark::kMicrosecond);

}  // namespace
