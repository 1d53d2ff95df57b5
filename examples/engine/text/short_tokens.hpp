#pragma once
//  Tokens of up to 15 bytes by what they say: one probe of a small table and one comparison, whatever the length.
//
//  Open addressing over ids with eleven bits of the hash beside them, so that nearly no other token is compared. The longest token
//  that a text begins with is found by trying lengths, of which the first three bytes leave few: probes that do not wait for one
//  another, where a trie goes from one cache miss to the next. Test: tests/engine/text/byte_pairs_test.cpp
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/text/large_vector.hpp"
#include "engine/text/word_key.hpp"

namespace tenon::engine {

class short_tokens {
 public:
  static constexpr std::size_t id_bits = 21;
  static constexpr std::size_t ahead   = 16;  // words that `prefetch` is called before the one that is looked for

  short_tokens() = default;
  /// Of fewer than 2^21 tokens those that are not empty; of equal ones the first.
  explicit short_tokens(std::span<std::string_view const> tokens) : keys_(tokens.size()) {
    slots_.assign(std::bit_ceil(2 * tokens.size() + 2), free);
    shift_ = 64 - std::countr_zero(slots_.size());
    for (std::size_t id = 0; id < tokens.size(); ++id)
      if (tokens[id].size() <= word_key::longest) keys_[id] = word_key::of(tokens[id]);
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      if (id + ahead < tokens.size()) prefetch(keys_[id + ahead]);
      word_key const      key  = keys_[id];
      std::uint64_t const hash = key.hash();
      if (key.length() == 0) continue;
      if (key.length() >= 3) lengths_[place_of(tokens[id].data())] |= static_cast<std::uint16_t>(1u << key.length());
      std::size_t at = hash >> shift_;
      for (; slots_[at] != free; at = (at + 1) & (slots_.size() - 1))
        if (slots_[at] >> id_bits == tag_of(hash) && keys_[slots_[at] & id_mask] == key) break;
      if (slots_[at] == free) slots_[at] = tag_of(hash) << id_bits | static_cast<std::uint32_t>(id);
    }
  }

  /// The id of a word with this hash; -1: none.
  [[nodiscard]] std::int32_t find(word_key key, std::uint64_t hash) const {
    for (std::size_t at = hash >> shift_; slots_[at] != free; at = (at + 1) & (slots_.size() - 1))
      if (slots_[at] >> id_bits == tag_of(hash) && keys_[slots_[at] & id_mask] == key)
        return static_cast<std::int32_t>(slots_[at] & id_mask);
    return -1;
  }

  /// For `find`, some time later.
  void prefetch(word_key key) const { __builtin_prefetch(&slots_[key.hash() >> shift_]); }

  /// All but the whole text; 16 bytes may be read.
  void prefetch_beginnings(std::string_view text) const {
    if (text.size() < 2) return;
    for (unsigned lengths = lengths_of(text.data(), text.size() - 1); lengths != 0; lengths &= lengths - 1)
      prefetch(word_key::of(text.data(), static_cast<std::size_t>(std::countr_zero(lengths))));
  }

  /// Bit n: there may be one of n bytes, but not more than `most`, that the text at p begins with.
  [[nodiscard]] unsigned lengths_of(char const* p, std::size_t most) const {
    if (most < 3) return most == 2 ? 6 : most == 1 ? 2 : 0;
    return (lengths_[place_of(p)] | 6u) & ((2u << std::min(most, word_key::longest)) - 1);
  }
  /// The longest one of at most `most` bytes that the text at p begins with, among those for which may(id); -1: none.
  /// 16 bytes may be read.
  template <class May>
  [[nodiscard]] std::int32_t longest(char const* p, std::size_t most, May const& may) const {
    for (unsigned lengths = lengths_of(p, most); lengths != 0;) {
      int const      n   = std::bit_width(lengths) - 1;
      word_key const key = word_key::of(p, static_cast<std::size_t>(n));
      if (std::int32_t const id = find(key, key.hash()); id >= 0 && may(id)) return id;
      lengths ^= 1u << n;
    }
    return -1;
  }

 private:
  static constexpr std::uint32_t free = ~std::uint32_t{0}, id_mask = (std::uint32_t{1} << id_bits) - 1;

  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 16) >> id_bits; }

  static std::size_t place_of(char const* three) {
    auto const b = [&](std::size_t i) { return std::uint32_t{static_cast<unsigned char>(three[i])} << (8 * i); };
    return ((b(0) | b(1) | b(2)) * 0x9e3779b1u) >> 16;
  }

  large_vector<word_key>     keys_;  // by id
  std::vector<std::uint16_t> lengths_ =
      std::vector<std::uint16_t>(std::size_t{1} << 16);  // that begin with three bytes
  large_vector<std::uint32_t> slots_ = large_vector<std::uint32_t>(2, free);
  int                         shift_ = 63;
};

}  // namespace tenon::engine
