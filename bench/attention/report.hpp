#pragma once
//  What the attention benchmark leaves: a line per cell, a summary of its goals, and JSON with everything.
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../support/results_file.hpp"
#include "../support/text.hpp"
#include "cell.hpp"

namespace bench {

/// One cell, measured.
struct record {
  std::string  group;
  cell         of;
  traffic      moved;
  std::int64_t kv_bytes = 0;
  double       seconds = 0, spread = 0;  // 0: did not run, see `error`
  int          rounds = 0;
  double       cudnn  = 0;            // seconds; 0: none
  std::string  cudnn_why;             // it has none
  unsigned     clock = 0, power = 0;  // MHz, W
  std::string  error;
  std::string  plan;  // that was followed

  std::string name() const { return group + ": " + of.name; }
  /// Bytes that a bandwidth is held against: those of K and V, which are most; of calls that do not attend, all.
  std::int64_t held_bytes() const {
    return of.how == call_kind::append || of.how == call_kind::merged ? moved.bytes : kv_bytes;
  }
  std::string unit() const { return of.cache == "f16" ? "f16" : "bf16"; }
  /// What is done per second: operations, or bytes of K and V.
  double rate() const { return static_cast<double>(of.compute ? moved.operations : held_bytes()) / seconds; }
};

/// Of the machine, measured in the same run.
struct ceilings {
  double                        copy = 0, read = 0;  // bytes per second: read plus written, only read
  std::map<std::string, double> rate;  // operations per second of a product of 8192 x 8192 x 8192, by type

