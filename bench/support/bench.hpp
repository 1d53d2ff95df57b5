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
#include <tenon/core/tensor_view.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>
#if !TENON_CUDA
#  include <unistd.h>
#endif

namespace bench {

/// What one call moves and computes at the least.
struct traffic {
  std::int64_t bytes      = 0;  // read once plus written once
  std::int64_t operations = 0;  // a multiply-add is two
};

/// Bytes that a view's elements take when each is moved once.
template <class T, int Rank>
std::int64_t bytes(tenon::tensor_view<T, Rank> const& v) {
  return v.size() * static_cast<std::int64_t>(sizeof(T));
}

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

#if TENON_CUDA
inline std::int64_t last_level_cache() {
  int bytes = 0;
  cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, 0);
  return bytes;
}

inline tenon::context device_context(cudaStream_t stream) {
  tenon::context where;
  where.stream = stream;
  where.arch   = tenon::arch::built_for();
  cudaDeviceGetAttribute(&where.multiprocessors, cudaDevAttrMultiProcessorCount, 0);
  return where;
}

/// Median seconds of work(stream), which is enqueued between two events.
template <class Work>
double event_seconds(cudaStream_t stream, int replays, Work const& work) {
  cudaEvent_t begin, end;
  cudaEventCreate(&begin), cudaEventCreate(&end);
  std::vector<double> seconds;
  for (int i = 0; i < replays; ++i) {
    cudaEventRecord(begin, stream);
    work(stream);
    cudaEventRecord(end, stream);
    cudaEventSynchronize(end);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    seconds.push_back(1e-3 * static_cast<double>(milliseconds));
  }
  cudaEventDestroy(begin), cudaEventDestroy(end);
  return median(seconds);
}

/// Bytes per second, read plus written, of a device-to-device copy that no cache holds.
inline double copy_bandwidth() {
  static double const measured = [] {
    std::size_t const size = std::size_t{1} << 30;
    void *            from = nullptr, *to = nullptr;
    cudaMalloc(&from, size), cudaMalloc(&to, size);
    cudaMemset(from, 1, size);
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    double const seconds = event_seconds(
        stream, 11, [&](cudaStream_t s) { cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToDevice, s); });
    cudaStreamDestroy(stream);
    cudaFree(from), cudaFree(to);
    return 2 * static_cast<double>(size) / seconds;
  }();
  return measured;
}
#else
inline std::int64_t last_level_cache() {
  long const level3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return level3 > 0 ? std::min<std::int64_t>(level3, 64 << 20) : 32 << 20;
}

/// Bytes per second, read plus written, of memcpy on all cores at once.
inline double copy_bandwidth() {
  static double const measured = [] {
    std::size_t const      size = std::size_t{128} << 20;
    std::vector<std::byte> from(size, std::byte{1}), to(size);
    unsigned const         cores = std::max(1u, std::thread::hardware_concurrency());
    std::vector<double>    seconds;
    for (int replay = 0; replay < 5; ++replay) {
      auto const               begin = std::chrono::steady_clock::now();
      std::vector<std::thread> threads;
      for (unsigned c = 0; c < cores; ++c)
        threads.emplace_back([&, c] {
          std::size_t const first = size * c / cores, last = size * (c + 1) / cores;
          std::memcpy(to.data() + first, from.data() + first, last - first);
        });
      for (auto& t : threads) t.join();
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return 2 * static_cast<double>(size) / median(seconds);
  }();
  return measured;
}
#endif

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
