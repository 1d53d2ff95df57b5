#pragma once
//  Text to pieces by the likeliest division: the one whose scores have the greatest sum (Unigram, Kudo 2018,
//  arXiv:1804.10959).
//
//  best(end) = max over pieces p that end there of best(end - |p|) + score(p), from left to right; a character that is
//  no piece has the least score of all less 10. Sums, their rounding and ties are SentencePiece's (unigram_model.cc,
//  EncodeOptimized) or, in double, those of huggingface/tokenizers. Time is linear in the text times its longest piece.
//  Test: tests/engine/text/pieces_test.cpp
#include <string_view>
#include <vector>

#include "engine/text/merge.hpp"
#include "engine/text/piece_definition.hpp"
#include "engine/text/prefix_trie.hpp"

namespace tenon::engine {

class piece_lattice {
 public:
  piece_lattice() = default;
  explicit piece_lattice(piece_definition const& d);

  /// Appends the pieces of `text`; an id below 0 is a character that is no piece.
  void divide(std::string_view text, std::vector<symbol>& out) const;

 private:
  template <class Sum>
  void divide_by(std::string_view text, std::vector<symbol>& out) const;

  prefix_trie         trie_;
  std::vector<double> scores_;  // by id
  std::vector<bool>   users_;   // by id: those whose score is so great that they are nearly always taken
  double              most_ = 0, unknown_ = 0;
  bool                doubles_ = false;
};

}  // namespace tenon::engine
