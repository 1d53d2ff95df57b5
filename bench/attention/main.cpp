//  Attention over paged caches: decoding, prompts, chunks of prompts and appending, in every format of cache, each beside its
//  floor, beside the call that it is to match, and on CUDA beside cuDNN in the same run (docs/benchmarks.md).
//
//    --filter TEXT,...   only cells whose "group: cell" contains one of these, and the cells beside them
//    --without TEXT,...  not these; "cudnn": no rival
//    --quick             only what matters most
//    --seconds S         stop when this much time has passed; what matters most comes first
//    --cell S            time for the rounds of one cell (default 0.04)
//    --memory GB         for operands (default 48; host 1)
//    --json FILE         everything that was measured
//    --list              cells, bytes and operations, without measuring
//
//  A kernel that faults or never ends takes the device with it: then the program writes what it has, says "fault: GROUP: CELL"
//  and leaves with status 3, so that it can be run again without that cell.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "../gemm/product.hpp"
#include "../support/study.hpp"
#include "../support/text.hpp"
#include "cell.hpp"
#include "report.hpp"

namespace {

using bench::cell, bench::cell_group, bench::index_t;

struct options : bench::study_options {
  std::vector<std::string> filter, without;
  bool                     quick = false;
};

bool read(options& o, int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    std::string const word = arguments[i];
    bool const        more = i + 1 < count;
    if (word == "--quick") o.quick = true;
    else if (word == "--list") o.list = true;
    else if (!more) return false;
    else if (word == "--filter") o.filter = bench::split(arguments[++i]);
    else if (word == "--without") o.without = bench::split(arguments[++i]);
    else if (!bench::read_option(o, word, arguments[++i])) return false;
  }
  return true;
}

bool any_of(std::vector<std::string> const& parts, std::string const& name) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](auto const& part) { return name.find(part) != std::string::npos; });
}

/// What was asked for, the most important groups first.
std::vector<cell_group> plan(options const& o) {
  std::vector<cell_group> groups;
  for (cell_group const& all : bench::attention_cells()) {
    if (o.quick && all.importance > 0) continue;
    auto const asked = [&](cell const& c) { return o.filter.empty() || any_of(o.filter, all.name + ": " + c.name); };
    cell_group g{all.name, all.importance, {}};
    for (cell const& c : all.cells) {
      bool const needed = std::any_of(all.cells.begin(), all.cells.end(),
                                      [&](cell const& other) { return other.beside == c.name && asked(other); });
      if ((asked(c) || needed) && !any_of(o.without, all.name + ": " + c.name)) g.cells.push_back(c);
    }
    if (!g.cells.empty()) groups.push_back(g);
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](auto const& a, auto const& b) { return a.importance < b.importance; });
  return groups;
}

/// A call, what stands against it, and their times.
struct entrant {
  cell const*                of;
  bench::attention_call      call, rival;
  std::vector<bench::runner> runners, rivals;
  std::string                why, error;
};

/// What is measured and what it leaves (support/study.hpp).
struct attention_study {
  options const&             o;
  std::string                command;
  bench::ceilings            of      = {};
  std::vector<bench::record> records = {};

  void begin(bench::track& on, bench::arena& memory) {
    of.copy = bench::copy_bandwidth(), of.read = bench::read_bandwidth();
    for (std::string const unit : {"bf16", "f16"})
      if (double const rate = bench::matrix_rate(on, memory, unit, 16); rate > 0) of.rate[unit] = rate;
    std::printf("copy: %.1f GB/s, only reading: %.1f GB/s", of.copy * 1e-9, of.read * 1e-9);
    for (auto const& [unit, rate] : of.rate) std::printf(", %s: %.1f TFLOP/s", unit.c_str(), rate * 1e-12);
    if (TENON_CUDA) std::printf(", %s", bench::cudnn_version().empty() ? "no cuDNN" : bench::cudnn_version().c_str());
    std::printf("\n\n");
    bench::print_head();
  }
  bool write(std::string const& path, bool complete) const {
    return bench::write_json(path, command, of, records, complete);
  }
  void summary() const { bench::print_summary(records, of); }

