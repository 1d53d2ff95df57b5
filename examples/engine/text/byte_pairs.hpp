#pragma once
//  Byte-pair encoding of a word in linear time: the longest tokens that fit, each checked against its neighbour.
//
//  Merging pairs by rank until none is left gives the only division of the word into tokens in which every two
//  neighbours, merged alone, stay two tokens. So it is found from left to right: take the longest token; where it does
//  not fit the one in front, a shorter one; where none fits, the one in front becomes shorter. Whether two tokens fit
//  is decided backwards in time: the later of the two is split into what it was merged from, and at each moment the two
//  that touch must not have had a merge that came first. (The idea: van Antwerpen and Neubeck 2024, github/rust-gems.)
//  Test: tests/engine/text/byte_pairs_test.cpp, against merging pair by pair.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/char_seams.hpp"
#include "engine/text/large_vector.hpp"
#include "engine/text/merge.hpp"
#include "engine/text/pair_table.hpp"
#include "engine/text/prefix_trie.hpp"
#include "engine/text/short_tokens.hpp"

namespace tenon::engine {

/// Two tokens become `id`; merges with smaller ranks come first.
struct pair_merge {
  std::int32_t left, right, id;
};

class byte_pairs {
 public:
  byte_pairs() = default;

  /// `tokens`: the bytes of each id, empty where an id is none. `merges` in the order of their ranks; of a pair that
  /// comes again the last counts. Not `usable` without all 256 single bytes or with a token of more than 1,024 bytes.
  [[nodiscard]] static byte_pairs by_merges(std::span<std::string_view const> tokens,
                                            std::span<pair_merge const>       merges);
  /// As tiktoken has it: two tokens merge where their bytes are a token, and that token's id is the rank.
  [[nodiscard]] static byte_pairs by_rank(std::span<std::string_view const> tokens);

  [[nodiscard]] bool usable() const { return usable_; }

  /// The token of exactly these bytes, whether or not merges lead to it; -1: none.
  [[nodiscard]] std::int32_t exact(std::string_view word) const {
    if (word.size() > word_key::longest) return long_.exact(word);
    word_key const key = word_key::of(word);
    return exact(key, key.hash());
  }
  [[nodiscard]] std::int32_t exact(word_key word, std::uint64_t hash) const { return short_.find(word, hash); }
  [[nodiscard]] std::size_t  tokens() const { return parts_.size(); }
  /// Whether merges make it, so that its bytes as a word become it.
  [[nodiscard]] bool made(std::int32_t id) const { return made_[static_cast<std::size_t>(id)]; }

  [[nodiscard]] std::string_view bytes_of(std::int32_t id) const {
    auto const i = static_cast<std::size_t>(id);
    return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }

  /// Where words may be cut.
  [[nodiscard]] char_seams const& seams() const { return seams_; }

  /// The ids of a word that is not empty; `ids` has room for one per byte. Returns how many.
  std::size_t encode(std::string_view word, std::int32_t* ids) const;

 private:
  struct parts {
    std::int32_t left = -1, right = -1;  // what merges into it
    std::int32_t rank   = -1;            // of that merge; -1: a single byte
    std::int32_t length = 0;             // bytes; 0: no text becomes it
    bool         late   = false;         // merges of higher rank made a part of it
  };

  explicit byte_pairs(std::span<std::string_view const> tokens);

  [[nodiscard]] bool make_room(std::size_t merges);
  void               define(pair_merge const& m, std::int32_t rank);
  bool               define_late(std::span<std::string_view const> tokens);
  void               finish();

  [[nodiscard]] std::size_t length_of(std::int32_t id) const {
    return static_cast<std::size_t>(parts_[static_cast<std::size_t>(id)].length);
  }
  [[nodiscard]] std::int32_t merge_of(std::int32_t left, std::int32_t right) const;  // its rank; -1: none
  void                       add_merge(std::int32_t left, std::int32_t right, std::int32_t rank);
  void                       prefetch(pair_merge const& m) const;  // for `fit` and `define`, some time later
  [[nodiscard]] bool         fit(std::int32_t left, std::int32_t right) const;
  /// The merge of two tokens that touch in some text.
  [[nodiscard]] merge_result any_merge(std::int32_t left, std::int32_t right, std::string_view both) const {
    std::int32_t const id = exact(both);
    if (!late_merges_) return {static_cast<std::uint32_t>(id), id};
    if (merge_result const m = (*late_merges_)(left, right); m.id >= 0) return m;
    std::int32_t const rank = merge_of(left, right);
    return {static_cast<std::uint32_t>(rank), rank < 0 ? -1 : id};
  }
  /// All merges of a text in their order; `last` becomes what the last one joined.
  void merge_one_by_one(std::string_view text, std::vector<symbol>& symbols, parts* last = nullptr) const;
  /// The longest token that merges make of at most `most` bytes at p; -1: none. Up to `end` may be read.
  [[nodiscard]] std::int32_t longest(char const* p, std::size_t most, char const* end) const;
  /// What a token is merged of, by merges of smaller rank; false: they do not make it.
  [[nodiscard]] bool split(std::int32_t id, pair_merge& of) const;

  bool                        usable_ = false;
  std::string                 bytes_;   // of all tokens, and 16 more that may be read
  std::vector<std::uint32_t>  begins_;  // (tokens + 1) in bytes_
  short_tokens                short_;
  char_seams                  seams_;
  prefix_trie                 long_;         // tokens of more than 15 bytes
  std::vector<bool>           made_;         // by id
  large_vector<parts>         parts_;        // by id
  large_vector<std::uint64_t> pairs_;        // left (21 bits), right (21), rank + 1 (22): open addressing; 0: free
  std::optional<pair_table>   late_merges_;  // of a file of merges with late tokens: those of tokens that hold one
  std::vector<std::uint64_t>  filter_;       // a bit for each pair that may have a merge
};

}  // namespace tenon::engine
