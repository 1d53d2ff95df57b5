#pragma once
//  A byte-level BPE tokenizer as some file defines it: what readers make and bpe_tokenizer runs.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/added_tokens.hpp"
#include "engine/text/byte_pairs.hpp"
#include "engine/text/large_vector.hpp"
#include "engine/text/pre_tokenizer.hpp"
#include "engine/text/text_normalizer.hpp"

namespace tenon::engine {

struct bpe_definition {
  struct entry {
    std::string bytes;
    bool        present = false;
    bool        merged  = false;  // the bytes are what text is merged to; false: it stands for itself
  };
  static constexpr std::int64_t id_limit = std::int64_t{1} << 22;

  std::string file;         // for messages
  std::string description;  // for `info`

  large_vector<entry>     entries;    // by id; added tokens need none
  std::vector<pair_merge> merges;     // in the order of their ranks
  bool         merges_by_id = false;  // instead: two tokens become the token that their bytes are; its id is the rank
  bool         whole_words  = false;  // a word that is a token stays whole
  std::int32_t unknown      = -1;     // for bytes that the vocabulary lacks; -1: they are left out

  bool                      nfc = false;
  text_normalizer           normalizer;  // behind NFC
  pre_tokenizer             words;
  std::vector<added_token>  added;
  std::vector<std::int32_t> before, after;  // what `add_special` puts around a text
  std::vector<std::int32_t> ends;           // that end a text

  /// The entry of an id in [0, id_limit).
  entry& entry_at(std::int64_t id) {
    if (static_cast<std::size_t>(id) >= entries.size()) entries.resize(static_cast<std::size_t>(id) + 1);
    return entries[static_cast<std::size_t>(id)];
  }
};

}  // namespace tenon::engine
