#pragma once
//  Text to pieces by merging neighbours (piece_definition.hpp: `scores`, `ranks`), each word of the text for itself.
//
//  A text is cut where no piece has the two characters at the cut side by side (character_pairs.hpp), so that merging
//  the words one by one is merging the text. Each is merged once and then comes from a cache, one for each thread;
//  words that are long go through a heap in O(n log n). Test: tests/engine/text/pieces_test.cpp, against merging a
//  whole text pair by pair.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/character_pairs.hpp"
#include "engine/text/pair_table.hpp"
#include "engine/text/piece_definition.hpp"
#include "engine/text/prefix_trie.hpp"

namespace tenon::engine {

class piece_merger {
 public:
  piece_merger() = default;
  explicit piece_merger(piece_definition const& d);

  /// Appends the pieces of `text` from `at` on, at least one where there is text, and returns where they end: at the
  /// end of the text, or earlier where there are many. An id below 0 is a character that is no piece, or a byte of
  /// none. `whole`: where words that are pieces stay whole, this text is one that may.
  std::size_t divide(std::string_view text, std::size_t at, bool whole, std::vector<symbol>& out) const;

  /// Whether a character is a piece.
  [[nodiscard]] bool knows(std::string_view character) const { return trie_.exact(character) >= 0; }

 private:
  [[nodiscard]] std::vector<std::string> name_characters(piece_definition const& d) const;
  void rank_by_score(piece_definition const& d, std::vector<std::string_view> const& texts);
  void take_merges(piece_definition const& d);
  void merge_word(std::string_view word, std::vector<symbol>& symbols) const;
  void merge_and_take_apart(std::vector<symbol>& symbols) const;

  prefix_trie                   trie_;        // of what merges know: pieces by id, then characters that are none
  std::array<std::int32_t, 128> ascii_{};     // of single characters
  std::vector<std::uint32_t>    lengths_;     // bytes, by id
  std::size_t                   pieces_ = 0;  // ids from here on are characters that are no piece
  std::vector<std::int32_t>     bytes_;       // byte tokens, where a merge has one; else empty
  pair_table                    merges_;
  character_pairs               pairs_;
  std::vector<bool>             unused_;  // by id, where there is one
  bool                          cuts_ = true, whole_words_ = false;
  std::uint64_t                 number_ = 0;  // of this merger among all: whose words a cache holds
};

}  // namespace tenon::engine
