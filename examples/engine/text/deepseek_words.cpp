//  DeepSeek's words: of the coder and the first language model by what two neighbouring characters are, of V3 (and R1) by what
//  its expressions say inside of runs that end at numbers and Chinese or Japanese characters.
#include <algorithm>
#include <array>
#include <iterator>

#include "engine/text/word_patterns.hpp"
#include "engine/text/word_sequences.hpp"

namespace tenon::engine::detail {
namespace {

enum kind : unsigned { letter = 1, mark = 2, blank = 4, wide = 8, number = 16, line = 32 };  // mark: of the third cut

/// [一-龥ࠀ-一가-퟿]
constexpr bool is_wide(char32_t c) { return (c >= 0x800 && c <= 0x9FA5) || (c >= 0xAC00 && c <= 0xD7FF); }

struct coder_kinds {
  static constexpr bool ends_alone = false;  // spaces that end a piece are one

  constexpr unsigned operator()(character c) const {
    if (c.code == '\n' || c.code == '\r') return line;
    unsigned const k = (c.bits & is_letter ? letter : 0u) | (c.bits & is_punctuation ? mark : 0u) |
                       (c.bits & is_space ? blank : 0u) | (c.bits & is_number ? number : 0u);
    return k | (is_wide(c.code) ? wide : 0u);
  }
};

struct llm_kinds {
  static constexpr bool ends_alone = true;

