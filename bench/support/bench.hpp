#pragma once
//  Measuring one call of an operator, the same source on both targets.
//
//  Host: wall time of calls over rotated operands. CUDA: a graph of calls over rotated operands is replayed between two
//  events; the median replay counts. Operands are rotated past twice the last-level cache, so a call finds memory cold.
//  Bytes and operations are declared by the bench; "of_copy" is bytes over time over the bandwidth of a copy measured in
//  the same process. A bench never checks results, a test never times.
//
//    struct operands { test::tensor<float, 2> x, y; operands(...) : ... {} };
//    void rms_norm(benchmark::State& state) {
//      auto const tokens = state.range(0), hidden = state.range(1);
//      bench::measure(state, {.bytes = 2 * 4 * tokens * hidden},
//                     [&] { return std::make_unique<operands>(tokens, hidden); },
//                     [&](tenon::context const& where, operands& o) { return tenon::rms_norm(where, ...); });
//    }
//    BENCHMARK(rms_norm)->ArgNames({"tokens", "hidden"})->ArgsProduct({{1, 32}, {4096}})->Apply(bench::timed);
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/status.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "measure.hpp"

namespace bench {

/// Bandwidth, rate and the ratio to a copy, from the time that the benchmark reports.
inline void report(benchmark::State& state, traffic const& moved) {
  using benchmark::Counter;
  auto const rate = Counter::kIsIterationInvariantRate;
  if (moved.bytes > 0) {
    state.counters["bytes/s"] = Counter(static_cast<double>(moved.bytes), rate, Counter::kIs1000);
    state.counters["of_copy"] = Counter(static_cast<double>(moved.bytes) / copy_bandwidth(), rate);
  }
  if (moved.operations > 0)
    state.counters["ops/s"] = Counter(static_cast<double>(moved.operations), rate, Counter::kIs1000);
}

/// Times call(context, operands) over as many operands as make every call start cold.
template <class Make, class Call>
void measure(benchmark::State& state, traffic const& moved, Make const& make, Call const& call) {
  auto const                    per_set = std::max<std::int64_t>(moved.bytes, 1);
  auto const                    sets    = std::clamp<std::int64_t>(2 * last_level_cache() / per_set + 1, 2, 256);
  std::vector<decltype(make())> operands;
  for (std::int64_t i = 0; i < sets; ++i) operands.push_back(make());
  tenon::status s;
#if TENON_CUDA
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  tenon::context const where = device_context(stream);
  auto const           all   = [&] {
    for (auto& o : operands)
      if (s.ok()) s = call(where, *o);
  };
  all();  // warm: modules loaded, attributes set
  cudaStreamSynchronize(stream);
  cudaGraph_t     graph      = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  all();
  cudaStreamEndCapture(stream, &graph);
  if (!s.ok() || cudaGraphInstantiate(&executable, graph, 0) != cudaSuccess) {
    state.SkipWithError(s.ok() ? "capture failed" : s.subject);
  } else {
    for (auto _ : state)
      state.SetIterationTime(event_seconds(stream, 21, [&](cudaStream_t on) { cudaGraphLaunch(executable, on); }) /
                             static_cast<double>(sets));
    cudaGraphExecDestroy(executable);
  }
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
#else
  tenon::context const where;
  std::size_t          next = 0;
  for (auto& o : operands)
    if (s.ok()) s = call(where, *o);  // warm: pages touched
  for (auto _ : state) {
    if (!s.ok()) {
      state.SkipWithError(s.subject);
      break;
    }
    s    = call(where, *operands[next]);
    next = next + 1 < operands.size() ? next + 1 : 0;
  }
#endif
  report(state, moved);
}

/// Wall time on the host, the device's own time on CUDA.
inline void timed(benchmark::internal::Benchmark* b) {
#if TENON_CUDA
  b->UseManualTime()->Iterations(1)->Unit(benchmark::kMicrosecond);
#else
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
#endif
}

}  // namespace bench