  double rate_of(record const& r) const {
    auto const at = rate.find(r.unit());
    return at == rate.end() ? 0 : at->second;
  }
  double floor(record const& r) const {
    double const memory = static_cast<double>(r.moved.bytes) / copy, most = rate_of(r);
    return most > 0 ? std::max(memory, static_cast<double>(r.moved.operations) / most) : memory;
  }
};

inline record const* find(std::vector<record> const& records, std::string const& group, std::string const& name) {
  for (auto const& r : records)
    if (r.group == group && r.of.name == name && r.seconds > 0) return &r;
  return nullptr;
}

struct aim_words {
  char const* what;
  bool        most;  // the figure is to be no more than the goal
};
inline aim_words words_of(aim a) {
  switch (a) {
    case aim::most_us: return {"us", true};
    case aim::least_of_copy: return {"% of copy", false};
    case aim::least_tflops: return {"TFLOP/s", false};
    case aim::times_as_quick: return {"times as quick", false};
    case aim::most_time: return {"times the time", true};
    case aim::least_rate: return {"of the rate", false};
    case aim::most_more_us: return {"us more", true};
    case aim::times_cudnn: return {"times as quick as cuDNN", false};
  }
  return {"", false};
}

/// The figure that a goal is about; none where something it needs was not measured.
inline std::optional<double> figure(goal const& g, record const& r, std::vector<record> const& records,
                                    ceilings const& of) {
  if (!(r.seconds > 0)) return {};
  record const* const beside = find(records, r.group, r.of.beside);
  switch (g.of) {
    case aim::most_us: return r.seconds * 1e6;
    case aim::least_of_copy: return 100 * static_cast<double>(r.held_bytes()) / r.seconds / of.copy;
    case aim::least_tflops: return static_cast<double>(r.moved.operations) / r.seconds * 1e-12;
    case aim::times_cudnn: return r.cudnn > 0 ? std::optional(r.cudnn / r.seconds) : std::nullopt;
    default: break;
  }
  if (!beside) return {};
  switch (g.of) {
    case aim::times_as_quick: return beside->seconds / r.seconds;
    case aim::most_time: return r.seconds / beside->seconds;
    case aim::least_rate: return r.rate() / beside->rate();
    case aim::most_more_us: return (r.seconds - beside->seconds) * 1e6;
    default: return {};
  }
}
/// "best", "met", "missed"; "-" without a figure
inline char const* verdict(goal const& g, std::optional<double> const& v) {
  if (!v) return "-";
  auto const holds = [&](double limit) { return words_of(g.of).most ? *v <= limit : *v >= limit; };
  if (g.best > 0 && holds(g.best)) return "best";
  return holds(g.must) ? "met" : "missed";
}

inline void print_head() {
  std::printf("%-26s %10s %8s %9s %6s %6s %6s %6s %6s %7s\n", "cell", "us", TENON_CUDA ? "TFLOP/s" : "GFLOP/s", "GB/s",
              "copy", "read", "rate", "floor", "cudnn", "beside");
}
inline void print(record const& r, std::vector<record> const& records, ceilings const& of) {
  if (r.seconds == 0) {
    std::printf("  %-24s %10s  %s\n", r.of.name.c_str(), "-", r.error.c_str());
    return;
  }
  auto const text = [](double v, char const* form, int width) {
    char s[24];
    if (v > 0) std::snprintf(s, sizeof s, form, v);
    else std::snprintf(s, sizeof s, "%*s", width, "-");
    return std::string(s);
  };
  double const kv            = static_cast<double>(r.held_bytes()) / r.seconds,
               operations    = static_cast<double>(r.moved.operations) / r.seconds;
  record const* const beside = find(records, r.group, r.of.beside);
  std::printf("  %-24s %10.2f %s %9.1f %5.1f%% %5.1f%% %s %5.1f%% %s %s", r.of.name.c_str(), r.seconds * 1e6,
              text(operations * (TENON_CUDA ? 1e-12 : 1e-9), "%8.2f", 8).c_str(), kv * 1e-9, 100 * kv / of.copy,
              100 * kv / of.read, text(of.rate_of(r) > 0 ? 100 * operations / of.rate_of(r) : 0, "%5.1f%%", 6).c_str(),
              100 * of.floor(r) / r.seconds, text(r.cudnn / r.seconds, "%6.2f", 6).c_str(),
              text(beside ? beside->seconds / r.seconds : 0, "%7.3f", 7).c_str());
  for (auto const& g : r.of.goals) {
    auto const v = figure(g, r, records, of);
    if (v) std::printf("  %.3g %s (%g): %s", *v, words_of(g.of).what, g.must, verdict(g, v));
  }
  if (!r.cudnn_why.empty()) std::printf("  cuDNN: %s", r.cudnn_why.c_str());
  std::printf("\n");
}

/// Which goals hold.
inline void print_summary(std::vector<record> const& records, ceilings const& of) {
  int best = 0, met = 0, missed = 0, open = 0;
  for (auto const& r : records)
    for (auto const& g : r.of.goals) {
      std::string const v = verdict(g, figure(g, r, records, of));
      (v == "best" ? best : v == "met" ? met : v == "missed" ? missed : open)++;
    }
  std::printf("\nGoals: %d missed, %d met, %d of these with the figure beyond them, too, %d without a figure\n", missed,
              met + best, best, open);
  for (auto const& r : records)
    for (auto const& g : r.of.goals) {
      auto const v = figure(g, r, records, of);
      if (std::string(verdict(g, v)) == "missed")
        std::printf("  %-48s %.3g %s instead of %g\n", r.name().c_str(), *v, words_of(g.of).what, g.must);
    }
}

/// Everything, for bench/plot/.
inline bool write_json(std::string const& path, std::string const& command, ceilings const& of,
                       std::vector<record> const& records, bool complete) {
  results_file file(path);
  FILE* const  to = file.to();
  if (!to) return false;
  file.facts(command, complete,
             "\"cudnn\": " + quoted(cudnn_version()) + ", \"copy_bytes_per_second\": " + number(of.copy) +
                 ", \"read_bytes_per_second\": " + number(of.read) + ", ",
             of.rate);
  std::fprintf(to, " \"records\": [");
  char const* comma = "";
  for (auto const& r : records) {
    cell const&   c       = r.of;
    index_t const longest = *std::max_element(c.keys.begin(), c.keys.end());
    std::fprintf(
        to,
        "%s\n  {\"group\": %s, \"cell\": %s, \"cache\": %s, \"requests\": %zu, \"tokens\": %lld, \"longest\": %lld, "
        "\"heads\": %lld, \"kv_heads\": %lld, \"head_dim\": %lld, \"page\": %lld, \"causal\": %s, \"compute\": %s",
        comma, quoted(r.group).c_str(), quoted(c.name).c_str(), quoted(c.cache).c_str(), c.keys.size(),
        static_cast<long long>(tokens_of(c)), static_cast<long long>(longest), static_cast<long long>(c.heads),
        static_cast<long long>(c.kv_heads), static_cast<long long>(c.head_dim), static_cast<long long>(c.page),
        c.causal ? "true" : "false", c.compute ? "true" : "false");
    std::fprintf(
        to, ", \"bytes\": %lld, \"kv_bytes\": %lld, \"held_bytes\": %lld, \"operations\": %lld, \"seconds\": %s",
        static_cast<long long>(r.moved.bytes), static_cast<long long>(r.kv_bytes),
        static_cast<long long>(r.held_bytes()), static_cast<long long>(r.moved.operations), number(r.seconds).c_str());
    if (r.seconds > 0)
      std::fprintf(to, ", \"spread\": %.4f, \"rounds\": %d, \"floor_seconds\": %s", r.spread, r.rounds,
                   number(of.floor(r)).c_str());
    else std::fprintf(to, ", \"error\": %s", quoted(r.error).c_str());
    if (c.rival) std::fprintf(to, ", \"cudnn_seconds\": %s", number(r.cudnn).c_str());
    if (!r.cudnn_why.empty()) std::fprintf(to, ", \"cudnn_why\": %s", quoted(r.cudnn_why).c_str());
    if (!r.plan.empty()) std::fprintf(to, ", \"plan\": %s", quoted(r.plan).c_str());
    if (!c.beside.empty()) std::fprintf(to, ", \"beside\": %s", quoted(c.beside).c_str());
    if (r.clock) std::fprintf(to, ", \"clock_mhz\": %u, \"power_w\": %u", r.clock, r.power);
    if (!c.goals.empty()) {
      std::fprintf(to, ", \"goals\": [");
      char const* separator = "";
      for (auto const& g : c.goals) {
        auto const v = figure(g, r, records, of);
        std::fprintf(to, "%s{\"what\": %s, \"most\": %s, \"must\": %g, \"best\": %s, \"figure\": ", separator,
                     quoted(words_of(g.of).what).c_str(), words_of(g.of).most ? "true" : "false", g.must,
                     number(g.best, "%g").c_str());
        if (v) std::fprintf(to, "%.6g", *v);
        else std::fprintf(to, "null");
        std::fprintf(to, ", \"verdict\": \"%s\"}", verdict(g, v)), separator = ", ";
      }
      std::fprintf(to, "]");
    }
    std::fprintf(to, "}"), comma = ",";
  }
  std::fprintf(to, "]}\n");
  return file.close();
}

}  // namespace bench
