#pragma once
//  Training of a byte-level BPE vocabulary: the pair of neighbours that occurs most often becomes a token, again and again.
//  (Gage 1994; Sennrich, Haddow and Birch 2016.)
//
//  Words are counted once. A heap has the pairs by their counts; a count in it may be out of date, and is set right when it comes to
//  the top. Each merge visits the words that have its pair alone, so that all merges together take little more than the words'
//  lengths. Ties, ids and the order of merges are those of huggingface/tokenizers' BpeTrainer: of pairs that occur equally often, the
//  one whose ids are smaller comes first.
//  Test: tests/engine/text/bpe_trainer_test.cpp (its merges, recorded)
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/byte_pairs.hpp"

namespace tenon::engine {

/// Words as bytes, and how often each occurs.
using word_counts = std::unordered_map<std::string_view, std::int64_t>;

/// Counts the words of a text that outlives the counts. `pattern`: the name of a family (word_families.hpp) or a regular expression.
/// Special tokens in the text end words and are none; bytes that are not UTF-8 are left out.
[[nodiscard]] word_counts count_words(std::string_view text, std::string_view pattern,
                                      std::span<std::string const> special = {});

struct trained_bpe {
  std::vector<std::string> special;  // the first ids
  std::vector<std::string>
      tokens;  // bytes of the ids behind them: 256 bytes in the byte alphabet's order, then what merges make
  std::vector<pair_merge> merges;  // in the order of their ranks
};

/// At most `vocabulary` tokens, special ones and bytes included; fewer where no pair is left that occurs `least` times. Throws
/// `error` where there is no room for those.
[[nodiscard]] trained_bpe train_bpe(word_counts const& words, std::int64_t vocabulary,
                                    std::span<std::string const> special = {}, std::int64_t least = 1);

/// As a tokenizer.json, which other programs read, too. Of patterns that tokenizer.json cannot say, it throws `error`.
[[nodiscard]] std::string to_tokenizer_json(trained_bpe const& trained, std::string_view pattern);

}  // namespace tenon::engine
