//  Matrix products of a decoder's layers in every format, each beside its floor and, on CUDA, beside cuBLASLt in the same
//  run (docs/benchmarks.md).
//
//    --shapes TEXT,...   only layers whose name contains one of these: "Llama-3-8B", "gate_up"
//    --m N,...           only these numbers of rows
//    --formats NAME,...  only these formats
//    --without NAME,...  not these
//    --seconds S         stop when this much time has passed; what matters most comes first
//    --cell S            time for the rounds of one cell (default 0.04)
//    --algorithms N      ask cuBLASLt for so many (default 16)
//    --every-plan      also each policy of the menus, K in 1, 2, 4, 8 and 16 parts; the three best are kept
//    --memory GB         for operands (default 32; host 1)
//    --json FILE         everything that was measured
//    --list              layers, rows and formats, without measuring
//
//  A kernel that faults or never ends takes the device with it: then the program writes what it has, says "fault: FORMAT" and
//  leaves with status 3, so that it can be run again without that format.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "../support/study.hpp"
#include "../support/text.hpp"
#include "product.hpp"
#include "report.hpp"

namespace {

using bench::index_t;

struct options : bench::study_options {
  std::vector<std::string> shapes, formats, without;
  std::vector<index_t>     rows;
  int                      algorithms = 16;
  bool                     every_plan = false;
};

constexpr bench::layer layers[] = {
#if TENON_CUDA
    {"Llama-3-8B", "qkv", 6144, 4096},
    {"Llama-3-8B", "o", 4096, 4096},
    {"Llama-3-8B", "gate_up", 28672, 4096, true},
    {"Llama-3-8B", "down", 4096, 14336},
    {"Qwen2.5-7B", "qkv", 4608, 3584},
    {"Qwen2.5-7B", "gate_up", 37888, 3584, true},
    {"Qwen2.5-7B", "down", 3584, 18944},
    {"Qwen2.5-14B", "qkv", 7168, 5120},
    {"Qwen2.5-14B", "o", 5120, 5120},
    {"Qwen2.5-14B", "gate_up", 27648, 5120, true},
    {"Qwen2.5-14B", "down", 5120, 13824},
    {"Llama-70B", "qkv", 10240, 8192},
    {"Llama-70B", "o", 8192, 8192},
    {"Llama-70B", "gate_up", 57344, 8192, true},
    {"Llama-70B", "down", 8192, 28672},
#else
    {"stories260K", "qkv", 128, 64},
    {"stories260K", "o", 64, 64},
    {"stories260K", "gate_up", 344, 64, true},
    {"stories260K", "down", 64, 172},
    {"tenon-demo", "qkv", 320, 192},
    {"tenon-demo", "o", 192, 192},
    {"tenon-demo", "gate_up", 1024, 192, true},
    {"tenon-demo", "down", 192, 512},
    {"tenon-demo", "head", 2048, 192},
    {"Llama-3-8B", "o", 4096, 4096},  // one that no cache holds
#endif
};
/// In the order of importance.
#if TENON_CUDA
constexpr index_t few_rows[] = {1, 16, 8, 64, 32, 4, 2}, many_rows[] = {512, 128, 2048, 8192};
#else
constexpr index_t few_rows[] = {1, 16}, many_rows[] = {128};
#endif

bool read(options& o, int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    std::string const word = arguments[i];
    bool const        more = i + 1 < count;
    if (word == "--every-plan") o.every_plan = true;
    else if (word == "--list") o.list = true;
    else if (!more) return false;
    else if (word == "--shapes") o.shapes = bench::split(arguments[++i]);
    else if (word == "--formats") o.formats = bench::split(arguments[++i]);
    else if (word == "--without") o.without = bench::split(arguments[++i]);
    else if (word == "--algorithms") o.algorithms = std::max(1, std::atoi(arguments[++i]));
    else if (word == "--m")
      for (auto const& m : bench::split(arguments[++i])) o.rows.push_back(std::atoll(m.c_str()));
    else if (!bench::read_option(o, word, arguments[++i])) return false;
  }
  return true;
}

bool wanted(options const& o, bench::layer const& l) {
  return o.shapes.empty() || std::any_of(o.shapes.begin(), o.shapes.end(), [&](std::string const& part) {
           return to_string(l).find(part) != std::string::npos;
         });
}
/// Formats of one layer and number of rows that are measured against each other.
struct group {
  bench::layer               of;
  index_t                    m;
  std::vector<bench::format> formats;
};

/// Few rows of the formats with goals first, then the other formats, then many rows; the rest last.
std::vector<group> plan(options const& o, std::vector<bench::format> const& formats) {
  std::vector<group> groups;
  struct pass {
    int  importance;
    bool few;
  };
  for (pass const p : {pass{0, true}, pass{1, true}, pass{0, false}, pass{1, false}, pass{2, true}, pass{2, false}}) {
    std::vector<index_t> rows = o.rows;
    if (rows.empty() && p.few) rows.assign(std::begin(few_rows), std::end(few_rows));
    if (rows.empty()) rows.assign(std::begin(many_rows), std::end(many_rows));
    for (index_t const m : rows) {
      if (!o.rows.empty() && (m <= 64) != p.few) continue;
      for (auto const& l : layers) {
        group g{l, m, {}};
        for (auto const& f : formats)
          if (f.importance == p.importance && (l.gated || !f.gated) && m >= f.least_rows &&
              bench::wanted(o.formats, f.name))
            g.formats.push_back(f);
        if (wanted(o, l) && !g.formats.empty()) groups.push_back(g);
      }
    }
  }
  return groups;
}

