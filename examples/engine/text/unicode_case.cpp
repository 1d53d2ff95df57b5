#include "engine/text/unicode_case.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>

#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

struct case_run {
  char32_t     first, last;
  std::int32_t stride, delta;
};
struct case_text {
  char32_t code, becomes[3];
};
struct code_range {
  char32_t first, last;
};

#include "engine/text/unicode_case_tables.inc"

bool is_in(std::span<code_range const> ranges, char32_t code) {
  auto const r = std::lower_bound(ranges.begin(), ranges.end(), code,
                                  [](code_range const& range, char32_t c) { return range.last < c; });
  return r != ranges.end() && r->first <= code;
}

void append_mapped(std::string& text, char32_t code, std::span<case_run const> runs, std::span<case_text const> texts) {
  auto const r =
      std::upper_bound(runs.begin(), runs.end(), code, [](char32_t c, case_run const& run) { return c < run.first; });
  if (r != runs.begin())
    if (case_run const& run = *std::prev(r);
        code <= run.last && (code - run.first) % static_cast<char32_t>(run.stride) == 0)
      return append_utf8(text, static_cast<char32_t>(static_cast<std::int32_t>(code) + run.delta));
  auto const t = std::lower_bound(texts.begin(), texts.end(), code,
                                  [](case_text const& entry, char32_t c) { return entry.code < c; });
  if (t == texts.end() || t->code != code) return append_utf8(text, code);
  for (char32_t const c : t->becomes)
    if (c != 0) append_utf8(text, c);
}

}  // namespace

void append_in_case(std::string& text, char32_t code, letter_case to) {
  switch (to) {
    case letter_case::upper: return append_mapped(text, code, upper_runs, upper_texts);
    case letter_case::lower: return append_mapped(text, code, lower_runs, lower_texts);
    case letter_case::title: return append_mapped(text, code, title_runs, title_texts);
  }
}

bool is_cased(char32_t code) { return is_in(cased, code); }

bool is_printable(char32_t code) { return is_in(printable, code); }

}  // namespace tenon::engine
