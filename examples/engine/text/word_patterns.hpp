#pragma once
//  How the known tokenizers cut a text into words, in front of their merges: by hand what their files say as regular
//  expressions.
//
//  Linear in the text. What a pattern matches is written beside it; `known_pattern` recognises the expressions
//  themselves.
//  Test: tests/engine/text/word_patterns_test.cpp (every word against PCRE2 on the same expression).
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/text/run_scanner.hpp"
#include "engine/text/word_sequences.hpp"

namespace tenon::engine {

enum class word_pattern : unsigned char {
  gpt2,    // GPT-2, GPT-NeoX, MPT: ByteLevel's own
  llama3,  // and what GPT-4 has in tokenizer.json: numbers of up to three digits
  qwen2,   // the same, each digit alone
  cl100k,  // GPT-4 as tiktoken has it: the same as Llama 3, but for spaces and lines that end the text, which are one word
  o200k,   // GPT-4o: words change at capitals
  tekken,  // Mistral's: the same without contractions, each digit alone
  qwen35,  // Qwen 2's, where marks are letters
  // By several expressions, each inside the pieces of the one before (word_sequences.hpp):
  starcoder,  // SmolLM, Command R, too: each digit alone
  falcon,
  deepseek_coder,
  deepseek_llm,
  deepseek_v3,  // and R1
};
inline constexpr word_pattern word_patterns[]  = {word_pattern::gpt2,   word_pattern::llama3, word_pattern::qwen2,
                                                  word_pattern::cl100k, word_pattern::o200k,  word_pattern::tekken,
                                                  word_pattern::qwen35};
inline constexpr word_pattern word_sequences[] = {word_pattern::starcoder, word_pattern::falcon,
                                                  word_pattern::deepseek_coder, word_pattern::deepseek_llm,
                                                  word_pattern::deepseek_v3};

/// The pattern whose regular expression this is, in any spelling that is known.
[[nodiscard]] std::optional<word_pattern> known_pattern(std::string_view expression);
/// The same of several, each match of which is isolated.
[[nodiscard]] std::optional<word_pattern> known_pattern(std::span<std::string const> steps);
/// The expression that the pattern is equal to; of several, the last.
[[nodiscard]] std::string_view expression_of(word_pattern p);
/// All of its expressions.
[[nodiscard]] std::span<std::string_view const> steps_of(word_pattern p);

namespace detail {

/// Bytes of 's 't 're 've 'm 'll 'd that `text` begins with; 0: none. Without regard to case, ſ (U+017F) is an s.
template <bool AnyCase>
std::size_t contraction(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  auto const letter = [&](std::size_t i) {
    return AnyCase && text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
  };
  switch (letter(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd': return 2;
    case 'r':
    case 'v': return text.size() > 2 && letter(2) == 'e' ? 3 : 0;
    case 'l': return text.size() > 2 && letter(2) == 'l' ? 3 : 0;
    case '\xC5': return AnyCase && text.size() > 2 && text[2] == '\xBF' ? 3 : 0;
    default: return 0;
  }
}
template <bool AnyCase>
std::size_t contraction(run_scanner const& s, std::size_t p) {
  return contraction<AnyCase>(s.from(p));
}

/// \s+(?!\S)|\s+ at p, where a space is: all spaces but the last, where a word follows.
inline std::size_t spaces_but_one(run_scanner const& s, std::size_t p, std::size_t end) {
  if (end == s.size()) return end;
  std::size_t last = end - 1;
  while ((static_cast<unsigned char>(s.byte(last)) & 0xC0) == 0x80) --last;
  return last > p ? last : end;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+
inline std::size_t lines_or_spaces(run_scanner& s, std::size_t p) {
  std::size_t const end = s.spaces_end(p);
  for (std::size_t i = end; i > p; --i)
    if (char const c = s.byte(i - 1); c == '\n' || c == '\r') return i;
  return spaces_but_one(s, p, end);
}

/// \p{N}{1,Most}, where a number is
template <int Most>
std::size_t number_end(run_scanner const& s, std::size_t p) {
  for (int i = 0; i < Most && p < s.size(); ++i) {
    if (static_cast<unsigned char>(s.byte(p)) < 0x80) {
      if (s.byte(p) < '0' || s.byte(p) > '9') return p;
      ++p;
    } else {
      character const c = s.at(p);
      if ((c.bits & is_number) == 0) return p;
      p += c.length;
    }
  }
  return p;
}

inline std::size_t lines_end(run_scanner const& s, std::size_t p, bool slash) {
  while (p < s.size() && (s.byte(p) == '\n' || s.byte(p) == '\r' || (slash && s.byte(p) == '/'))) ++p;
  return p;
}

//  's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
inline std::size_t gpt2_word_end(run_scanner& s, std::size_t p) {
  if (std::size_t const n = contraction<false>(s, p)) return p + n;
  std::size_t const first = p + (s.byte(p) == ' ' ? 1 : 0);
  if (first < s.size()) {
    unsigned const bits = s.at(first).bits;
    if (bits & is_letter) return s.letters_end(first);
    if (bits & is_number) return s.numbers_end(first);
    if (!(bits & is_space)) return s.others_end(first);
  }
  return spaces_but_one(s, p, s.spaces_end(p));
}

//  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//  LinesEndText: \s++$ comes in front of \s*[\r\n]+. Marks: [\p{L}\p{M}]+ in place of \p{L}+, and
//  [^\s\p{L}\p{M}\p{N}]+.
template <int Digits, bool LinesEndText, bool Marks = false>
std::size_t cl100k_word_end(run_scanner& s, std::size_t p) {
  constexpr unsigned letter = Marks ? is_letter | is_mark : is_letter;
  if (std::size_t const n = contraction<true>(s, p)) return p + n;
  character const c = s.at(p);
  if (c.bits & letter) return s.letters_end<Marks>(p);
  if (c.bits & is_number) return number_end<Digits>(s, p);
  std::size_t const second = p + c.length;
  if (c.code != '\r' && c.code != '\n' && second < s.size() && (s.at(second).bits & letter))
    return s.letters_end<Marks>(second);
  std::size_t const first = c.code == ' ' ? second : p;
  if (first < s.size() && !(s.at(first).bits & (letter | is_number | is_space)))
    return lines_end(s, s.others_end<Marks>(first), false);
  if constexpr (LinesEndText)
    if (s.spaces_end(p) == s.size()) return s.size();
  return lines_or_spaces(s, p);
}

//  [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+, or 0. The first part gives back what the second needs:
//  where no lower case follows, up to and with the last character that is of both.
inline std::size_t capitals_and_lower(run_scanner& s, std::size_t p) {
  std::size_t const upper = s.upper_side_end(p), lower = s.lower_side_end(upper);
  if (lower > upper) return lower;
  std::size_t end = 0;
  for (std::size_t i = p; i < upper;) {
    character const c = s.at(i);
    i += c.length;
    if (c.bits & is_lower_side) end = i;
  }
  return end;
}

//  [^\r\n\p{L}\p{N}]?U*L+(?i:'s|...)?|[^\r\n\p{L}\p{N}]?U+L*(?i:'s|...)?
//  |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|...
template <int Digits, bool Contractions>
std::size_t o200k_word_end(run_scanner& s, std::size_t p) {
  character const   c      = s.at(p);
  bool const        prefix = !(c.bits & (is_letter | is_number)) && c.code != '\r' && c.code != '\n';
  std::size_t const second = p + c.length;
  std::size_t       end    = 0;
  if (prefix && second < s.size()) end = capitals_and_lower(s, second);
  if (end == 0) end = capitals_and_lower(s, p);
  if (end == 0 && prefix && second < s.size()) {
    std::size_t const upper = s.upper_side_end(second);
    if (upper > second) end = upper;
  }
  if (end == 0) {
    std::size_t const upper = s.upper_side_end(p);
    if (upper > p) end = upper;
  }
  if (end != 0) return end + (Contractions && end < s.size() ? contraction<true>(s, end) : 0);
  if (c.bits & is_number) return number_end<Digits>(s, p);
  std::size_t const first = c.code == ' ' ? second : p;
  if (first < s.size() && !(s.at(first).bits & (is_letter | is_number | is_space)))
    return lines_end(s, s.others_end(first), true);
  return lines_or_spaces(s, p);
}

template <word_pattern P>
std::size_t word_end(run_scanner& s, std::size_t p) {
  if constexpr (P == word_pattern::gpt2) return gpt2_word_end(s, p);
  else if constexpr (P == word_pattern::llama3) return cl100k_word_end<3, false>(s, p);
  else if constexpr (P == word_pattern::qwen2) return cl100k_word_end<1, false>(s, p);
  else if constexpr (P == word_pattern::cl100k) return cl100k_word_end<3, true>(s, p);
  else if constexpr (P == word_pattern::o200k) return o200k_word_end<3, true>(s, p);
  else if constexpr (P == word_pattern::tekken) return o200k_word_end<1, false>(s, p);
  else if constexpr (P == word_pattern::qwen35) return cl100k_word_end<1, false, true>(s, p);
  else if constexpr (P == word_pattern::starcoder) return starcoder_word_end(s, p);
  else if constexpr (P == word_pattern::falcon) return falcon_word_end(s, p);
  else if constexpr (P == word_pattern::deepseek_coder) return deepseek_coder_word_end(s, p);
  else if constexpr (P == word_pattern::deepseek_llm) return deepseek_llm_word_end(s, p);
  else return deepseek_v3_word_end(s, p);
}

template <word_pattern P, class F>
void each_word(std::string_view text, F const& f) {
  run_scanner s(text);
  for (std::size_t p = 0; p < text.size();) {
    std::size_t const end = word_end<P>(s, p);
    f(p, end);
    p = end;
  }
}

}  // namespace detail

/// f(begin, end) for each word of valid UTF-8; the words are all of it.
template <class F>
void each_word(word_pattern p, std::string_view text, F const& f) {
  switch (p) {
    case word_pattern::gpt2: return detail::each_word<word_pattern::gpt2>(text, f);
    case word_pattern::llama3: return detail::each_word<word_pattern::llama3>(text, f);
    case word_pattern::qwen2: return detail::each_word<word_pattern::qwen2>(text, f);
    case word_pattern::cl100k: return detail::each_word<word_pattern::cl100k>(text, f);
    case word_pattern::o200k: return detail::each_word<word_pattern::o200k>(text, f);
    case word_pattern::tekken: return detail::each_word<word_pattern::tekken>(text, f);
    case word_pattern::qwen35: return detail::each_word<word_pattern::qwen35>(text, f);
    case word_pattern::starcoder: return detail::each_word<word_pattern::starcoder>(text, f);
    case word_pattern::falcon: return detail::each_word<word_pattern::falcon>(text, f);
    case word_pattern::deepseek_coder: return detail::each_word<word_pattern::deepseek_coder>(text, f);
    case word_pattern::deepseek_llm: return detail::each_word<word_pattern::deepseek_llm>(text, f);
    case word_pattern::deepseek_v3: return detail::each_word<word_pattern::deepseek_v3>(text, f);
  }
}

}  // namespace tenon::engine
