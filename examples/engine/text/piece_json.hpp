#pragma once
//  tokenizer.json (huggingface/tokenizers) whose model has pieces of characters: BPE with or without byte_fallback
//  (Llama 2, Mistral, Gemma, Phi-3) and Unigram (T5, XLM-R).
#include <string>

#include "engine/text/json_lists.hpp"
#include "engine/text/piece_definition.hpp"

namespace tenon::engine {

/// Whether the file with this root is one: no step of its pre-tokenizer is ByteLevel.
[[nodiscard]] bool is_piece_json(json_value const& root);

/// What the file defines; what it asks for and is not implemented is refused. `file` is for messages.
[[nodiscard]] piece_definition read_piece_json(tokenizer_tree const& tree, std::string file);

}  // namespace tenon::engine
