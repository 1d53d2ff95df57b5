#pragma once
//  Which of 64 bytes belong to letters and signs of Chinese, Japanese and Korean text, one bit each: beside ascii_masks.hpp, for
//  texts that have none of ASCII.
//
//  The frequent blocks, each told by ranges of the first, second and third byte (all are of three bytes in UTF-8); all other
//  characters stay unknown here. Test: tests/engine/text/wide_masks_test.cpp, against unicode_classes.hpp for every character.
#include <cstdint>

namespace tenon::engine {

/// Bit i of each: byte i.
struct wide_masks {
  std::uint64_t letter = 0;  // ideographs, kana, Hangul syllables: what has no case
  std::uint64_t sign   = 0;  // punctuation: neither letters, numbers nor spaces
};

/// Of those characters of valid UTF-8 that lie in 64 bytes as a whole; the first byte begins one. `high`: the bytes from 0x80 on.
[[nodiscard]] wide_masks classify_wide(char const* bytes, std::uint64_t high);

}  // namespace tenon::engine
