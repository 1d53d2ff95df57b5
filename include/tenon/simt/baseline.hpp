#pragma once
//  Findings that a project has looked at and accepts, one a line: the kind, its place, the other place, and why.
//
//    read_after_write src/scan.cu:41 src/scan.cu:38   # the flag is read twice on purpose, issue 12
//    uninitialised_read src/pad.cu:9
//
//  A race is accepted by its two lines, whatever of read and write came first. A path matches one that ends with it, at a
//  slash. What matches moves to report.accepted and leaves the report clean.
#include <tenon/simt/causes.hpp>
#include <tenon/simt/report.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::simt {

struct baseline_entry {
  kind          what = kind::not_checked;
  std::string   file, other_file;  // empty where the finding has no such place
  unsigned      line = 0, other_line = 0;
  std::string   comment;
  unsigned      at   = 0;  // the line of the baseline
  std::uint64_t hits = 0;  // findings that it has accepted so far
};

struct baseline {
  std::string                 path;  // for messages
  std::vector<baseline_entry> entries;
  std::vector<unsigned>       not_understood;  // lines
};

namespace detail {

inline bool same_file(std::string_view a, std::string_view b) {
  if (a.size() < b.size()) std::swap(a, b);
  return a == b || (!b.empty() && a.ends_with(b) && a[a.size() - b.size() - 1] == '/');
}

/// Takes `path:line` from the front of the text; a path may have blanks.
inline bool take_place(std::string_view& text, std::string& file, unsigned& line) {
  for (std::size_t colon = text.find(':'); colon != std::string_view::npos; colon = text.find(':', colon + 1)) {
    std::size_t end = colon + 1;
    unsigned    n   = 0;
    for (; end < text.size() && text[end] >= '0' && text[end] <= '9' && n < 100000000; ++end)
      n = n * 10 + static_cast<unsigned>(text[end] - '0');
    if (n == 0 || (end < text.size() && text[end] != ' ' && text[end] != '\t')) continue;
    file = text.substr(0, colon), line = n;
    text.remove_prefix(end);
    while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
    return colon > 0;
  }
  return false;
}

inline bool read_entry(std::string_view text, baseline_entry& to) {
  std::size_t const blank = std::min(text.find_first_of(" \t"), text.size());
  bool              known = false;
  for (int k = 0; k <= static_cast<int>(kind::not_checked); ++k)
    if (text.substr(0, blank) == name_of(static_cast<kind>(k))) to.what = static_cast<kind>(k), known = true;
  text.remove_prefix(blank);
  while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
  if (!known || (!text.empty() && !take_place(text, to.file, to.line))) return false;
  return text.empty() || (take_place(text, to.other_file, to.other_line) && text.empty());
}

inline bool matches(baseline_entry const& e, finding const& f) {
  if (e.what != f.what && !(is_race(e.what) && is_race(f.what))) return false;
  auto const fits = [](std::string const& file, unsigned line, place const& p) {
    return line == p.line && (line == 0 || same_file(file, p.file));
  };
  return (fits(e.file, e.line, f.here) && fits(e.other_file, e.other_line, f.there)) ||
         (fits(e.file, e.line, f.there) && fits(e.other_file, e.other_line, f.here));
}

}  // namespace detail

inline baseline read_baseline(std::istream& in, std::string path = {}) {
  baseline b;
  b.path = std::move(path);
  std::string line;
  for (unsigned at = 1; std::getline(in, line); ++at) {
    baseline_entry    e;
    std::string_view  text = line;
    std::size_t const hash = text.find('#');
    e.at                   = at;
    if (hash != std::string_view::npos) {
      e.comment = text.substr(std::min(text.find_first_not_of("# \t", hash), text.size()));
      text      = text.substr(0, hash);
    }
    auto const first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    text = text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
    if (detail::read_entry(text, e)) b.entries.push_back(std::move(e));
    else b.not_understood.push_back(at);
  }
  return b;
}
/// Of a file; empty where there is none.
inline baseline read_baseline(std::string const& path) {
  std::ifstream in(path);
  return read_baseline(in, path);
}

/// The lines that accept these findings.
inline void write_baseline(std::ostream& out, std::vector<finding> const& findings, char const* comment = "") {
  for (auto const& cause : findings) {
    std::vector<finding const*> told;
    auto const                  tell = [&](finding const& f) {
      for (auto const* t : told)
        if (detail::same_lines(*t, f) && (t->what == f.what || (detail::is_race(t->what) && detail::is_race(f.what))))
          return;
      told.push_back(&f);
      out << name_of(f.what);
      for (auto const* p : {&f.here, &f.there})
        if (p->line) out << ' ' << p->file << ':' << p->line;
      if (*comment) out << "   # " << comment;
      out << '\n';
    };
    tell(cause);
    for (auto const& f : cause.also)
      if (!detail::lacks_order(cause) || detail::lacks_order(f)) tell(f);
  }
}

/// Moves what the baseline accepts to r.accepted. Of a cause between several lines every one must be accepted, or the
/// rest stays.
inline void accept(report& r, baseline& known) {
  if (known.entries.empty()) return;
  std::vector<finding> left, accepted = std::move(r.accepted);
  for (auto& cause : r.findings) {
    auto all = std::exchange(cause.also, {});
    all.insert(all.begin(), std::move(cause));
    std::vector<finding> listed, symptoms, others;
    bool const           of_order = detail::lacks_order(all[0]);
    for (auto& f : all) {
      bool found = false;
      for (auto& e : known.entries)
        if (detail::matches(e, f)) e.hits += f.times, found = true;
      (found ? listed : of_order && !detail::lacks_order(f) ? symptoms : others).push_back(std::move(f));
    }
    auto& home = others.empty() && !listed.empty() ? listed : others;
    home.insert(home.end(), std::make_move_iterator(symptoms.begin()), std::make_move_iterator(symptoms.end()));
    for (auto& f : by_cause(std::move(listed))) accepted.push_back(std::move(f));
    for (auto& f : by_cause(std::move(others))) left.push_back(std::move(f));
  }
  r.findings = std::move(left);
  r.accepted = by_cause(std::move(accepted), false);
}

/// What TENON_SIMT_BASELINE names; every checked launch of the program goes by it.
inline baseline& environment_baseline() {
  static auto* const b = [] {
    char const* const path = std::getenv("TENON_SIMT_BASELINE");
    return new baseline(path ? read_baseline(std::string(path)) : baseline{});
  }();
  return *b;
}

}  // namespace tenon::simt
