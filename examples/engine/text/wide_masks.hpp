#pragma once
//  Which of 64 bytes belong to letters and signs that are none of ASCII, one bit each: beside ascii_masks.hpp.
//
//  The frequent blocks of European, Chinese, Japanese and Korean text, each told by ranges of the first, second and
//  third byte in UTF-8; all other characters stay unknown here. Test: tests/engine/text/wide_masks_test.cpp, against
//  unicode_classes.hpp for every character.
#include <cstdint>

namespace tenon::engine {

/// Bit i of each: byte i.
struct wide_masks {
  std::uint64_t cased  = 0;  // letters of Latin, Greek and Cyrillic, of two bytes
  std::uint64_t letter = 0;  // ideographs, kana, Hangul syllables, of three: what has no case
  std::uint64_t sign   = 0;  // punctuation of three: neither letters, numbers nor spaces
};

/// Of those characters of valid UTF-8 that lie in 64 bytes as a whole, up to the first of another script. The first
/// byte begins a character; `high`: the bytes from 0x80 on, which are some.
[[nodiscard]] wide_masks classify_wide(char const* bytes, std::uint64_t high);

}  // namespace tenon::engine
