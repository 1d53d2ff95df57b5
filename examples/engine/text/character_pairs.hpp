#pragma once
//  Which two characters stand side by side in some piece of a vocabulary: where they do not, no merge leads across, and
//  the text may be cut there.
//
//  So a text falls into short words by what its vocabulary is, whatever cut the text it was trained on: in front of
//  spaces where no piece has a space behind a letter, between most Chinese characters. Pairs of ASCII are looked up,
//  others by two bits of a hash, which may say yes wrongly: then a word is longer than it need be. Test:
//  tests/engine/text/pieces_test.cpp
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/text/utf8.hpp"

namespace tenon::engine {

class character_pairs {
 public:
  /// For `pairs` pairs that are not ASCII, or fewer.
  explicit character_pairs(std::size_t pairs = 0) : ascii_(std::size_t{128} * 128) {
    std::size_t bits = 64;
    while (bits < 16 * pairs) bits *= 2;
    filter_.resize(bits / 64);
  }

  void insert(std::string_view piece) {
    char32_t last  = 0;
    bool     first = true;
    while (!piece.empty()) {
      auto const step = next_utf8(piece);
      piece.remove_prefix(step.length);
      if (!first) insert(last, step.code);
      last = step.code, first = false;
    }
  }

  [[nodiscard]] bool may_touch(char32_t a, char32_t b) const {
    if ((a | b) < 0x80) return ascii_[a * 128 + b] != 0;
    std::uint64_t const h = hash(a, b);
    return bit(h) && bit(h >> 32);
  }

  /// The end of the word that begins at `from`: behind it no merge goes on.
  [[nodiscard]] std::size_t word_end(std::string_view text, std::size_t from) const {
    std::size_t at   = from;
    char32_t    last = take(text, at);
    while (at < text.size()) {
      auto const byte = static_cast<unsigned char>(text[at]);
      if ((last | byte) < 0x80) {  // a and b are ASCII
        if (ascii_[last * 128 + byte] == 0) break;
        last = byte, ++at;
        continue;
      }
      std::size_t    next = at;
      char32_t const code = take(text, next);
      if (!may_touch(last, code)) break;
      last = code, at = next;
    }
    return at;
  }

 private:
  /// The character at `at`, which moves behind it; of bytes that are not UTF-8, one that is no character.
  static char32_t take(std::string_view text, std::size_t& at) {
    auto const byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) return ++at, byte;
    auto const step = next_utf8(text.substr(at));
    at += step.kind == utf8_kind::character ? step.length : 1;
    return step.kind == utf8_kind::character ? step.code : 0x110000;
  }
  static std::uint64_t hash(char32_t a, char32_t b) {
    std::uint64_t h = (std::uint64_t{a} << 32 | b) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
  }
  [[nodiscard]] bool bit(std::uint64_t h) const {
    std::size_t const i = static_cast<std::size_t>(h) & (64 * filter_.size() - 1);
    return (filter_[i / 64] >> (i % 64) & 1) != 0;
  }
  void insert(char32_t a, char32_t b) {
    if ((a | b) < 0x80) ascii_[a * 128 + b] = 1;
    for (std::uint64_t const h : {hash(a, b), hash(a, b) >> 32}) {
      std::size_t const i = static_cast<std::size_t>(h) & (64 * filter_.size() - 1);
      filter_[i / 64] |= std::uint64_t{1} << (i % 64);
    }
  }

  std::vector<unsigned char> ascii_;   // (first, second): 1 where some piece has the pair
  std::vector<std::uint64_t> filter_;  // two bits for each other pair
};

}  // namespace tenon::engine
