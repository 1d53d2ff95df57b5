#pragma once
//  Times several ways to compute something against each other: round after round, each takes its turn, and the median of the
//  rounds counts. So a clock that drifts drifts under all of them.
//
//  CUDA: a turn is a graph of calls over rotated operands, long enough that its launch does not show, between two events.
//  Host: calls over rotated operands, wall time.
#include <tenon/core/context.hpp>
#include <tenon/core/status.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#if TENON_CUDA
#  include <dlfcn.h>
#endif

namespace bench {

/// One way to compute something: a policy of ours, or an algorithm of a rival. `set` says which of the rotated operands.
struct way {
  std::string                                              name;
  std::function<tenon::status(tenon::context const&, int)> call;
};

/// Ways to compute one thing; the first is what a caller gets who asks for nothing.
struct computation {
  traffic          moved;     // at the least
  int              sets = 0;  // of operands that the calls rotate over
  std::vector<way> ways = {};
};

/// One way in a race, and what came out.
struct runner {
  computation const* of;
  way const*         how;
  tenon::status      status  = {};
  double             seconds = 0;  // of one call, median of the rounds; 0: did not run
  double             spread  = 0;  // (90th - 10th percentile) / median of the rounds
  int                rounds  = 0;
  int                calls   = 1;  // of one turn
};

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline void summarise(runner& r, std::vector<double> turns) {
  if (turns.empty()) return;
  std::sort(turns.begin(), turns.end());
  auto const at = [&](double q) {
    return turns[static_cast<std::size_t>(q * static_cast<double>(turns.size() - 1) + 0.5)];
  };
  r.rounds  = static_cast<int>(turns.size());
  r.seconds = at(0.5) / r.calls;
  r.spread  = (at(0.9) - at(0.1)) / at(0.5);
}

#if TENON_CUDA
/// The device's clock and power while it works, from NVIDIA's management library where that is there.
class device_state {
 public:
  device_state() {
    void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!library) return;
    auto const start = reinterpret_cast<int (*)()>(dlsym(library, "nvmlInit_v2"));
    auto const handle =
        reinterpret_cast<int (*)(char const*, void**)>(dlsym(library, "nvmlDeviceGetHandleByPciBusId_v2"));
    clock_       = reinterpret_cast<int (*)(void*, int, unsigned*)>(dlsym(library, "nvmlDeviceGetClockInfo"));
    power_       = reinterpret_cast<int (*)(void*, unsigned*)>(dlsym(library, "nvmlDeviceGetPowerUsage"));
    char bus[32] = "";
    cudaDeviceGetPCIBusId(bus, sizeof bus, 0);
    if (!start || !handle || start() != 0 || handle(bus, &device_) != 0) device_ = nullptr;
  }
  /// MHz of the multiprocessors; 0 where nothing tells
  unsigned clock() const {
    unsigned mhz = 0;
    return device_ && clock_ && clock_(device_, 1, &mhz) == 0 ? mhz : 0;
  }
  /// W
  unsigned power() const {
    unsigned milliwatts = 0;
    return device_ && power_ && power_(device_, &milliwatts) == 0 ? milliwatts / 1000 : 0;
  }

 private:
  void* device_                        = nullptr;
  int (*clock_)(void*, int, unsigned*) = nullptr;
  int (*power_)(void*, unsigned*)      = nullptr;
};
#else
class device_state {
 public:
  unsigned clock() const { return 0; }
  unsigned power() const { return 0; }
};
#endif

/// What the races of one program share.
class track {
 public:
  track() {
#if TENON_CUDA
    cudaStreamCreate(&stream_);
    where_           = device_context(stream_);
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    where_.workspace.size =
        std::min(std::size_t{2} << 30, free / 8);  // the largest weight in 16 bits, and sums of parts
    where_.counters.size = 1 << 18;
    void *workspace = nullptr, *counters = nullptr;
    if (cudaMalloc(&workspace, where_.workspace.size) != cudaSuccess) where_.workspace.size = 0;
    if (cudaMalloc(&counters, static_cast<std::size_t>(where_.counters.size) * 4) != cudaSuccess)
      where_.counters.size = 0;
    else cudaMemset(counters, 0, static_cast<std::size_t>(where_.counters.size) * 4);
    where_.workspace.data = static_cast<std::byte*>(workspace);
    where_.counters.data  = static_cast<unsigned*>(counters);
#endif
  }

  /// Whether the device answers: after a fault it never does again.
  bool alive() const {
#if TENON_CUDA
    return cudaStreamSynchronize(stream_) == cudaSuccess;
#else
    return true;
#endif
  }
  tenon::context const& where() const { return where_; }

  unsigned clock = 0, power = 0;  // MHz and W in the last race

  /// One call, timed alone: enough to leave out what is far behind. The first call of a way is not counted.
  double once(runner& r) {
    r.status = r.how->call(where_, 0);
    if (!finished(r)) return 0;
    double best = 0;
    for (int i = 1; i <= 2; ++i) {
      double const begin = seconds_now();
#if TENON_CUDA
      double const s = event_seconds(stream_, 1, [&](cudaStream_t) { r.status = r.how->call(where_, i % r.of->sets); });
      (void)begin;
#else
      r.status       = r.how->call(where_, i % r.of->sets);
      double const s = std::max(seconds_now() - begin, 1e-9);
#endif
      if (!finished(r)) return 0;
      best = best == 0 ? s : std::min(best, s);
    }
    return best;
  }

  /// Everyone's median over as many rounds as fit into `seconds`, at least three.
  void race(std::vector<runner*> runners, double seconds);

