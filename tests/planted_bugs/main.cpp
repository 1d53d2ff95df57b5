//  planted_bugs [--kind N] [--verbose] [--json]: every kind of bug that the checker knows, planted in small kernels, and
//  what the checker says of each and of its correct twin, under every schedule. Exit status 0 only if every planted bug
//  was reported as it should be, every time, and nothing was reported of a twin.
#include "planted_bugs.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace planted_bugs;
using tenon::simt::delivery;
using tenon::simt::finding;
using tenon::simt::schedule;

template <class E>
std::vector<E> every() {
  std::vector<E> all;
  for (int i = 0; std::strcmp(to_string(static_cast<E>(i)), "unknown") != 0; ++i) all.push_back(static_cast<E>(i));
  return all;
}
std::vector<delivery> const deliveries{delivery::late, delivery::eager, delivery::random};

std::vector<std::string> const& lines_of(std::string const& path) {
  static std::map<std::string, std::vector<std::string>> read;
  auto&                                                  lines = read[path];
  if (lines.empty()) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (lines.empty()) std::cerr << "planted_bugs: cannot read " << path << '\n', std::exit(2);
  }
  return lines;
}

struct line {
  std::string file;  // the end of its path
  unsigned    number = 0;
};

line find(place const& p, std::string const& case_file) {
  if (!p.text) return {};
  std::string const folder = case_file.substr(0, case_file.rfind('/') + 1);
  std::string const path   = p.header ? folder + "../../include/tenon/" + p.header : case_file;
  std::string const mark   = p.header ? p.text : "// [" + std::string(p.text) + "]";
  auto const&       lines  = lines_of(path);
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (auto const at = lines[i].find(mark);
        at != std::string::npos && (p.header || at + mark.size() == lines[i].size()))
      return {path.substr(path.rfind('/') + 1), static_cast<unsigned>(i + 1)};
  std::cerr << "planted_bugs: no line of " << path << " is marked " << mark << '\n';
  std::exit(2);
}

struct outcome {
  std::vector<std::string> missed;  // runs
  std::size_t              runs = 0, false_reports = 0;
  std::string              text;  // of the reports, with --verbose
};

bool fits(tenon::simt::place const& p, line const& l) {
  return l.number == 0 || (p.line == l.number && p.file.size() >= l.file.size() && p.file.ends_with(l.file));
}

struct expected_lines {
  simt::kind what;
  line       here, there;
};

bool has(report const& found, std::vector<expected_lines> const& one_of) {
  for (auto const& f : found.findings)
    for (auto const& e : one_of)
      if (f.what == e.what &&
          ((fits(f.here, e.here) && fits(f.there, e.there)) || (fits(f.there, e.here) && fits(f.here, e.there))))
        return true;
  return false;
}

outcome try_case(planted_case const& c, std::string const& file, bool verbose) {
  outcome                     result;
  std::vector<expected_lines> expected;
  for (auto const& e : c.expected)
    if (e.here.text) expected.push_back({e.kind, find(e.here, file), find(e.there, file)});
  std::ostringstream text;
  for (auto const s : every<schedule>())
    for (auto const d : deliveries) {
      if (c.copies == copies::none && d != delivery::late) continue;
      check_options const o{.seed = result.runs + 1, .schedule = s, .delivery = d};
      report const        bad = c.run(o, true), good = c.run(o, false);
      ++result.runs;
      bool const  caught = has(bad, expected);
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
  for (auto const& e : c.expected)
    if (std::string const name = to_string(e.kind); e.here.text && text.find(name) == std::string::npos)
      text += (text.empty() ? "" : ", or ") + name;
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

  struct entry {
    planted_case const* c;
    std::string         file;
  };
  std::multimap<int, entry> all;
  for (auto const* part : {&shared_races, &warps, &bounds, &asynchronous_copies, &memory_barriers, &bulk_copies,
                           &named_barriers, &global_memory})
    for (auto const& c : part->cases)
      if (only == 0 || c.number == only) all.insert({c.number, {&c, part->file}});

  if (!json) {
    std::string runs = "schedules:";
    for (auto const s : every<schedule>()) runs += std::string(" ") + to_string(s);
    runs += "; copies arrive:";
    for (auto const d : deliveries) runs += std::string(" ") + to_string(d);
    std::printf("%s\n\n%-4s %-22s %-5s %-50s %-44s %s\n", runs.c_str(), "kind", "kernel", "style", "planted",
                "expected", "caught");
  }
  std::size_t caught = 0, false_reports = 0;
  std::string list;
  for (auto const& [number, e] : all) {
    auto const& c      = *e.c;
    auto const  result = try_case(c, e.file, verbose);
    caught += result.missed.empty();
    false_reports += result.false_reports;
    std::string when = result.missed.empty()                 ? "every time"
                       : result.missed.size() == result.runs ? "NEVER"
                                                             : "NOT under";
    if (when == "NOT under")
      for (auto const& m : result.missed) when += ' ' + m;
    if (result.false_reports) when += ", " + std::to_string(result.false_reports) + " FALSE";
    char const* const written = c.style == style::cuda ? "CUDA" : "tenon";
    if (json) {
      std::string missed;
      for (auto const& m : result.missed) missed += (missed.empty() ? "" : ", ") + quoted(m);
      list += (list.empty() ? "\n" : ",\n") + ("    {\"kind\": " + std::to_string(c.number)) +
              ", \"kernel\": " + quoted(c.kernel) + ", \"style\": " + quoted(written) +
              ", \"planted\": " + quoted(c.bug) + ", \"expected\": " + quoted(kinds(c)) +
              ", \"runs\": " + std::to_string(result.runs) + ", \"missed\": [" + missed +
              "], \"false_reports\": " + std::to_string(result.false_reports) + "}";
    } else {
      std::printf("%-4d %-22s %-5s %-50s %-44s %s\n", c.number, c.kernel, written, c.bug, kinds(c).c_str(),
                  when.c_str());
      if (!result.text.empty()) std::printf("\n%s\n", result.text.c_str());
    }
  }
  if (json)
    std::printf("{\n  \"cases\": [%s\n  ],\n  \"caught\": %zu,\n  \"planted\": %zu,\n  \"false_reports\": %zu\n}\n",
                list.c_str(), caught, all.size(), false_reports);
  else std::printf("\ncaught %zu of %zu, false reports %zu\n", caught, all.size(), false_reports);
  return caught == all.size() && false_reports == 0 && !all.empty() ? 0 : 1;
}
