//  StarCoder and Falcon: GPT-2's words, in texts that are cut at digits (and punctuation).
#include "engine/text/word_patterns.hpp"
#include "engine/text/word_sequences.hpp"

namespace tenon::engine::detail {

//  \p{N}, then GPT-2's: a number is a word, and what is in front of it ends there as if the text did.
std::size_t starcoder_word_end(run_scanner& s, std::size_t p) {
  character const c = s.at(p);
  if (c.bits & is_number) return p + c.length;
  if (std::size_t const n = contraction<false>(s, p)) return p + n;
  std::size_t const first = p + (c.code == ' ' ? 1 : 0);
  if (first < s.size()) {
    unsigned const bits = s.at(first).bits;
    if (bits & is_letter) return s.letters_end(first);
    if (!(bits & (is_space | is_number))) return s.others_end(first);
  }
  std::size_t const end = s.spaces_end(p);
  return end < s.size() && (s.at(end).bits & is_number) ? end : spaces_but_one(s, p, end);
}

namespace {

/// [\p{P}$+<=>^~|`]: in ASCII all that is punctuation or a symbol.
bool is_falcon_punctuation(character c) { return (c.bits & is_punctuation) || (c.code < 0x80 && (c.bits & is_symbol)); }

bool is_digit(character c) { return c.code >= '0' && c.code <= '9'; }

/// As long as `takes` the characters from p on.
template <class F>
std::size_t run_end(run_scanner const& s, std::size_t p, F const& takes) {
  while (p < s.size()) {
    character const c = s.at(p);
    if (!takes(c)) break;
    p += c.length;
  }
  return p;
}

}  // namespace

//  [\p{P}$+<=>^~|`]+, GPT-2's, [0-9]+, [0-9][0-9][0-9]
std::size_t falcon_word_end(run_scanner& s, std::size_t p) {
  character const c = s.at(p);
  if (is_falcon_punctuation(c)) return run_end(s, p, is_falcon_punctuation);
  if (is_digit(c)) {
    std::size_t end = p + 1;
    while (end < s.size() && end < p + 3 && s.byte(end) >= '0' && s.byte(end) <= '9') ++end;
    return end;
  }
  std::size_t const first = p + (c.code == ' ' ? 1 : 0);
  if (first < s.size()) {
    character const f = s.at(first);
    if (f.bits & is_letter) return s.letters_end(first);
    if (is_digit(f)) return first;  // the space alone
    if (f.bits & is_number)
      return run_end(s, first, [](character n) { return (n.bits & is_number) != 0 && !is_digit(n); });
    if (!(f.bits & is_space) && !is_falcon_punctuation(f))
      return run_end(s, first, [](character n) {
        return (n.bits & (is_letter | is_number | is_space)) == 0 && !is_falcon_punctuation(n);
      });
  }
  std::size_t const end = s.spaces_end(p);
  return end < s.size() && is_falcon_punctuation(s.at(end)) ? end : spaces_but_one(s, p, end);
}

}  // namespace tenon::engine::detail
