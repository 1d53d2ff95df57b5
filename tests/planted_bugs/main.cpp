//  planted_bugs [--kind N] [--verbose] [--json]: every kind of bug that the checker knows, planted in small kernels, and
//  what the checker says of each and of its correct twin, under every schedule. Exit status 0 only if every planted bug
//  was reported as it should be, every time, and nothing was reported of a twin.
#include "planted_bugs.hpp"

#include "../../examples/museum/marks.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace planted_bugs;
using tenon::simt::delivery;
using tenon::simt::schedule;

/// A line of the case's file, or the first of a header of tenon that contains the text.
marks::line find(place const& p, std::string const& case_file) {
  if (!p.text) return {};
  std::string const root = case_file.substr(0, case_file.rfind('/') + 1) + "../../include/tenon/";
  return p.header ? marks::find(root + p.header, p.text, true) : marks::find(case_file, p.text);
}

struct outcome {
  std::vector<std::string> missed;  // runs
  std::size_t              runs = 0, false_reports = 0;
  std::string              text;  // of the reports, with --verbose
};

outcome try_case(planted_case const& c, std::string const& file, bool verbose) {
  outcome                            result;
  std::vector<marks::expected_lines> expected;
  for (auto const& e : c.expected)
    if (e.here.text) expected.push_back({e.kind, find(e.here, file), find(e.there, file)});
  std::ostringstream text;
  for (auto const s : marks::every<schedule>())
    for (auto const d : marks::every<delivery>()) {
      if (c.copies == copies::none && d != delivery::late) continue;
      check_options const o{.seed = result.runs + 1, .schedule = s, .delivery = d};
      report const        bad = c.run(o, true), good = c.run(o, false);
      ++result.runs;
      bool const  caught = marks::has(bad, expected);
      std::string run    = to_string(s);
      if (c.copies != copies::none) run += std::string("/") + to_string(d);
      if (!caught) result.missed.push_back(run);
      result.false_reports += good.findings.size();
      if (verbose && (result.runs == 1 || !caught)) text << (caught ? "" : "MISSED by: ") << bad << '\n';
      if (!good.clean()) text << "FALSE, of the twin: " << good << '\n';
    }
  result.text = text.str();
  return result;
}

std::string quoted(std::string const& s) {
  std::string q = "\"";
  for (char const c : s) {
    if (c == '"' || c == '\\') q += '\\';
    q += c;
  }
  return q + "\"";
}

std::string kinds(planted_case const& c) {
  std::string text;
  for (auto const& e : c.expected) {
    if (!e.here.text) continue;
    std::string name = to_string(e.kind);
    if (name.starts_with("race: ")) name.erase(0, 6);
    if (text.find(name) == std::string::npos) text += (text.empty() ? "" : ", or ") + name;
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  int  only    = 0;
  bool verbose = false, json = false;
  for (int i = 1; i < argc; ++i) {
    std::string const a = argv[i];
    if (a == "--verbose") verbose = true;
    else if (a == "--json") json = true;
    else if (a == "--kind" && i + 1 < argc) only = std::atoi(argv[++i]);
    else {
      std::cerr << "usage: planted_bugs [--kind N] [--verbose] [--json]\n";
      return 2;
    }
  }

  struct row {
    planted_case const* c;
    std::string         written, expected, when;
    outcome             result;
  };
  std::multimap<int, row> rows;
  for (auto const* part : {&shared_races, &warps, &bounds, &asynchronous_copies, &memory_barriers, &bulk_copies,
                           &named_barriers, &global_memory})
    for (auto const& c : part->cases)
      if (only == 0 || c.number == only)
        rows.insert({c.number,
                     {&c, c.style == style::cuda ? "CUDA" : "tenon", kinds(c), {}, try_case(c, part->file, verbose)}});

  std::size_t caught = 0, false_reports = 0, widths[] = {6, 5, 7, 8};
  for (auto& [number, r] : rows) {
    caught += r.result.missed.empty();
    false_reports += r.result.false_reports;
    r.when = r.result.missed.empty() ? "every time" : r.result.missed.size() == r.result.runs ? "NEVER" : "NOT under";
    if (r.when == "NOT under")
      for (auto const& run : r.result.missed) r.when += ' ' + run;
    if (r.result.false_reports) r.when += ", " + std::to_string(r.result.false_reports) + " FALSE";
    std::string const columns[] = {r.c->kernel, r.written, r.c->bug, r.expected};
    for (std::size_t i = 0; i < 4; ++i) widths[i] = std::max(widths[i], columns[i].size());
  }

  if (json) {
    std::string list;
    for (auto const& [number, r] : rows) {
      std::string missed;
      for (auto const& run : r.result.missed) missed += (missed.empty() ? "" : ", ") + quoted(run);
      list += (list.empty() ? "" : ",") + ("\n    {\"kind\": " + std::to_string(number)) +
              ", \"kernel\": " + quoted(r.c->kernel) + ", \"style\": " + quoted(r.written) +
              ", \"planted\": " + quoted(r.c->bug) + ", \"expected\": " + quoted(r.expected) +
              ", \"runs\": " + std::to_string(r.result.runs) + ", \"missed\": [" + missed +
              "], \"false_reports\": " + std::to_string(r.result.false_reports) + "}";
    }
    std::printf("{\n  \"cases\": [%s\n  ],\n  \"caught\": %zu,\n  \"planted\": %zu,\n  \"false_reports\": %zu\n}\n",
                list.c_str(), caught, rows.size(), false_reports);
  } else {
    std::string runs = "schedules:";
    for (auto const s : marks::every<schedule>()) runs += std::string(" ") + to_string(s);
    runs += "; copies arrive:";
    for (auto const d : marks::every<delivery>()) runs += std::string(" ") + to_string(d);
    auto const line = [&](std::string const& kind, std::string const(&columns)[4], std::string const& when) {
      std::string text = kind + std::string(6 - kind.size(), ' ');
      for (std::size_t i = 0; i < 4; ++i) text += columns[i] + std::string(widths[i] + 2 - columns[i].size(), ' ');
      std::printf("%s%s\n", text.c_str(), when.c_str());
    };
    std::printf("%s\n\n", runs.c_str());
    line("kind", {"kernel", "style", "planted", "expected"}, "caught");
    for (auto const& [number, r] : rows) {
      line(std::to_string(number), {r.c->kernel, r.written, r.c->bug, r.expected}, r.when);
      if (!r.result.text.empty()) std::printf("\n%s\n", r.result.text.c_str());
    }
    std::printf("\ncaught %zu of %zu, false reports %zu\n", caught, rows.size(), false_reports);
  }
  return caught == rows.size() && false_reports == 0 && !rows.empty() ? 0 : 1;
}
