#pragma once
//  GPT-2's byte-level alphabet: every byte as one printable character, so that vocabularies can be JSON.
//  The printable bytes of Latin-1 stand for themselves, the other 68 are U+0100 and up in order.
//  openai/gpt-2, src/encoder.py, bytes_to_unicode.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/text/utf8.hpp"

namespace tenon::engine {

struct byte_alphabet {
  std::array<char32_t, 256>     character{};  // of a byte
  std::array<std::int16_t, 324> byte{};       // of a character below U+0144; -1: none

  constexpr byte_alphabet() {
    for (auto& b : byte) b = -1;
    char32_t next = 256;
    for (char32_t b = 0; b < 256; ++b) {
      bool const printable = (b >= 33 && b < 127) || (b >= 161 && b < 173) || b >= 174;
      character[b]         = printable ? b : next++;
      byte[character[b]]   = static_cast<std::int16_t>(b);
    }
  }

  /// The bytes that `text` spells, or nothing when a character is not of the alphabet.
  [[nodiscard]] std::optional<std::string> bytes(std::string_view text) const {
    std::string result;
    while (!text.empty()) {
      auto const step = next_utf8(text);
      if (step.kind != utf8_kind::character || step.code >= byte.size() || byte[step.code] < 0) return {};
      result += static_cast<char>(static_cast<unsigned char>(byte[step.code]));
      text.remove_prefix(step.length);
    }
    return result;
  }
  /// `bytes` in the alphabet.
  [[nodiscard]] std::string text(std::string_view bytes) const {
    std::string result;
    for (char const b : bytes) append_utf8(result, character[static_cast<unsigned char>(b)]);
    return result;
  }
};

inline constexpr byte_alphabet gpt2_alphabet;

}  // namespace tenon::engine
