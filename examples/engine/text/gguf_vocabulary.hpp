#pragma once
//  The vocabulary of a GGUF file: tokenizer.ggml.tokens with their types, and merges (byte-level BPE, model "gpt2") or scores
//  (pieces, model "llama"). Names of keys: ggml-org/ggml, docs/gguf.md.
//
//  The word patterns of byte-level BPE have names there (tokenizer.ggml.pre); those that are known stand in word_families.cpp.
//  What a family's own tokenizer does beyond its pattern, as normalising, is done here as well, though llama.cpp does not.
//  Test: tests/engine/text/gguf_vocabulary_test.cpp, tests/engine/text/ggml_vocab_test.cpp (published ids)
#include <optional>
#include <string_view>
#include <vector>

#include "engine/files/gguf.hpp"
#include "engine/text/bpe_definition.hpp"
#include "engine/text/piece_definition.hpp"

namespace tenon::engine {

enum class gguf_token_kind : unsigned char { text = 1, unknown, control, user, unused, byte };

/// What all vocabularies have; views into the file.
struct gguf_vocabulary {
  std::string_view              model;   // tokenizer.ggml.model
  std::vector<std::string_view> tokens;  // by id
  std::vector<gguf_token_kind>  kinds;   // one per token
  std::optional<std::int32_t>   begin, end, unknown;
  std::vector<std::int32_t>     ends;  // end, and what else ends a turn or a message
  std::optional<bool>           add_begin, add_end;
};

[[nodiscard]] gguf_vocabulary read_gguf_vocabulary(gguf_file const& file);

/// Of a file whose model is "gpt2". `pattern`: in place of the file's own, a family's name or a regular expression.
[[nodiscard]] bpe_definition read_gguf_bpe(gguf_file const& file, std::string_view pattern = {});

/// Whether the file's model is "llama".
[[nodiscard]] bool is_gguf_of_pieces(gguf_file const& file);
/// Of such a file: SentencePiece's BPE by scores. Like llama.cpp and the tokenizer.json of those models, and
/// unlike SentencePiece, a space goes in front of each part between control tokens, not of the first alone.
[[nodiscard]] piece_definition read_gguf_pieces(gguf_file const& file);

}  // namespace tenon::engine
