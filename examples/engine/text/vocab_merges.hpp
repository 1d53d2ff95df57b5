#pragma once
//  vocab.json with merges.txt (GPT-2's own names: encoder.json with vocab.bpe): the byte-level BPE of Hugging Face's first
//  tokenizers, with what may lie beside it, added_tokens.json and tokenizer_config.json.
//
//  These files do not say how words are cut. It is the caller's pattern, else what tokenizer_class stands for, else what the
//  places of the well-known control tokens tell; a vocabulary that none of them explains is refused.
//  Test: tests/engine/text/vocab_merges_test.cpp
#include <optional>
#include <string>
#include <string_view>

#include "engine/text/bpe_definition.hpp"

namespace tenon::engine {

struct vocab_merges_paths {
  std::string vocab, merges;
};

/// The two files where `path` is named like one of them (vocab.json, encoder.json, merges.txt, vocab.bpe, or something and - or _
/// in front), whether or not the other is there.
[[nodiscard]] std::optional<vocab_merges_paths> vocab_merges_of(std::string const& path);

/// `pattern`: empty, the name of a family (word_families.hpp), or a regular expression.
[[nodiscard]] bpe_definition read_vocab_merges(vocab_merges_paths const& paths, std::string_view pattern = {});

/// The texts of the four files, for whoever has them elsewhere; those that are not there are empty.
struct vocab_merges_texts {
  std::string_view vocab, merges, added_tokens, tokenizer_config;
};
[[nodiscard]] bpe_definition read_vocab_merges(vocab_merges_texts const& texts, vocab_merges_paths const& names,
                                               std::string_view pattern = {});

}  // namespace tenon::engine
