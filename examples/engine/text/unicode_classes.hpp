#pragma once
//  What a tokenizer's patterns ask of a character: \p{L}, \p{N}, \s and the classes of upper and lower case words.
#include <array>
#include <cstddef>
#include <cstdint>

namespace tenon::engine {

/// Bits of a class (Unicode 16, general categories). Test: tests/engine/text/word_patterns_test.cpp
enum unicode_class : unsigned char {
  is_letter      = 1,    // L
  is_number      = 2,    // N
  is_space       = 4,    // White_Space
  is_mark        = 8,    // M
  is_upper_side  = 16,   // Lu, Lt, Lm, Lo, M: what may stand in front of a word's lower case part
  is_lower_side  = 32,   // Ll, Lm, Lo, M
  is_punctuation = 64,   // P
  is_symbol      = 128,  // S
};

/// The classes of codes below 0x80.
inline constexpr std::array<unsigned char, 128> ascii_classes = [] {
  std::array<unsigned char, 128> c{};
  for (std::size_t i = 0; i < 128; ++i) {
    bool const upper = i >= 'A' && i <= 'Z', lower = i >= 'a' && i <= 'z', number = i >= '0' && i <= '9';
    bool const symbol = i == '$' || i == '+' || (i >= '<' && i <= '>') || i == '^' || i == '`' || i == '|' || i == '~';
    if (upper) c[i] = is_letter | is_upper_side;
    else if (lower) c[i] = is_letter | is_lower_side;
    else if (number) c[i] = is_number;
    else if (i == ' ' || (i >= 9 && i <= 13)) c[i] = is_space;
    else if (symbol) c[i] = is_symbol;
    else if (i > 32 && i < 127) c[i] = is_punctuation;
  }
  return c;
}();

/// The bits of `code`, a Unicode scalar value.
[[nodiscard]] unsigned unicode_class_of(char32_t code);

}  // namespace tenon::engine