/// What is measured and what it leaves (support/study.hpp).
struct gemm_study {
  options const&                    o;
  std::string                       command;
  std::vector<bench::format> const& formats;
  bench::ceilings                   of      = {};
  std::vector<bench::record>        records = {};

  void begin(bench::track& on, bench::arena& memory) {
    of.copy = bench::copy_bandwidth();
    for (auto const& f : formats) {
      if (of.rate.contains(f.unit) || !bench::wanted(o.formats, f.name)) continue;
      if (double const rate = bench::matrix_rate(on, memory, f.unit, o.algorithms); rate > 0) of.rate[f.unit] = rate;
    }
    std::printf("copy: %.1f GB/s", of.copy * 1e-9);
    for (auto const& [unit, rate] : of.rate) std::printf(", %s: %.1f TFLOP/s", unit.c_str(), rate * 1e-12);
    std::printf("\n\n");
    bench::print_head();
  }
  bool write(std::string const& path, bool complete) const {
    return bench::write_json(path, command, of, records, complete);
  }
  void summary() const { bench::print_summary(records, of); }

  void measure(group const& g, bench::track& on, bench::arena& memory, bench::watch& watching) {
    std::size_t const from = records.size();
    race(g, on, memory, watching);
    for (std::size_t i = from; i < records.size(); ++i) bench::print(records[i], of);
  }

 private:
  void race(group const& g, bench::track& on, bench::arena& memory, bench::watch& watching) {
    struct entrant {
      bench::format              format;
      bench::product             product;
      std::vector<bench::runner> runners;
    };
    memory.reset();
    std::vector<std::unique_ptr<entrant>>           ours;
    std::map<std::string, std::unique_ptr<entrant>> rivals;
    std::vector<bench::runner*>                     all;
    auto const                                      enter = [&](entrant& e) {
      if (memory.full() || e.product.ways.empty()) return;
      e.runners = bench::shortlist(on, e.product, 3);
      for (auto& r : e.runners) all.push_back(&r);
    };
    for (auto const& f : g.formats) {
      watching.note(f.name);
      ours.push_back(std::make_unique<entrant>());
      ours.back()->format  = f;
      ours.back()->product = f.make(memory, g.of, g.m, o.every_plan);
      enter(*ours.back());
      if (!on.alive()) break;  // that one was it
      if (auto& rival = rivals[f.rival]; !rival && !memory.full()) {
        watching.note("cublaslt " + f.rival);
        rival          = std::make_unique<entrant>();
        rival->product = bench::cublaslt_product(memory, f.rival, g.m, g.of.n, g.of.k, o.algorithms);
        enter(*rival);
      }
    }
    if (!on.alive()) return;
    watching.note("all of one cell at once");
    on.race(all, o.cell * static_cast<double>(all.size()));
    for (auto const& e : ours) {
      bench::record r{.of           = g.of,
                      .m            = g.m,
                      .format       = e->format.name,
                      .rival        = TENON_CUDA ? e->format.rival : "",
                      .unit         = e->format.unit,
                      .moved        = e->product.moved,
                      .weight_bytes = e->product.weight_bytes};
      if (e->runners.empty()) {
        r.error = "no memory for the operands";
      } else {
        auto const& chosen = e->runners.front();
        r.seconds = chosen.seconds, r.spread = chosen.spread, r.rounds = chosen.rounds;
        if (r.seconds == 0) r.error = bench::explain(chosen.status);
        for (std::size_t i = 1; i < e->runners.size(); ++i)
          if (e->runners[i].seconds > 0) r.plans.push_back({e->runners[i].how->name, e->runners[i].seconds});
        if (e->product.plan) r.plan = e->product.plan(on.where());
      }
      if (auto const& rival = rivals[e->format.rival]; rival && !rival->runners.empty()) {
        r.heuristic  = rival->runners.front().seconds;
        r.best       = bench::best_of(rival->runners);
        r.algorithms = static_cast<int>(rival->product.ways.size());
      }
      r.clock = on.clock, r.power = on.power;
      records.push_back(r);
    }
  }
};

}  // namespace

int main(int count, char** arguments) {
  options o;
  o.memory = TENON_CUDA ? 32 : 1;
  if (!read(o, count, arguments)) {
    std::fprintf(stderr,
                 "%s [--shapes TEXT,...] [--m N,...] [--formats NAME,...] [--without NAME,...] [--seconds S] [--cell "
                 "S] [--algorithms N] "
                 "[--every-plan] [--memory GB] [--json FILE] [--list]\n",
                 arguments[0]);
    return 2;
  }
  std::vector<bench::format> formats;
  bench::add_16_bit_formats(formats);
  bench::add_int4_formats(formats);
  bench::add_int8_formats(formats);
  bench::add_fp8_formats(formats);
  bench::add_two_step_formats(formats);
  bench::add_f32_formats(formats);
  std::erase_if(formats,
                [&](bench::format const& f) { return !o.without.empty() && bench::wanted(o.without, f.name); });
  auto const groups = plan(o, formats);
  if (o.list || groups.empty()) {
    for (auto const& g : groups)
      for (auto const& f : g.formats)
        std::printf("%s, m %lld, %s\n", to_string(g.of).c_str(), static_cast<long long>(g.m), f.name.c_str());
    return groups.empty() ? 2 : 0;
  }
  gemm_study study{o, bench::command(count, arguments), formats};
  return bench::run_study("bench_gemm", study.command, o, groups, study);
}
