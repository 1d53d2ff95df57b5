#pragma once
//  Text to ids for byte-level BPE whose words a known pattern cuts: each word once through its merges, then from a
//  cache.
//
//  Every thread has a cache of its own (word_cache.hpp), of 6.5 MiB, four of which are only touched as they are used.
//  Test: tests/engine/text/word_encoder_test.cpp
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/text/byte_pairs.hpp"
#include "engine/text/word_cache.hpp"
#include "engine/text/word_patterns.hpp"

namespace tenon::engine {

class word_encoder {
 public:
  word_encoder() = default;
  /// `whole_words`: a word that is a token, but for those `apart`, stays whole, whatever its merges say (tiktoken;
  /// tokenizer.json's ignore_merges). Encodes nothing where `pairs` are not usable.
  word_encoder(byte_pairs pairs, bool whole_words, std::span<std::int32_t const> apart = {});

  [[nodiscard]] byte_pairs const& pairs() const { return pairs_; }

  /// Appends the ids of valid UTF-8.
  void encode(word_pattern pattern, std::string_view text, std::vector<std::int32_t>& ids) const;
  /// The ids of one word, which is not empty; `ids` has room for one per byte. Returns how many.
  std::size_t encode_word(std::string_view word, std::int32_t* ids) const;

 private:
  std::size_t encode_many(std::string_view word, long_words& known, std::int32_t* to) const;
  std::size_t encode_new(std::string_view word, bool part, word_cache& cache, word_set& set, std::int32_t* to) const;
  template <word_pattern P>
  void encode_words(std::string_view text, std::vector<std::int32_t>& ids) const;

  [[nodiscard]] bool is_whole(std::int32_t id) const { return id >= 0 && whole_[static_cast<std::size_t>(id)]; }

  byte_pairs        pairs_;
  std::vector<bool> whole_;       // by id: a word of these bytes becomes it
  std::uint64_t     number_ = 0;  // of this encoder among all: whose words a cache holds
};

}  // namespace tenon::engine
