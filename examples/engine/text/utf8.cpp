#include "engine/text/utf8.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

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

std::size_t utf8_length(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (text.size() - at >= 32) {
      std::uint64_t four[4];
      std::memcpy(four, text.data() + at, 32);
      if (((four[0] | four[1] | four[2] | four[3]) & 0x8080808080808080u) == 0) {
        at += 32;
        continue;
      }
      // Three bytes, as most scripts have; two leads have a narrower range.
      constexpr auto    mask   = std::bit_cast<std::uint32_t>(std::array<unsigned char, 4>{0xF0, 0xC0, 0xC0, 0});
      constexpr auto    bits   = std::bit_cast<std::uint32_t>(std::array<unsigned char, 4>{0xE0, 0x80, 0x80, 0});
      std::size_t const before = at;
      for (std::uint32_t v = 0; text.size() - at >= 4; at += 3) {
        std::memcpy(&v, text.data() + at, 4);
        auto const lead = static_cast<unsigned char>(text[at]);
        if ((v & mask) != bits || lead == 0xE0 || lead == 0xED) break;
      }
      if (at > before) continue;
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
