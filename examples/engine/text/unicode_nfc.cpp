#include "engine/text/unicode_nfc.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <unordered_map>

#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

struct code_range {
  char32_t first, last;
};
struct class_range {
  char32_t      first, last;
  unsigned char value;
};
struct decomposition {
  char32_t code, first, second;
  bool     composes;
};
#include "engine/text/unicode_nfc_tables.inc"

// Hangul syllables are arithmetic: The Unicode Standard, 3.12.
constexpr char32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161, tails = 0x11A7;
constexpr char32_t lead_count = 19, vowel_count = 21, tail_count = 28;

template <class Range, std::size_t N>
Range const* find_range(Range const (&ranges)[N], char32_t c) {
  auto const* at = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                    [](char32_t code, Range const& r) { return code < r.first; });
  if (at == std::begin(ranges)) return nullptr;
  --at;
  return c <= at->last ? at : nullptr;
}

unsigned char class_of(char32_t c) {
  auto const* at = find_range(class_ranges, c);
  return at ? at->value : 0;
}

struct character {
  char32_t      code;
  unsigned char combining;
  token_span    origin;
};

void decompose(char32_t c, token_span origin, std::vector<character>& out) {
  if (c >= syllables && c < syllables + lead_count * vowel_count * tail_count) {
    char32_t const i = c - syllables;
    out.push_back({leads + i / (vowel_count * tail_count), 0, origin});
    out.push_back({vowels + i % (vowel_count * tail_count) / tail_count, 0, origin});
    if (i % tail_count) out.push_back({tails + i % tail_count, 0, origin});
    return;
  }
  auto const* at = std::lower_bound(std::begin(decompositions), std::end(decompositions), c,
                                    [](decomposition const& d, char32_t code) { return d.code < code; });
  if (at == std::end(decompositions) || at->code != c) {
    out.push_back({c, class_of(c), origin});
    return;
  }
  decompose(at->first, origin, out);  // at most four deep
  if (at->second) decompose(at->second, origin, out);
}

/// The code that the pair composes to; 0: none.
char32_t compose(char32_t a, char32_t b) {
  if (a >= leads && a < leads + lead_count && b >= vowels && b < vowels + vowel_count)
    return syllables + ((a - leads) * vowel_count + (b - vowels)) * tail_count;
  if (a >= syllables && a < syllables + lead_count * vowel_count * tail_count && (a - syllables) % tail_count == 0 &&
      b > tails && b < tails + tail_count)
    return a + (b - tails);
  static auto const table = [] {
    std::unordered_map<std::uint64_t, char32_t> pairs;
    for (auto const& d : decompositions)
      if (d.composes) pairs.emplace((std::uint64_t{d.first} << 32) | d.second, d.code);
    return pairs;
  }();
  auto const at = table.find((std::uint64_t{a} << 32) | b);
  return at == table.end() ? 0 : at->second;
}

}  // namespace

bool is_nfc(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0xCC) {  // below U+0300: one byte, or two
      i += static_cast<unsigned char>(text[i]) < 0x80 ? 1 : 2;
      continue;
    }
    auto const step = next_utf8(text.substr(i));
    if (find_range(suspects, step.code)) return false;
    i += step.length;
  }
  return true;
}

normalized_text to_nfc(std::string_view text) {
  std::vector<character> all;
  for (std::size_t i = 0; i < text.size();) {
    auto const step = next_utf8(text.substr(i));
    decompose(step.code, {i, i + step.length}, all);
    i += step.length;
  }
  // Canonical order: combining marks by class between starters.
  for (auto first = all.begin(); first != all.end();) {
    auto const last = std::find_if(first, all.end(), [](character const& c) { return c.combining == 0; });
    std::stable_sort(first, last, [](character const& a, character const& b) { return a.combining < b.combining; });
    first = last == all.end() ? last : last + 1;
  }
  // Each mark joins the last starter unless a mark of its class or above, or a starter, stands between them.
  std::vector<character> composed;
  std::size_t            starter = static_cast<std::size_t>(-1);
  for (auto const& c : all) {
    if (starter < composed.size()) {
      bool const adjacent = starter + 1 == composed.size();
      bool const blocked  = !adjacent && (composed.back().combining == 0 || composed.back().combining >= c.combining);
      if (!blocked)
        if (char32_t const joined = compose(composed[starter].code, c.code)) {
          auto& s = composed[starter];
          s       = {joined, 0, {std::min(s.origin.begin, c.origin.begin), std::max(s.origin.end, c.origin.end)}};
          continue;
        }
    }
    if (c.combining == 0) starter = composed.size();
    composed.push_back(c);
  }
  normalized_text result;
  result.text.reserve(text.size());
  for (auto const& c : composed) {
    append_utf8(result.text, c.code);
    result.origin.resize(result.text.size(), c.origin);
  }
  return result;
}

}  // namespace tenon::engine
