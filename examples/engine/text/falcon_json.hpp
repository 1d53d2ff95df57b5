#pragma once
//  Falcon's tokenizer.json, which cuts at digits after ByteLevel: in the byte alphabet, where the bytes B2, B3, B9, BC, BD and BE
//  are the superscripts and fractions ² ³ ¹ ¼ ½ ¾, numbers to it as well. Where no merge joins such a byte with another, those cuts
//  change nothing, and its words are the family's (word_families.hpp).
//  Test: tests/engine/text/falcon_json_test.cpp
#include "engine/files/json.hpp"
#include "engine/text/bpe_definition.hpp"

namespace tenon::engine {

/// Whether the file's pre_tokenizer is Falcon's: Punctuation, ByteLevel, Digits and three digits.
[[nodiscard]] bool has_falcon_words(json_value const& tree);

/// Throws `error` where a merge joins what those cuts keep apart.
void check_falcon_merges(bpe_definition const& d);

}  // namespace tenon::engine
