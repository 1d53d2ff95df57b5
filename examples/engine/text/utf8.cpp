#include "engine/text/utf8.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/text/byte_ranges.hpp"

namespace tenon::engine {

utf8_step next_utf8(std::string_view text) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto const lead = byte(0);
  if (lead < 0x80) return {utf8_kind::character, 1, lead};

  // Table 3-7: how many bytes follow, and the narrower range of the first of them.
  std::size_t   rest = 0;
  unsigned char low = 0x80, high = 0xBF;
  char32_t      code = 0;
  if (lead >= 0xC2 && lead <= 0xDF) rest = 1, code = lead & 0x1Fu;
  else if (lead >= 0xE0 && lead <= 0xEF) {
    rest = 2, code = lead & 0x0Fu;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    rest = 3, code = lead & 0x07u;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {utf8_kind::invalid, 1, 0};
  }
  for (std::size_t i = 1; i <= rest; ++i) {
    if (i == text.size()) return {utf8_kind::incomplete, i, 0};
    auto const next = byte(i);
    if (next < low || next > high) return {utf8_kind::invalid, i, 0};
    low = 0x80, high = 0xBF;
    code = (code << 6) | (next & 0x3Fu);
  }
  return {utf8_kind::character, rest + 1, code};
}

namespace {

/// Where the last character of 64 bytes begins if they end inside of it; 64: they end with one.
std::size_t end_of_whole(std::uint64_t cut) { return static_cast<std::size_t>(std::countr_zero(cut)); }

/// 64 bytes that begin with a character: how many of them are whole characters; 0: some are none (table 3-7 again).
std::size_t whole_characters(char const* bytes) {
  // Mostly ASCII and characters of three bytes whose second one has no narrower range.
  enum : std::size_t { high, later, e1_ec, ee_ef, plain_count };
  static constexpr std::array<byte_range, plain_count> plain_ranges = {
      {{0x80, 0xFF}, {0x80, 0xBF}, {0xE1, 0xEC}, {0xEE, 0xEF}}};

  auto const          plain = range_finder<plain_ranges>::find(bytes);
  std::uint64_t const first = plain[e1_ec] | plain[ee_ef];
  if (plain[later] == (first << 1 | first << 2) && plain[high] == (plain[later] | first))
    return end_of_whole(first & ~std::uint64_t{0} << 62);

  enum : std::size_t { ascii, rest, from_90, from_a0, two, three, four, e0, ed, f0, f4, count };
  static constexpr std::array<byte_range, count> ranges = {{{0x00, 0x7F},
                                                            {0x80, 0xBF},
                                                            {0x90, 0xBF},
                                                            {0xA0, 0xBF},
                                                            {0xC2, 0xDF},
                                                            {0xE0, 0xEF},
                                                            {0xF0, 0xF4},
                                                            {0xE0, 0xE0},
                                                            {0xED, 0xED},
                                                            {0xF0, 0xF0},
                                                            {0xF4, 0xF4}}};

  auto const          in     = range_finder<ranges>::find(bytes);
  std::uint64_t const expect = (in[two] | in[three] | in[four]) << 1 | (in[three] | in[four]) << 2 | in[four] << 3;
  std::uint64_t const cut    = (in[two] & ~std::uint64_t{0} << 63) | (in[three] & ~std::uint64_t{0} << 62) |
                            (in[four] & ~std::uint64_t{0} << 61);
  std::uint64_t const second_a0 = in[from_a0] >> 1, second_90 = in[from_90] >> 1;
  std::uint64_t const narrow =
      (in[e0] & ~second_a0) | (in[ed] & second_a0) | (in[f0] & ~second_90) | (in[f4] & second_90);
  std::uint64_t const none = ~(in[ascii] | in[rest] | in[two] | in[three] | in[four]);
  if (((in[rest] ^ expect) | none | (narrow & ~cut)) != 0) return 0;
  return end_of_whole(cut);
}

}  // namespace

utf8_step last_utf8(std::string_view text) {
  for (std::size_t n = 1; n <= std::min<std::size_t>(4, text.size()); ++n) {
    auto const step = next_utf8(text.substr(text.size() - n));
    if (step.kind == utf8_kind::character && step.length == n) return step;
  }
  return {utf8_kind::invalid, 1, 0};
}

std::size_t utf8_length(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (text.size() - at >= 64) {
      std::uint64_t eight[8];
      std::memcpy(eight, text.data() + at, sizeof eight);
      if (((eight[0] | eight[1] | eight[2] | eight[3] | eight[4] | eight[5] | eight[6] | eight[7]) &
           0x8080808080808080u) == 0) {
        at += 64;
        continue;
      }
      if (std::size_t const n = whole_characters(text.data() + at)) {
        at += n;
        continue;
      }
    }
    auto const step = next_utf8(text.substr(at));
    if (step.kind != utf8_kind::character) break;
    at += step.length;
  }
  return at;
}

std::string to_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    auto const step = next_utf8(text);
    result += step.kind == utf8_kind::character ? text.substr(0, step.length) : replacement_character;
    text.remove_prefix(step.length);
  }
  return result;
}

void append_utf8(std::string& text, char32_t code) {
  auto const put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6)), put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12)), put(0x80 | ((code >> 6) & 0x3F)), put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18)), put(0x80 | ((code >> 12) & 0x3F)), put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace tenon::engine
