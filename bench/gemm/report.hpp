#pragma once
//  What the GEMM benchmark leaves: a line per cell, a summary against the goals, and JSON with everything.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "../support/results_file.hpp"
#include "../support/text.hpp"
#include "goals.hpp"
#include "product.hpp"

namespace bench {

struct timed_plan {
  std::string plan;
  double      seconds;
};

/// One layer, number of rows and format.
struct record {
  layer                   of;
  index_t                 m;
  std::string             format, rival, unit;
  traffic                 moved;
  std::int64_t            weight_bytes = 0;
  double                  seconds = 0, spread = 0;  // 0: did not run, see `error`
  int                     rounds    = 0;
  double                  heuristic = 0, best = 0;  // seconds of cuBLASLt; 0: none
  int                     algorithms = 0;           // that the best was chosen from
  unsigned                clock = 0, power = 0;     // MHz, W
  std::string             error = {};
  std::string             plan  = {};  // that was followed
  std::vector<timed_plan> plans = {};  // the best of the others, where that was asked for
};

/// Of the machine, measured in the same run.
struct ceilings {
  double                        copy = 0;  // bytes per second, read plus written
  std::map<std::string, double> rate;      // operations per second of a product of 8192 x 8192 x 8192, by unit

  double floor(record const& r) const {
    auto const   at     = rate.find(r.unit);
    double const memory = static_cast<double>(r.moved.bytes) / copy;
    return at == rate.end() ? memory : std::max(memory, static_cast<double>(r.moved.operations) / at->second);
  }
};

inline void print_head() {
  std::printf("%-22s %5s  %-22s %10s %8s %8s %6s %6s %6s\n", "layer", "m", "format", "us", "GB/s",
              TENON_CUDA ? "TFLOP/s" : "GFLOP/s", "floor", "heur.", "best");
}
inline void print(record const& r, ceilings const& of) {
  if (r.seconds == 0) {
    std::printf("%-22s %5lld  %-22s %10s  %s\n", to_string(r.of).c_str(), static_cast<long long>(r.m), r.format.c_str(),
                "-", r.error.c_str());
    return;
  }
  auto const ratio = [&](double rival) {
    char text[16] = "     -";
    if (rival > 0) std::snprintf(text, sizeof text, "%6.2f", rival / r.seconds);
    return std::string(text);
  };
  std::printf("%-22s %5lld  %-22s %10.2f %8.2f %8.2f %5.1f%% %s %s\n", to_string(r.of).c_str(),
              static_cast<long long>(r.m), r.format.c_str(), r.seconds * 1e6,
              static_cast<double>(r.moved.bytes) / r.seconds * 1e-9,
              static_cast<double>(r.moved.operations) / r.seconds * (TENON_CUDA ? 1e-12 : 1e-9),
              100 * of.floor(r) / r.seconds, ratio(r.heuristic).c_str(), ratio(r.best).c_str());
  for (auto const& p : r.plans) std::printf("%31s%-50s %10.2f us\n", "", p.plan.c_str(), p.seconds * 1e6);
}

/// Geometric means by format and M, beside the goals.
inline void print_summary(std::vector<record> const& records, ceilings const& of) {
  std::set<index_t>        rows;
  std::vector<std::string> formats;
  for (auto const& r : records) {
    rows.insert(r.m);
    if (std::find(formats.begin(), formats.end(), r.format) == formats.end()) formats.push_back(r.format);
  }
  auto const each = [&](std::string const& format, auto const& value) {
    for (index_t const m : rows) {
      std::vector<double> v;
      for (auto const& r : records)
        if (r.format == format && r.m == m && r.seconds > 0 && value(r) > 0) v.push_back(value(r));
      if (v.empty()) std::printf("         -");
      else std::printf("%6.2f%4s", geometric_mean(v), ("/" + std::to_string(v.size())).c_str());
    }
    std::printf("\n");
  };
  auto const header = [&](char const* title) {
    std::printf("\n%s\n%-32s", title, "m");
    for (index_t const m : rows) std::printf("%6lld    ", static_cast<long long>(m));
    std::printf("\n");
  };
  for (auto const& [title, name, best] :
       {std::tuple{"Times as quick as cuBLASLt's heuristic: geometric mean / layers", "heuristic", false},
        std::tuple{"Times as quick as the best of cuBLASLt's algorithms: geometric mean / layers", "best", true}}) {
    if (std::none_of(records.begin(), records.end(), [](record const& r) { return r.heuristic > 0; })) break;
    header(title);
    for (auto const& f : formats) {
      std::printf("%-32s", f.c_str());
      bool const of_best = best;
      each(f, [of_best](record const& r) { return (of_best ? r.best : r.heuristic) / r.seconds; });
      for (auto const& g : goals)
        if (f == g.format && std::string(name) == g.against) {
          std::printf("%-32s", "  goal");
          for (index_t const m : rows) std::printf("%6.2f    ", g.ratio[goal_column(m)]);
          std::printf("\n");
        }
    }
  }
  header("Percent of the floor: geometric mean / layers");
  for (auto const& f : formats) {
    std::printf("%-32s", f.c_str());
    each(f, [&](record const& r) { return 100 * of.floor(r) / r.seconds; });
  }
  if (!TENON_CUDA) {
    header("GFLOP/s: geometric mean / layers");
    for (auto const& f : formats) {
      std::printf("%-32s", f.c_str());
      each(f, [](record const& r) { return 1e-9 * static_cast<double>(r.moved.operations) / r.seconds; });
    }
    return;
  }
  std::printf("\nPercent of the floor at m <= 16, by bytes of the weight: geometric mean / cells\n");
  for (auto const& f : formats) {
    std::printf("%-32s", f.c_str());
    for (auto const& g : floor_goals) {
      std::vector<double> v;
      for (auto const& r : records)
        if (r.format == f && r.m <= 16 && r.seconds > 0 && r.weight_bytes >= g.from && r.weight_bytes < g.to)
          v.push_back(100 * of.floor(r) / r.seconds);
      std::printf("  %s ", g.name);
      if (v.empty()) std::printf("-");
      else std::printf("%.1f/%zu", geometric_mean(v), v.size());
      if (g.least > 0) std::printf(" (goal %.0f)", 100 * g.least);
    }
    std::printf("\n");
  }
}

/// Everything, for bench/plot/.
inline bool write_json(std::string const& path, std::string const& command, ceilings const& of,
                       std::vector<record> const& records, bool complete) {
  results_file file(path);
  FILE* const  to = file.to();
  if (!to) return false;
  file.facts(command, complete, "\"copy_bytes_per_second\": " + number(of.copy) + ", ", of.rate);
  std::fprintf(to, " \"goals\": {\"rows\": [");
  char const* comma = "";
  for (index_t const m : goal_rows) std::fprintf(to, "%s%lld", comma, static_cast<long long>(m)), comma = ", ";
  std::fprintf(to, "], \"ratios\": [");
  comma = "";
  for (auto const& g : goals) {
    std::fprintf(to, "%s\n  {\"format\": %s, \"against\": %s, \"ratio\": [", comma, quoted(g.format).c_str(),
                 quoted(g.against).c_str());
    for (int i = 0; i < 8; ++i) std::fprintf(to, "%s%g", i ? ", " : "", g.ratio[i]);
    std::fprintf(to, "]}"), comma = ",";
  }
  std::fprintf(to, "],\n  \"floor\": [");
  comma = "";
  for (auto const& g : floor_goals)
    std::fprintf(to, "%s{\"name\": %s, \"from\": %lld, \"to\": %lld, \"least\": %g}", comma, quoted(g.name).c_str(),
                 static_cast<long long>(g.from), static_cast<long long>(g.to), g.least),
        comma = ", ";
  std::fprintf(to, "]},\n \"records\": [");
  comma = "";
  for (auto const& r : records) {
    bool const ran = r.seconds > 0;
    std::fprintf(to, "%s\n  {\"layer\": %s, \"n\": %lld, \"k\": %lld, \"m\": %lld, \"format\": %s, \"unit\": %s", comma,
                 quoted(to_string(r.of)).c_str(), static_cast<long long>(r.of.n), static_cast<long long>(r.of.k),
                 static_cast<long long>(r.m), quoted(r.format).c_str(), quoted(r.unit).c_str());
    std::fprintf(to, ", \"bytes\": %lld, \"weight_bytes\": %lld, \"operations\": %lld, \"seconds\": %s",
                 static_cast<long long>(r.moved.bytes), static_cast<long long>(r.weight_bytes),
                 static_cast<long long>(r.moved.operations), number(r.seconds).c_str());
    if (ran)
      std::fprintf(to, ", \"spread\": %.4f, \"rounds\": %d, \"floor_seconds\": %s", r.spread, r.rounds,
                   number(of.floor(r)).c_str());
    else std::fprintf(to, ", \"error\": %s", quoted(r.error).c_str());
    if (!r.rival.empty())
      std::fprintf(to, ", \"rival\": %s, \"heuristic_seconds\": %s, \"best_seconds\": %s, \"algorithms\": %d",
                   quoted("cublaslt " + r.rival).c_str(), number(r.heuristic).c_str(), number(r.best).c_str(),
                   r.algorithms);
    if (!r.plan.empty()) std::fprintf(to, ", \"plan\": %s", quoted(r.plan).c_str());
    if (r.clock) std::fprintf(to, ", \"clock_mhz\": %u, \"power_w\": %u", r.clock, r.power);
    if (!r.plans.empty()) {
      std::fprintf(to, ", \"plans\": {");
      char const* separator = "";
      for (auto const& p : r.plans)
        std::fprintf(to, "%s%s: %s", separator, quoted(p.plan).c_str(), number(p.seconds).c_str()), separator = ", ";
      std::fprintf(to, "}");
    }
    std::fprintf(to, "}"), comma = ",";
  }
  std::fprintf(to, "]}\n");
  return file.close();
}

}  // namespace bench
