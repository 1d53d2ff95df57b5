#pragma once
//  Expectations written beside the line that they are about: `// [read]` at its end.
#include <tenon/simt/report.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace marks {

/// A finding of this kind between the lines so marked, in either order; no mark stands for any line or none.
struct expected_finding {
  tenon::simt::kind what  = tenon::simt::kind::not_checked;
  char const*       here  = nullptr;
  char const*       there = nullptr;

  bool is_set() const { return what != tenon::simt::kind::not_checked; }
};

struct line {
  std::string file;  // without folders
  unsigned    number = 0;
};

/// The line of the file that ends with `// [mark]`, or, with code, the first one that contains the text. Ends the program
/// where there is none.
inline line find(std::string const& path, std::string const& text, bool code = false) {
  static std::map<std::string, std::vector<std::string>> files;
  auto&                                                  lines = files[path];
  if (lines.empty()) {
    std::ifstream file(path);
    for (std::string l; std::getline(file, l);) lines.push_back(l);
  }
  std::string const wanted = code ? text : "// [" + text + "]";
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (code ? lines[i].find(wanted) != std::string::npos : lines[i].ends_with(wanted))
      return {path.substr(path.rfind('/') + 1), static_cast<unsigned>(i + 1)};
  std::fprintf(stderr, "no line of %s is marked %s\n", path.c_str(), wanted.c_str());
  std::exit(2);
}

inline bool stands_at(tenon::simt::place const& p, line const& l) {
  return l.number == 0 || (p.line == l.number && p.file.ends_with(l.file));
}

struct expected_lines {
  tenon::simt::kind what;
  line              here, there;
};

/// One of these is among the findings, or among what a finding names as seen beside it.
inline bool has(tenon::simt::report const& found, std::span<expected_lines const> one_of) {
  auto const fits = [&](tenon::simt::finding const& f) {
    for (auto const& e : one_of)
      if (f.what == e.what && ((stands_at(f.here, e.here) && stands_at(f.there, e.there)) ||
                               (stands_at(f.there, e.here) && stands_at(f.here, e.there))))
        return true;
    return false;
  };
  for (auto const& f : found.findings)
    if (fits(f) || std::any_of(f.also.begin(), f.also.end(), fits)) return true;
  return false;
}

/// The values of an enum of the report, up to the first that has no name.
template <class E>
std::vector<E> every() {
  std::vector<E> all;
  for (int i = 0; std::string(to_string(static_cast<E>(i))) != "unknown"; ++i) all.push_back(static_cast<E>(i));
  return all;
}
/// delivery has no name for values beyond it.
template <>
inline std::vector<tenon::simt::delivery> every() {
  using tenon::simt::delivery;
  return {delivery::late, delivery::eager, delivery::random};
}

}  // namespace marks
