#pragma once
//  A word of up to 15 bytes as two numbers: compared, hashed and stored at once.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tenon::engine {

/// No two words have the same: the last byte is the length.
struct word_key {
  static constexpr std::size_t longest = 15;

  std::uint64_t low = 0, high = 0;
  friend bool   operator==(word_key, word_key) = default;

  [[nodiscard]] std::uint64_t hash() const { return (low ^ high * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu; }
  [[nodiscard]] std::size_t   length() const { return high >> 56; }

  /// Sixteen bytes as they stand, which is no key.
  static word_key load(char const* p) {
    word_key k;
    std::memcpy(&k, p, sizeof k);
    return k;
  }
  /// The first n of sixteen bytes, zeros for the others: no key either.
  static word_key first_of(char const* p, std::size_t n) {
    static constexpr auto masks = [] {
      std::array<word_key, 17> m{};
      for (std::size_t i = 0; i <= 16; ++i) {
        m[i].low  = i >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * i)) - 1;
        m[i].high = i <= 8 ? 0 : i == 16 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * (i - 8))) - 1;
      }
      return m;
    }();
    word_key const k = load(p);
    return {k.low & masks[n].low, k.high & masks[n].high};
  }

  /// Of the first n bytes at p, where 16 may be read.
  static word_key of(char const* p, std::size_t n) {
    word_key const k = first_of(p, n);
    return {k.low, k.high | std::uint64_t{n} << 56};
  }
  /// Of the first n bytes of a text, however few follow.
  static word_key of(std::string_view text, std::size_t n) {
    return text.size() >= 16 ? of(text.data(), n) : of(text.substr(0, n));
  }
  static word_key of(std::string_view word) {
    char padded[16] = {};
    if (!word.empty()) std::memcpy(padded, word.data(), word.size());
    return of(padded, word.size());
  }
};

}  // namespace tenon::engine
