#pragma once
//  GPT-2's byte-level alphabet: every byte as one printable character, so that vocabularies can be JSON.
//  The printable bytes of Latin-1 stand for themselves, the other 68 are U+0100 and up in order.
//  openai/gpt-2, src/encoder.py, bytes_to_unicode.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

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

  /// Appends the bytes that `text` spells; false, and they are some of them, when a character is not of the alphabet.
  [[nodiscard]] bool append_bytes(std::string& result, std::string_view text) const {
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::uint32_t code = static_cast<unsigned char>(text[i]);
      if (code >= 0x80) {  // of two bytes, as all the others that are its
        if ((code & 0xE0) != 0xC0 || ++i == text.size() || (text[i] & 0xC0) != 0x80) return false;
        code = (code & 0x1F) << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
        if (code < 0x80) return false;
      }
      if (code >= byte.size() || byte[code] < 0) return false;
      result += static_cast<char>(static_cast<unsigned char>(byte[code]));
    }
    return true;
  }
  /// The bytes that `text` spells, or nothing when a character is not of the alphabet.
  [[nodiscard]] std::optional<std::string> bytes(std::string_view text) const {
    std::string result;
    return append_bytes(result, text) ? std::optional(std::move(result)) : std::nullopt;
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
