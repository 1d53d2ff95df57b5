#pragma once
//  A tokenizer of pieces as some file defines it: characters that merge by score (SentencePiece BPE, llama2.c) or by
//  rank (tokenizer.json), or the likeliest division of the text (Unigram). What readers make and piece_tokenizer runs.
//
//  These vocabularies spell the space as U+2581. Here it is a space again, in pieces and in texts alike: an entry's
//  bytes are what it adds to a text, and most texts need no rewriting. `escaped` says that U+2581 in a text is a space,
//  too.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/added_tokens.hpp"
#include "engine/text/byte_pairs.hpp"
#include "engine/text/pre_tokenizer.hpp"
#include "engine/text/text_normalizer.hpp"

namespace tenon::engine {

enum class piece_kind : unsigned char {
  absent,
  text,     // what text is merged to
  unused,   // merges lead through it, but it is taken apart again
  user,     // found in the text before anything is merged, and never merged
  byte,     // of a character that is no piece
  unknown,  // for characters without bytes
  control,  // no text is one
};

enum class piece_method : unsigned char {
  scores,  // two neighbours whose joined text is a piece become it, the best score first (google/sentencepiece, bpe_model.cc)
  ranks,    // two neighbours that have a merge, the first merge first (huggingface/tokenizers, models/bpe)
  unigram,  // the division with the greatest sum of scores (google/sentencepiece, unigram_model.cc)
};

struct piece_definition {
  struct entry {
    std::string bytes;  // what it adds to a text; the name of a control token
    piece_kind  kind    = piece_kind::absent;
    bool        matched = false;  // text can become it (kinds text, unused and user)
    double      score   = 0;
  };
  static constexpr std::int64_t id_limit     = std::int64_t{1} << 22;
  static constexpr std::size_t  length_limit = std::size_t{1} << 16;  // bytes of a piece

  std::string file;         // for messages
  std::string description;  // for `info`

  piece_method            method = piece_method::scores;
  std::vector<entry>      entries;               // by id
  std::vector<pair_merge> merges;                // of `ranks`, in their order
  bool                    whole_words  = false;  // of `ranks`: a word that is a piece stays whole
  bool                    double_sums  = false;  // of `unigram`: sums in double, as tokenizers has it; else in float
  std::int32_t            unknown      = -1;     // -1: unknown characters without bytes are left out
  bool                    fuse_unknown = false;  // neighbouring unknown characters are one token

  /// A space in front of words (of parts between control tokens, where nothing cuts words).
  struct lead_space {
    enum where : unsigned char { none, first, each };
    where at     = none;   // `first`: only where the text begins
    bool  always = true;   // else only where the word does not begin with one
    bool  alone  = false;  // even where the normaliser leaves nothing of a text
  };
  text_normalizer normalizer;
  pre_tokenizer   words;  // nothing merges across these
  lead_space      lead;
  bool            escaped = true;   // U+2581 in a text is a space
  bool            split   = false;  // a word begins at each space

  std::vector<added_token>  added;
  std::vector<std::int32_t> before, after;         // what `add_special` puts around a text
  std::vector<std::int32_t> ends;                  // that end a text
  bool                      strips_first = false;  // of a decoded text: the space in front
  std::string               unknown_text;          // of the unknown token in decoded text

  /// The entry of an id in [0, id_limit).
  entry& entry_at(std::int64_t id) {
    if (static_cast<std::size_t>(id) >= entries.size()) entries.resize(static_cast<std::size_t>(id) + 1);
    return entries[static_cast<std::size_t>(id)];
  }
};

inline constexpr std::string_view escaped_space = "\xE2\x96\x81";  // U+2581

/// The byte that a byte token's name, <0x00> to <0xFF>, says; -1: it is no such name.
[[nodiscard]] inline int byte_of(std::string_view name) {
  auto const digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>' || digit(name[3]) < 0 || digit(name[4]) < 0)
    return -1;
  return digit(name[3]) * 16 + digit(name[4]);
}

/// `text` with spaces in place of U+2581.
[[nodiscard]] inline std::string with_spaces(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    auto const at = text.find(escaped_space);
    result += text.substr(0, at);
    if (at == text.npos) break;
    result += ' ';
    text.remove_prefix(at + escaped_space.size());
  }
  return result;
}

}  // namespace tenon::engine
