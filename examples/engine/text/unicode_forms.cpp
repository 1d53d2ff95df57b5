#include "engine/text/unicode_forms.hpp"

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <cstring>
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
struct compatible_range {
  char32_t      first, last;
  std::uint16_t place;
  unsigned char length;
};
struct case_range {
  char32_t     first, last;
  unsigned     step;
  std::int32_t difference;
};
#include "engine/text/unicode_forms.inc"

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

constexpr bool is_syllable(char32_t c) {
  return c >= syllables && c < syllables + lead_count * vowel_count * tail_count;
}

decomposition const* decomposition_of(char32_t c) {
  auto const* at = std::lower_bound(std::begin(decompositions), std::end(decompositions), c,
                                    [](decomposition const& d, char32_t code) { return d.code < code; });
  return at == std::end(decompositions) || at->code != c ? nullptr : at;
}

/// Where a block of 256 codes has none that a form changes or orders, its texts need no look at each code.
struct quiet_blocks {
  std::bitset<0x1100> in_nfc, in_all;

  quiet_blocks() {
    in_nfc.set(), in_all.set();
    auto const disturb = [](std::bitset<0x1100>& blocks, char32_t first, char32_t last) {
      for (char32_t b = first >> 8; b <= last >> 8; ++b) blocks.reset(b);
    };
    for (auto const& r : suspects) disturb(in_nfc, r.first, r.last);
    for (auto const& r : class_ranges) disturb(in_all, r.first, r.last);
    for (auto const& d : decompositions) disturb(in_all, d.code, d.code);
    for (auto const& r : compatible_ranges) disturb(in_all, r.first, r.last);
    disturb(in_all, syllables, syllables + lead_count * vowel_count * tail_count - 1);
    in_all &= in_nfc;
  }
};

bool is_compatible(unicode_form form) { return form == unicode_form::nfkc || form == unicode_form::nfkd; }
bool composes(unicode_form form) { return form == unicode_form::nfc || form == unicode_form::nfkc; }

/// Whether `c` may keep a text from being in the form.
bool is_suspect(char32_t c, unicode_form form) {
  if (is_compatible(form) && find_range(compatible_ranges, c)) return true;
  if (composes(form)) return find_range(suspects, c) != nullptr;
  return is_syllable(c) || decomposition_of(c) || class_of(c) != 0;
}

void decompose(char32_t c, token_span origin, bool compatible, std::vector<character>& out) {
  if (is_syllable(c)) {
    char32_t const i = c - syllables;
    out.push_back({leads + i / (vowel_count * tail_count), 0, origin});
    out.push_back({vowels + i % (vowel_count * tail_count) / tail_count, 0, origin});
    if (i % tail_count) out.push_back({tails + i % tail_count, 0, origin});
    return;
  }
  if (auto const* const d = decomposition_of(c)) {
    decompose(d->first, origin, compatible, out);  // at most four deep
    if (d->second) decompose(d->second, origin, compatible, out);
    return;
  }
  if (compatible)
    if (auto const* const r = find_range(compatible_ranges, c)) {
      char32_t const* const codes = compatible_codes + r->place + (c - r->first) * r->length;
      for (unsigned i = 0; i < r->length; ++i) decompose(codes[i], origin, compatible, out);
      return;
    }
  out.push_back({c, class_of(c), origin});
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

bool has_form(std::string_view text, unicode_form form) {
  static quiet_blocks const blocks;
  auto const&               quiet = form == unicode_form::nfc ? blocks.in_nfc : blocks.in_all;
  for (std::size_t i = 0; i < text.size();) {
    std::uint64_t eight = 0;
    if (text.size() - i >= 8 && (std::memcpy(&eight, text.data() + i, 8), (eight & 0x8080808080808080u) == 0)) {
      i += 8;
      continue;
    }
    auto const step = next_utf8(text.substr(i));
    if (step.code >= 0x80 && !quiet[step.code >> 8] && is_suspect(step.code, form)) return false;
    i += step.length;
  }
  return true;
}

normalized_text to_form(std::string_view text, unicode_form form) {
  std::vector<character> all;
  for (std::size_t i = 0; i < text.size();) {
    auto const step = next_utf8(text.substr(i));
    if (step.code < 0x80) all.push_back({step.code, 0, {i, i + 1}});
    else decompose(step.code, {i, i + step.length}, is_compatible(form), all);
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
    if (composes(form) && starter < composed.size()) {
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

char32_t small_letter(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  auto const* at = find_range(case_ranges, code);
  if (!at || (code - at->first) % at->step != 0) return code;
  return static_cast<char32_t>(static_cast<std::int32_t>(code) + at->difference);
}

}  // namespace tenon::engine
