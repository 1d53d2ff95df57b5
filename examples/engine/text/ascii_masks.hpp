#pragma once
//  What 64 bytes of a text are: one bit each, so that the ends of runs are found by counting zeros or by arithmetic on
//  all at once.
//
//  Test: tests/engine/text/ascii_masks_test.cpp
#include <cstdint>

namespace tenon::engine {

/// Bit i of each: byte i.
struct ascii_masks {
  std::uint64_t letter                                             = 0;  // A-Z a-z
  std::uint64_t lower                                              = 0;  // a-z
  std::uint64_t digit                                              = 0;
  std::uint64_t space                                              = 0;  // White_Space below 0x80: 9-13, 32
  std::uint64_t blank                                              = 0;  // 32 alone
  std::uint64_t line                                               = 0;  // 10 and 13
  std::uint64_t quote                                              = 0;  // '
  std::uint64_t slash                                              = 0;  // /
  std::uint64_t high                                               = 0;  // 0x80 and above: part of a longer character
  friend bool   operator==(ascii_masks const&, ascii_masks const&) = default;
};

/// Of 64 bytes.
[[nodiscard]] ascii_masks classify_ascii(char const* bytes);

}  // namespace tenon::engine
