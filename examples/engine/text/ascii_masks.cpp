#include "engine/text/ascii_masks.hpp"

#include <array>
#include <cstddef>

#include "engine/text/byte_ranges.hpp"

namespace tenon::engine {

namespace {

enum : std::size_t { upper, lower, digit, control_space, blank, line_feed, carriage_return, quote, slash, high, count };
constexpr std::array<byte_range, count> ranges = {{{'A', 'Z'},
                                                   {'a', 'z'},
                                                   {'0', '9'},
                                                   {9, 13},
                                                   {' ', ' '},
                                                   {'\n', '\n'},
                                                   {'\r', '\r'},
                                                   {'\'', '\''},
                                                   {'/', '/'},
                                                   {0x80, 0xFF}}};

}  // namespace

ascii_masks classify_ascii(char const* bytes) {
  auto const in = range_finder<ranges>::find(bytes);
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
