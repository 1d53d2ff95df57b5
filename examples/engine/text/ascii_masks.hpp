#pragma once
//  What 64 bytes of a text are: one bit each, so that the ends of runs are found by counting zeros or by arithmetic on
//  all at once.
//
//  Test: tests/engine/text/ascii_masks_test.cpp
#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/text/byte_ranges.hpp"

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

namespace detail {

enum : std::size_t { upper, lower, digit, control_space, blank, line_feed, carriage_return, quote, slash, high };
inline constexpr std::array<byte_range, high + 1> ascii_ranges = {{{'A', 'Z'},
                                                                   {'a', 'z'},
                                                                   {'0', '9'},
                                                                   {9, 13},
                                                                   {' ', ' '},
                                                                   {'\n', '\n'},
                                                                   {'\r', '\r'},
                                                                   {'\'', '\''},
                                                                   {'/', '/'},
                                                                   {0x80, 0xFF}}};

}  // namespace detail

/// Of 64 bytes. Inline, so that the masks are not copied once more.
[[nodiscard]] inline ascii_masks classify_ascii(char const* bytes) {
  using namespace detail;
  auto const in = range_finder<ascii_ranges>::find(bytes);
  return {.letter = in[upper] | in[lower],
          .lower  = in[lower],
          .digit  = in[digit],
          .space  = in[control_space] | in[blank],
          .blank  = in[blank],
          .line   = in[line_feed] | in[carriage_return],
          .quote  = in[quote],
          .slash  = in[slash],
          .high   = in[high]};
}

}  // namespace tenon::engine
