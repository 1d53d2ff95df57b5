//  museum [N ...] [--all] [--check] [--record]: races that public projects found late, in small kernels of our own. Without
//  arguments lists them; N or --all prints the checker's report of each, and of its mended twin; --check says whether all of
//  it still holds (every schedule, the recorded reports); --record writes the reports into the exhibits and the page.
#include "01_soft_max_buffer.cuh"
#include "02_next_tile.cuh"
#include "03_barrier_for_some.cuh"
#include "04_skipped_tiles.cuh"
#include "05_state_space_scan.cuh"
#include "06_rows_of_an_expert.cuh"
#include "07_delta_rule.cuh"
#include "08_copied_race.cuh"
#include "09_third_sibling.cuh"
#include "10_decay_factors.cuh"
#include "11_votes.cuh"
#include "12_padding.cuh"
#include "13_rows_of_other_warps.cuh"
#include "14_histogram.cuh"
#include "15_other_epilogue.cuh"
#include "16_empty_sequence.cuh"
#include "17_one_barrier_for_two.cuh"
#include "18_missing_arrival.cuh"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace museum {
namespace {

exhibit const* const all[] = {
    &soft_max_buffer::shown,
    &next_tile::shown,
    &barrier_for_some::shown,
    &skipped_tiles::shown,
    &state_space_scan::shown,
    &rows_of_an_expert::shown,
    &delta_rule::shown,
    &copied_race::shown,
    &third_sibling::shown,
    &decay_factors::shown,
    &votes::shown,
    &padding::shown,
    &rows_of_other_warps::shown,
    &histogram::shown,
    &other_epilogue::shown,
    &empty_sequence::shown,
    &one_barrier_for_two::shown,
    &missing_arrival::shown,
};

std::string const folder = std::string(__FILE__).substr(0, std::string(__FILE__).rfind('/') + 1);
std::string const page   = folder + "../../docs/museum.md";

/// The report as it is recorded: without the folders of the machine that it was made on.
std::string text_of(report const& found) {
  std::ostringstream out;
  out << found << '\n';
  std::string text = out.str();
  while (text.ends_with("\n\n")) text.pop_back();
  std::string const name = "museum/";  // of this folder: what is before it, and it, goes
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at)) {
    auto const begin = text.find_last_of(" \n(", at) + 1;
    text.erase(begin, at + name.size() - begin);
    at = begin;
  }
  return text;
}

report recorded_run(exhibit const& e, bool mended) { return e.run(e.recorded, mended); }