  /// The letters of the second cut.
  static constexpr bool is_cased(char32_t c) {
    struct range {
      char32_t first, last;
    };
    constexpr range ranges[] = {
        {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
        {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
        {0x376, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
        {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
        {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
        {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
        {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
        {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
        {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
        {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
        {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
        {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
        {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},
        {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},
        {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
        {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
        {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
    auto const at = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                     [](char32_t v, range const& r) { return v < r.first; });
    return at != std::begin(ranges) && c <= std::prev(at)->last;
  }

  /// [!-/:-~！-／：-～‘-‟　-。], which has A to Z and a to z, too
  static constexpr bool is_mark(char32_t c) {
    return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x7E) || (c >= 0xFF01 && c <= 0xFF0F) ||
           (c >= 0xFF1A && c <= 0xFF5E) || (c >= 0x2018 && c <= 0x201F) || (c >= 0x3000 && c <= 0x3002);
  }

  constexpr unsigned operator()(character c) const {
    if (c.code == '\n' || c.code == '\r') return line;
    unsigned const k = (is_cased(c.code) ? letter : 0u) | (is_mark(c.code) ? mark : 0u) |
                       (c.bits & is_space ? blank : 0u) | (c.bits & is_number ? number : 0u);
    return k | (is_wide(c.code) ? wide : 0u);
  }
};

template <class Kinds>
constexpr auto ascii_kinds = [] {
  std::array<unsigned char, 128> k{};
  for (unsigned char i = 0; i < 128; ++i) k[i] = static_cast<unsigned char>(Kinds{}({ascii_classes[i], 1, i}));
  return k;
}();

template <class Kinds>
unsigned kind_of(character c) {
  return c.code < 0x80 ? ascii_kinds<Kinds>[c.code] : Kinds{}(c);
}

/// Whether the blanks from p on, behind a character that is none, end the piece that the third cut left.
template <class Kinds>
bool blanks_end_piece(run_scanner const& s, std::size_t p) {
  unsigned const of = kind_of<Kinds>(s.at(p)) & mark;  // U+3000 is a mark, too
  for (; p < s.size(); p += s.at(p).length) {
    unsigned const k = kind_of<Kinds>(s.at(p));
    if ((k & blank) && (k & mark) == of) continue;
    return (k & (line | letter)) != 0 || (k & mark) != of;
  }
  return true;
}

//  [\r\n], \s?LETTER+, \s?MARK+, (\s+$,) [一-龥ࠀ-一가-퟿]+, \p{N}. A blank goes with the letters or marks behind it; otherwise
//  there is a boundary where two neighbours differ in any of these.
template <class Kinds>
std::size_t word_end_by_neighbours(run_scanner const& s, std::size_t p) {
  character c = s.at(p);
  unsigned  a = kind_of<Kinds>(c);
  if (a & (line | number)) return p + c.length;
  std::size_t at = p;  // of a
  for (std::size_t q = p + c.length; q < s.size(); q += c.length) {
    c                = s.at(q);
    unsigned const b = kind_of<Kinds>(c), changes = a ^ b;
    if (b & (line | number)) return q;
    if ((a & blank) && (changes & b & (letter | mark))) {
      // U+3000 is a mark, but goes with the letter behind it.
      std::size_t const next = q + c.length;
      if ((b & blank) && next < s.size() && (kind_of<Kinds>(s.at(next)) & letter)) return q;
      if (at != p) return at;
      if ((changes & wide) || (a & mark & changes)) return q;
    } else if (changes & (letter | mark | wide)) {
      return q;
    }
    if constexpr (Kinds::ends_alone)
      if (!(a & blank) && (b & blank) && blanks_end_piece<Kinds>(s, q)) return q;
    a = b, at = q;
  }
  return s.size();
}

/// [一-龥぀-ゟ゠-ヿ]
bool is_chinese_or_japanese(char32_t c) { return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF); }

bool is_ascii_letter(character c) { return c.code < 0x80 && (c.bits & is_letter); }

}  // namespace

std::size_t deepseek_coder_word_end(run_scanner& s, std::size_t p) { return word_end_by_neighbours<coder_kinds>(s, p); }
std::size_t deepseek_llm_word_end(run_scanner& s, std::size_t p) { return word_end_by_neighbours<llm_kinds>(s, p); }

//  \p{N}{1,3}, [一-龥぀-ゟ゠-ヿ]+, then
//  [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|
//  \s+(?!\S)|\s+ in each of their pieces
std::size_t deepseek_v3_word_end(run_scanner& s, std::size_t p) {
  character const c = s.at(p);
  if (c.bits & is_number) return number_end<3>(s, p);
  bool const eastern = is_chinese_or_japanese(c.code);
  auto const inside  = [&](std::size_t q) {  // of the same piece
    if (q >= s.size()) return false;
    character const n = s.at(q);
    return !(n.bits & is_number) && is_chinese_or_japanese(n.code) == eastern;
  };
  auto const run = [&](std::size_t q, unsigned bits) {
    while (inside(q) && (s.at(q).bits & bits)) q += s.at(q).length;
    return q;
  };
  constexpr unsigned word_bits = is_letter | is_mark, other_bits = is_punctuation | is_symbol;
  auto const         begins_word = [&](std::size_t q) { return inside(q) && (s.at(q).bits & word_bits); };

  std::size_t const second = p + c.length;
  if (c.bits & word_bits) return run(p, word_bits);
  if (c.code < 0x80 && (c.bits & other_bits) && second < s.size() && is_ascii_letter(s.at(second))) {
    std::size_t end = second;
    while (end < s.size() && is_ascii_letter(s.at(end))) ++end;
    return end;
  }
  bool const is_line = c.code == '\r' || c.code == '\n';
  if (!is_line && !(c.bits & other_bits) && begins_word(second)) return run(second, word_bits);
  std::size_t const first = c.code == ' ' ? second : p;
  if (inside(first) && (s.at(first).bits & other_bits)) {
    std::size_t const end = run(first, other_bits);
    return eastern ? end : lines_end(s, end, false);
  }
  if (c.bits & is_space) {
    std::size_t const end = s.spaces_end(p);
    if (end == s.size() || inside(end)) return lines_or_spaces(s, p);
    for (std::size_t i = end; i > p; --i)
      if (s.byte(i - 1) == '\n' || s.byte(i - 1) == '\r') return i;
    return end;
  }
  // Nothing takes the rest, as control characters: it stays together up to where something begins.
  std::size_t end = second;
  while (inside(end) && !(s.at(end).bits & (word_bits | other_bits | is_space)) && !begins_word(end + s.at(end).length))
    end += s.at(end).length;
  return end;
}

}  // namespace tenon::engine::detail
