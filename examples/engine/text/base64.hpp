#pragma once
//  Base64 (RFC 4648), with its padding.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tenon::engine {

namespace detail {

inline constexpr std::array<std::int8_t, 256> base64_sextets = [] {
  std::array<std::int8_t, 256> s{};
  s.fill(-1);
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < digits.size(); ++i)
    s[static_cast<unsigned char>(digits[i])] = static_cast<std::int8_t>(i);
  return s;
}();

}  // namespace detail

/// The bytes that `text` spells, or nothing where it is not base64.
[[nodiscard]] inline std::optional<std::string> bytes_of_base64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  std::size_t const padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string       bytes;
  std::uint32_t     bits = 0;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); ++i) {
    int const v = i < text.size() - padding ? detail::base64_sextets[static_cast<unsigned char>(text[i])] : 0;
    if (v < 0) return {};
    bits = bits << 6 | static_cast<std::uint32_t>(v);
    if (i % 4 == 3)
      for (int const shift : {16, 8, 0}) bytes += static_cast<char>(static_cast<unsigned char>(bits >> shift));
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

}  // namespace tenon::engine
