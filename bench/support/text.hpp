#pragma once
//  Words and numbers that programs of benches read and write.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace bench {

/// "a,b": a and b
inline std::vector<std::string> split(std::string const& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t const comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

/// Whether a list that a user gave, all where it is empty, has it.
template <class T>
bool wanted(std::vector<T> const& only, T const& value) {
  return only.empty() || std::find(only.begin(), only.end(), value) != only.end();
}

inline std::string quoted(std::string const& text) {
  std::string s = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') s += '\\';
    s += c < ' ' ? ' ' : c;
  }
  return s + '"';
}
/// A number of JSON; null for what was not measured.
inline std::string number(double v, char const* form = "%.6g") {
  if (!(v > 0)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, form, v);
  return text;
}

inline double geometric_mean(std::vector<double> const& v) {
  double sum = 0;
  for (double const x : v) sum += std::log(x);
  return std::exp(sum / static_cast<double>(v.size()));
}

}  // namespace bench
