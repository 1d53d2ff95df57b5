#pragma once
//  What a tokenizer's patterns ask of a character: \p{L}, \p{N}, \s and the classes of upper and lower case words.
#include <cstdint>

namespace tenon::engine {

/// Bits of a class (Unicode 16, general categories). Test: tests/engine/unicode_classes_test.cpp
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

/// The bits of `code`, a Unicode scalar value.
[[nodiscard]] unsigned unicode_class_of(char32_t code);

}  // namespace tenon::engine
