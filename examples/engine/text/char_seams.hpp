#pragma once
//  Where a word of a script without spaces can be cut before its merges: between characters that no token holds together.
//
//  A merge never joins what no token joins, so the parts are encoded each for itself, and are short enough to be found in a cache.
//  Characters of three bytes (Chinese, Japanese, Korean and others). Test: tests/engine/text/char_seams_test.cpp
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace tenon::engine {

class char_seams {
 public:
  char_seams() = default;
  explicit char_seams(std::span<std::string_view const> tokens) {
    for (std::string_view const t : tokens)
      for (std::size_t i = 1; i < t.size(); ++i) {
        if (!is_lead(t[i])) continue;
        std::size_t rest = 0;  // bytes in front that are no character's first
        while (rest < i && (t[i - rest - 1] & 0xC0) == 0x80) ++rest;
        bool const part = rest == i;  // the token begins inside of a character
        if (rest == 0 || (!part && (rest != 2 || !is_lead(t[i - 3])))) continue;
        if (part || i + 3 > t.size()) ends_[end_of(t[i - 1])] |= beginning(t[i]);
        else pairs_[place_of(t.data() + i - 3) / 64] |= bit_of(t.data() + i - 3);
      }
  }

  [[nodiscard]] static bool is_lead(char c) { return (c & 0xF0) == 0xE0; }

  /// Whether a token may hold bytes of both the characters at p and p + 3.
  [[nodiscard]] bool joined(char const* p) const {
    std::size_t const place = place_of(p);
    return ((pairs_[place / 64] >> (place % 64) & 1) | (ends_[end_of(p[2])] & beginning(p[3]))) != 0;
  }

 private:
  static constexpr int bits = 20;

  static std::size_t place_of(char const* p) {
    std::uint32_t left = 0, right = 0;  // they share two bytes
    std::memcpy(&left, p, 4), std::memcpy(&right, p + 2, 4);
    return (std::uint64_t{right} << 32 | left) * 0x9e3779b97f4a7c15u >> (64 - bits);
  }
  static std::uint64_t bit_of(char const* p) { return std::uint64_t{1} << (place_of(p) % 64); }
  static std::size_t   end_of(char last) { return static_cast<std::size_t>(last) & 63; }
  static std::uint16_t beginning(char first) { return static_cast<std::uint16_t>(1 << (first & 15)); }

  std::vector<std::uint64_t> pairs_ = std::vector<std::uint64_t>((std::size_t{1} << bits) / 64);
  // Tokens that begin or end inside of a character: by the last byte in front of the seam, bits of the first one behind it.
  std::array<std::uint16_t, 64> ends_{};
};

}  // namespace tenon::engine
