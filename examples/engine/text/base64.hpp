#pragma once
//  Base64 (RFC 4648), with its padding.
#include <array>
#include <cstddef>
#include <cstdint>
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

/// Fills `bytes` with what `text` spells. False: it is not base64.
[[nodiscard]] inline bool from_base64(std::string_view text, std::string& bytes) {
  if (text.size() % 4 != 0) return false;
  std::size_t const padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  bytes.resize(text.size() / 4 * 3);
  char*        to  = bytes.data();
  std::int32_t bad = 0;  // negative: some digit was
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t bits = 0;
    for (std::size_t k = i; k < i + 4; ++k) {
      std::int32_t const v =
          k < text.size() - padding ? detail::base64_sextets[static_cast<unsigned char>(text[k])] : 0;
      bad |= v, bits = bits << 6 | static_cast<std::uint32_t>(v);
    }
    for (int const shift : {16, 8, 0}) *to++ = static_cast<char>(static_cast<unsigned char>(bits >> shift));
  }
  bytes.resize(bytes.size() - padding);
  return bad >= 0;
}

}  // namespace tenon::engine