std::string contents(std::string const& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Where in a file the report stands: from `begin` to `end`.
struct slot {
  std::size_t begin = std::string::npos, end = 0;
};

// An exhibit ends with its report, as a comment that clang-format leaves alone.
constexpr char const* heading = "// clang-format off: the report of the first kernel (museum --record)\n";

std::string as_comment(std::string const& text) {
  std::string        comment = heading, line;
  std::istringstream lines(text);
  while (std::getline(lines, line)) comment += line.empty() ? "//\n" : "//  " + line + '\n';
  return comment;
}

// The page has it in the fenced block behind `<!-- report N -->`.
slot report_in_page(std::string const& text, std::size_t number) {
  auto const mark = text.find("<!-- report " + std::to_string(number) + " -->");
  if (mark == std::string::npos) return {};
  auto const fence = text.find("```\n", mark);
  if (fence == std::string::npos) return {};
  return {fence + 4, text.find("```", fence + 4)};
}

bool is_recorded(exhibit const& e, std::size_t number) {
  std::string const text   = text_of(recorded_run(e, false));
  std::string const source = contents(e.file), p = contents(page);
  auto const        at     = source.find(heading);
  bool const        there  = at != std::string::npos && source.substr(at) == as_comment(text);
  auto const        quoted = report_in_page(p, number);
  bool const told = quoted.begin != std::string::npos && p.substr(quoted.begin, quoted.end - quoted.begin) == text;
  if (!there) std::printf("  %zu: the report at the end of the exhibit is out of date (museum --record)\n", number);
  if (!told) std::printf("  %zu: the report in docs/museum.md is out of date (museum --record)\n", number);
  return there && told;
}

void record(exhibit const& e, std::size_t number) {
  std::string const text   = text_of(recorded_run(e, false));
  std::string       source = contents(e.file), p = contents(page);
  source.resize(std::min(source.size(), source.find(heading)));
  if (source.size() < 2 || source.substr(source.size() - 2) != "\n\n") source += '\n';
  std::ofstream(e.file) << source << as_comment(text);
  if (auto const quoted = report_in_page(p, number); quoted.begin != std::string::npos)
    std::ofstream(page) << p.replace(quoted.begin, quoted.end - quoted.begin, text);
}

/// The race is reported as it should be and the twin is clean, under every schedule.
bool holds(exhibit const& e, std::size_t number) {
  std::vector<marks::expected_lines> expected;
  for (auto const& x : e.expected)
    if (x.is_set())
      expected.push_back({x.what, x.here ? marks::find(e.file, x.here) : marks::line{},
                          x.there ? marks::find(e.file, x.there) : marks::line{}});
  bool          good = true;
  std::uint64_t seed = 0;
  for (auto const s : marks::every<tenon::simt::schedule>())
    for (auto const d : marks::every<tenon::simt::delivery>()) {
      if (!e.copies && d != tenon::simt::delivery::late) continue;
      check_options const o{.seed = ++seed, .schedule = s, .delivery = d};
      report const        found = e.run(o, false), twin = e.run(o, true);
      if (!marks::has(found, expected)) {
        std::printf("  %zu: missed\n%s", number, text_of(found).c_str());
        good = false;
      }
      if (!twin.clean()) {
        std::printf("  %zu: reported of the twin\n%s", number, text_of(twin).c_str());
        good = false;
      }
    }
  return good;
}

void show(exhibit const& e, std::size_t number) {
  std::printf("%zu. %s (%s)\n\n%s\nmended: %s\n", number, e.title, e.seen, text_of(recorded_run(e, false)).c_str(),
              text_of(recorded_run(e, true)).c_str());
}

}  // namespace
}  // namespace museum

int main(int argc, char** argv) {
  using namespace museum;
  std::vector<std::size_t> wanted;
  bool                     check_all = false, record_all = false;
  for (int i = 1; i < argc; ++i) {
    std::string const a = argv[i];
    std::size_t const n = static_cast<std::size_t>(std::strtoul(argv[i], nullptr, 10));
    if (a == "--check") check_all = true;
    else if (a == "--record") record_all = true;
    else if (a == "--all")
      for (std::size_t k = 1; k <= std::size(all); ++k) wanted.push_back(k);
    else if (n >= 1 && n <= std::size(all)) wanted.push_back(n);
    else {
      std::fprintf(stderr, "usage: museum [N ...] [--all] [--check] [--record]     N: 1 to %zu\n", std::size(all));
      return 2;
    }
  }
  if (wanted.empty() && !check_all && !record_all)
    for (std::size_t k = 1; k <= std::size(all); ++k)
      std::printf("%2zu  %-46s %s\n", k, all[k - 1]->title, all[k - 1]->seen);
  for (auto const n : wanted) show(*all[n - 1], n);
  if (record_all)
    for (std::size_t k = 1; k <= std::size(all); ++k) record(*all[k - 1], k);
  if (!check_all) return 0;
  std::size_t good = 0;
  for (std::size_t k = 1; k <= std::size(all); ++k) {
    bool const reported = holds(*all[k - 1], k), recorded = is_recorded(*all[k - 1], k);
    good += reported && recorded;
  }
  std::printf("%zu of %zu exhibits hold\n", good, std::size(all));
  return good == std::size(all) ? 0 : 1;
}