 private:
  bool finished(runner& r) const {
#if TENON_CUDA
    if (r.status.ok() && (cudaGetLastError() != cudaSuccess || cudaStreamSynchronize(stream_) != cudaSuccess))
      r.status = {tenon::errc::launch_failed, "bench", "call"};
#endif
    return r.status.ok();
  }

  tenon::context where_;
  device_state   state_;
#if TENON_CUDA
  cudaStream_t stream_ = nullptr;
#endif
};

inline void track::race(std::vector<runner*> runners, double seconds) {
  double round = 0;
  for (runner* r : runners) {
    double const each = once(*r);
    if (each == 0) continue;
      // A turn goes over all operands, and over them again until it is long beside the launch of a graph.
#if TENON_CUDA
    double const enough = 300e-6, much = 5e-3;
#else
    double const enough = 2e-3, much = 20e-3;
#endif
    r->calls = each > much ? 1 : r->of->sets * std::max(1, static_cast<int>(std::ceil(enough / (each * r->of->sets))));
    if (each * r->calls > 4 * much) r->calls = std::max(1, static_cast<int>(4 * much / each));
    round += each * r->calls;
  }
  std::erase_if(runners, [](runner const* r) { return !r->status.ok(); });
  if (runners.empty()) return;
  int const                        rounds = std::clamp(static_cast<int>(seconds / round), 3, 21);
  std::vector<std::vector<double>> turns(runners.size());
#if TENON_CUDA
  struct turn {
    cudaGraphExec_t graph = nullptr;
    cudaEvent_t     begin = nullptr, end = nullptr;
  };
  std::vector<turn> prepared(runners.size());
  for (std::size_t i = 0; i < runners.size(); ++i) {
    runner&     r     = *runners[i];
    cudaGraph_t graph = nullptr;
    cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
    for (int call = 0; call < r.calls && r.status.ok(); ++call) r.status = r.how->call(where_, call % r.of->sets);
    cudaStreamEndCapture(stream_, &graph);
    if (r.status.ok() && (!graph || cudaGraphInstantiate(&prepared[i].graph, graph, 0) != cudaSuccess))
      prepared[i].graph = nullptr, r.status = {tenon::errc::unsupported, "bench", "graph"};
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    cudaEventCreate(&prepared[i].begin), cudaEventCreate(&prepared[i].end);
    if (prepared[i].graph) cudaGraphUpload(prepared[i].graph, stream_);
  }
  for (int round_number = -1; round_number < rounds; ++round_number) {  // the first is a warm-up
    for (std::size_t i = 0; i < runners.size(); ++i) {
      turn const& t = prepared[(i + static_cast<std::size_t>(round_number + 1)) % runners.size()];
      if (!t.graph) continue;
      cudaEventRecord(t.begin, stream_);
      cudaGraphLaunch(t.graph, stream_);
      cudaEventRecord(t.end, stream_);
    }
    if (round_number == rounds / 2) clock = state_.clock(), power = state_.power();
    if (cudaStreamSynchronize(stream_) != cudaSuccess) break;
    for (std::size_t i = 0; i < runners.size(); ++i) {
      float milliseconds = 0;
      if (!prepared[i].graph || round_number < 0) continue;
      cudaEventElapsedTime(&milliseconds, prepared[i].begin, prepared[i].end);
      turns[i].push_back(1e-3 * static_cast<double>(milliseconds));
    }
  }
  for (turn const& t : prepared) {
    if (t.graph) cudaGraphExecDestroy(t.graph);
    cudaEventDestroy(t.begin), cudaEventDestroy(t.end);
  }
#else
  clock = state_.clock(), power = state_.power();
  for (int round_number = 0; round_number < rounds; ++round_number)
    for (std::size_t n = 0; n < runners.size(); ++n) {
      std::size_t const i     = (n + static_cast<std::size_t>(round_number)) % runners.size();
      runner&           r     = *runners[i];
      double const      begin = seconds_now();
      for (int call = 0; call < r.calls && r.status.ok(); ++call) r.status = r.how->call(where_, call % r.of->sets);
      turns[i].push_back(seconds_now() - begin);
    }
#endif
  for (std::size_t i = 0; i < runners.size(); ++i)
    if (runners[i]->status.ok()) summarise(*runners[i], turns[i]);
}

/// The first way, and the best `count` of the others by one call each.
inline std::vector<runner> shortlist(track& on, computation const& p, std::size_t count) {
  std::vector<runner>                        runners{{.of = &p, .how = &p.ways.front()}};
  std::vector<std::pair<double, way const*>> others;
  double const                               begin = seconds_now();
  for (std::size_t i = 1; i < p.ways.size() && (others.size() < count || seconds_now() < begin + 0.1); ++i) {
    runner trial{.of = &p, .how = &p.ways[i]};
    if (double const s = on.once(trial); s > 0) others.push_back({s, trial.how});
  }
  std::sort(others.begin(), others.end(), [](auto const& a, auto const& b) { return a.first < b.first; });
  if (others.size() > count) others.resize(count);
  for (auto const& other : others) runners.push_back({.of = &p, .how = other.second});
  return runners;
}

inline double best_of(std::vector<runner> const& runners) {
  double best = 0;
  for (auto const& r : runners)
    if (r.seconds > 0 && (best == 0 || r.seconds < best)) best = r.seconds;
  return best;
}

inline std::string explain(tenon::status const& s) {
  return std::string(s.primitive) + ": " + to_string(s.code) + ": " + s.subject;
}

}  // namespace bench
