#pragma once
//  Where words begin in the next 64 bytes of a text: all at once, by arithmetic on one bit per byte (ascii_masks.hpp).
//
//  The patterns look forward only, so a window that begins with a word needs nothing of what is in front. A run's
//  beginning is a bit whose lower neighbour is not set; adding a bit to a run of ones carries to the run's end. What
//  lies outside of the masks (other scripts, runs that the window's end cuts) is left to word_patterns.hpp. (The idea:
//  simdjson, Langdale and Lemire 2019.)
//  Test: tests/engine/text/word_starts_test.cpp, against each_word.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "engine/text/ascii_masks.hpp"
#include "engine/text/wide_masks.hpp"
#include "engine/text/word_patterns.hpp"

namespace tenon::engine::detail {

/// All bits below n, which is at most 64.
constexpr std::uint64_t bits_below(unsigned n) { return n >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1; }

/// The bits of the runs of `all` from each of `seeds` (inside of them) on.
constexpr std::uint64_t runs_from(std::uint64_t seeds, std::uint64_t all) { return (all & ~(all + seeds)) | seeds; }

/// A contraction at one of `quotes` is a word: one begins behind it, and none inside. `text` is the window's.
template <bool AnyCase>
std::uint64_t contractions_alone(char const* text, std::uint64_t quotes, std::uint64_t starts) {
  for (; quotes != 0; quotes &= quotes - 1) {
    auto const at = static_cast<std::size_t>(std::countr_zero(quotes));
    if (std::size_t const n = contraction<AnyCase>({text + at, 64 - at}); n != 0)
      starts = (starts & ~(std::uint64_t{2} << at)) | (std::uint64_t{1} << at) << n;
  }
  return starts;
}

/// A contraction at one of `quotes`, which stand behind letters, ends their word.
inline std::uint64_t contractions_behind(char const* text, std::uint64_t quotes, std::uint64_t starts) {
  std::size_t end = 0;  // of the last one: the next word begins there, if with a quote
  for (; quotes != 0; quotes &= quotes - 1) {
    auto const        at = static_cast<std::size_t>(std::countr_zero(quotes));
    std::size_t const n  = at == end ? 0 : contraction<true>({text + at, 64 - at});
    if (n == 0) continue;
    end    = at + n;
    starts = (starts & ~(bits_below(static_cast<unsigned>(n)) << at)) | (std::uint64_t{1} << at) << n;
  }
  return starts;
}

inline std::uint64_t gpt2_starts(ascii_masks const& m, char const* text) {
  std::uint64_t const other = ~(m.letter | m.digit | m.space | m.high), after_blank = m.blank << 1;
  auto const          runs   = [](std::uint64_t x) { return x & ~(x << 1); };
  std::uint64_t const firsts = (runs(m.letter) | runs(m.digit) | runs(other)) & ~after_blank;
  // The last space in front of a word begins it, or is a word where it is none of ' '.
  std::uint64_t const starts = firsts | runs(m.space) | (m.space & ~(m.space >> 1));
  return contractions_alone<false>(text, firsts & m.quote & (m.letter >> 1), starts);
}

/// Spaces and lines as all later patterns have them: \s*[\r\n]+|\s+(?!\S)|\s+, behind lines (and slashes) that a run of
/// others takes.
inline std::uint64_t space_starts(std::uint64_t space, std::uint64_t line) {
  std::uint64_t const blank = space & ~line, runs = space & ~(space << 1);
  std::uint64_t       after_line = blank & (line << 1);
  // Not the last line of the run: then it goes on through these blanks.
  for (std::uint64_t i = after_line != 0 ? line & (blank << 1) : 0; i != 0; i &= i - 1) {
    unsigned const end = static_cast<unsigned>(std::countr_zero(i));
    after_line &= ~(std::uint64_t{1} << (64 - std::countl_zero(~blank & bits_below(end))));
  }
  return runs | after_line | (blank & ~(space >> 1));
}

/// The same in a text that is cut at each digit.
inline std::uint64_t starcoder_starts(ascii_masks const& m, char const* text) {
  std::uint64_t const other = ~(m.letter | m.digit | m.space | m.high), after_blank = m.blank << 1;
  auto const          runs   = [](std::uint64_t x) { return x & ~(x << 1); };
  std::uint64_t const firsts = (runs(m.letter) | runs(other)) & ~after_blank;
  std::uint64_t const last = m.space & ~(m.space >> 1) & ~(m.digit >> 1);  // in front of a digit it is like the others
  return contractions_alone<false>(text, firsts & m.quote & (m.letter >> 1), firsts | runs(m.space) | last | m.digit);
}

/// `sign`: the bytes of those that are longer than one.
template <int Digits, bool Capitals, bool Contractions = true>
std::uint64_t cl100k_starts(ascii_masks const& m, std::uint64_t sign, char const* text) {
  std::uint64_t other = ~(m.letter | m.digit | m.space | m.high), taken = 0;
  if (std::uint64_t const lines = m.line & (other << 1); lines != 0) {
    taken = runs_from(lines, Capitals ? m.line | m.slash : m.line);
    other &= ~taken;
  }
  std::uint64_t const space = m.space & ~taken, line = m.line & ~taken;
  // A single character that is neither letter, digit nor line goes with the letters behind it.
  std::uint64_t const others = other & ~(other << 1) & ~(m.blank << 1);
  std::uint64_t const joined = ((others & ~sign) | (space & ~line)) << 1 | (others & sign) << 3;
  std::uint64_t       starts = (m.letter & ~(m.letter << 1) & ~joined) | others | space_starts(space, line);
  if constexpr (Digits == 1) {
    starts |= m.digit;
  } else {
    std::uint64_t third = m.digit & ~(m.digit << 1);
    starts |= third;
    if (std::uint64_t const fourth = m.digit & (m.digit << 1) & (m.digit << 2) & (m.digit << 3); fourth != 0)
      while ((third = (third << 3) & fourth) != 0) starts |= third;
  }
  if constexpr (Capitals) {
    starts |= m.letter & ~m.lower & (m.lower << 1);
    return Contractions ? contractions_behind(text, m.quote & (m.letter << 1) & (m.letter >> 1), starts) : starts;
  } else {
    return contractions_alone<true>(text, others & m.quote & (m.letter >> 1), starts);
  }
}

/// Whether word_starts knows the pattern.
template <word_pattern P>
inline constexpr bool has_word_starts = P <= word_pattern::starcoder;

/// Whether a window that begins with this byte may hold more than a word's beginning: ASCII, and what wide_masks.hpp
/// knows.
constexpr bool begins_window(char c) {
  auto const byte = static_cast<unsigned char>(c);
  return byte < 0x80 || (byte >= 0xC3 && byte <= 0xD1) || (byte >= 0xE2 && byte <= 0xEF);
}

struct window_words {
  std::uint64_t
       starts;  // words begin at these bits, of which the lowest is 0; each but the last ends where the next begins
  bool ascii;   // all of them
};

/// The words of 64 bytes, which begin with one.
template <word_pattern P>
window_words word_starts(char const* text) {
  constexpr bool capitals = P == word_pattern::tekken || P == word_pattern::o200k;
  ascii_masks    m        = classify_ascii(text);
  std::uint64_t  sign     = 0;
  bool const     ascii    = m.high == 0;
  if (!ascii) {
    wide_masks const wide  = classify_wide(text, m.high);
    std::uint64_t    known = wide.letter | wide.sign;
    // Where words change at capitals, letters whose case is not known are left alone. What has no case is on both sides
    // of such a change: left alone where it touches letters that have.
    if (capitals) known &= ~(wide.letter & (m.letter << 1 | m.letter >> 1));
    else known |= wide.cased, m.letter |= wide.cased;
    m.high &= ~known, m.letter |= wide.letter, sign = wide.sign;
  }
  // Whether a word begins at a byte may depend on the next two; among spaces, on all of them.
  auto          high   = static_cast<unsigned>(std::countr_zero(m.high));
  unsigned      known  = high - std::min(high, 2u);
  std::uint64_t starts = 0;
  if constexpr (P == word_pattern::gpt2) {
    starts = gpt2_starts(m, text);
  } else if constexpr (P == word_pattern::starcoder) {
    starts = starcoder_starts(m, text);
  } else {
    known                = std::min(known, 65u - static_cast<unsigned>(std::countl_zero(~m.space & bits_below(known))));
    constexpr int digits = P == word_pattern::tekken || P == word_pattern::qwen2 || P == word_pattern::qwen35 ? 1 : 3;
    starts               = cl100k_starts<digits, capitals, P != word_pattern::tekken>(m, sign, text);
  }
  return {(starts & bits_below(known)) | 1, ascii};
}

}  // namespace tenon::engine::detail