  void measure(cell_group const& g, bench::track& on, bench::arena& memory, bench::watch& watching) {
    std::size_t const from = records.size();
    race(g, on, memory, watching);
    std::printf("%s\n", g.name.c_str());
    for (std::size_t i = from; i < records.size(); ++i) bench::print(records[i], records, of);
  }

 private:
  void race(cell_group const& g, bench::track& on, bench::arena& memory, bench::watch& watching) {
    memory.reset();
    std::vector<std::unique_ptr<entrant>> entrants;
    std::vector<bench::runner*>           all;
    // One call outside the race: a cell that faults is known by its name.
    auto const enter = [&](std::string const& name, bench::attention_call const& call,
                           std::vector<bench::runner>& runners, std::string& error) {
      if (memory.full()) return error = "no memory for the operands", void();
      if (call.ways.empty()) return;
      watching.note(name);
      runners = bench::shortlist(on, call, 2);
      for (auto& r : runners)
        if (on.once(r) > 0) all.push_back(&r);
        else error = bench::explain(r.status);
    };
    for (cell const& c : g.cells) {
      std::string const name = g.name + ": " + c.name;
      watching.note(name);
      entrants.push_back(std::make_unique<entrant>());
      entrant& e = *entrants.back();
      e.of       = &c;
      if (memory.full()) {
        e.error = "no memory for the operands";
        continue;
      }
      e.call = bench::make_call(memory, c);
      if (e.call.ways.empty()) e.error = "no such call in this build";
      enter(name, e.call, e.runners, e.error);
      if (!on.alive()) return;
      if (c.rival && TENON_CUDA && !any_of(o.without, "cudnn") && !memory.full()) {
        watching.note("cudnn");
        e.rival = bench::cudnn_call(memory, c, e.why);
        enter("cudnn", e.rival, e.rivals, e.why);
        if (!on.alive()) return;
      }
    }
    watching.note(g.name + ":");
    on.race(all, o.cell * static_cast<double>(all.size()));
    for (auto const& e : entrants) {
      bench::record r;
      r.group = g.name, r.of = *e->of, r.moved = e->call.moved, r.kv_bytes = e->call.kv_bytes, r.error = e->error;
      if (!e->runners.empty()) {
        auto const& chosen = e->runners.front();
        r.seconds = chosen.seconds, r.spread = chosen.spread, r.rounds = chosen.rounds;
        if (r.seconds == 0) r.error = bench::explain(chosen.status);
      }
      if (e->call.plan) r.plan = e->call.plan(on.where());
      r.cudnn = bench::best_of(e->rivals), r.cudnn_why = e->why;
      r.clock = on.clock, r.power = on.power;
      records.push_back(r);
    }
  }
};

}  // namespace

int main(int count, char** arguments) {
  options o;
  o.memory = TENON_CUDA ? 48 : 1;
  if (!read(o, count, arguments)) {
    std::fprintf(
        stderr,
        "%s [--filter TEXT,...] [--without TEXT,...] [--quick] [--seconds S] [--cell S] [--memory GB] [--json FILE] "
        "[--list]\n",
        arguments[0]);
    return 2;
  }
  auto const groups = plan(o);
  if (o.list || groups.empty()) {
    for (auto const& g : groups)
      for (auto const& c : g.cells)
        std::printf("%s: %s, %.6g MB of K and V, %.6g GFLOP\n", g.name.c_str(), c.name.c_str(),
                    1e-6 * static_cast<double>(bench::kv_bytes_of(c)),
                    c.how == bench::call_kind::append || c.how == bench::call_kind::merged
                        ? 0
                        : 4e-9 * static_cast<double>(c.head_dim * c.heads * bench::pairs_of(c)));
    return groups.empty() ? 2 : 0;
  }
  attention_study study{o, bench::command(count, arguments)};
  return bench::run_study("bench_attention", study.command, o, groups, study);
}
