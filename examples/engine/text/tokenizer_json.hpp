#pragma once
//  tokenizer.json (huggingface/tokenizers): byte-level BPE (GPT-2, GPT-NeoX, Llama 3, Qwen2 and their kin) here, BPE of
//  characters and Unigram (Llama 2, Mistral, Gemma, T5, XLM-R) in piece_json.hpp.
#include <memory>
#include <string>

#include "engine/text/bpe_definition.hpp"
#include "engine/text/json_lists.hpp"
#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

/// The tokenizer that the file defines, of either kind.
[[nodiscard]] std::unique_ptr<tokenizer> tokenizer_of_json(tokenizer_tree const& tree, std::string file);

/// What a byte-level file defines; what it asks for and is not implemented is refused. `file` is for messages.
[[nodiscard]] bpe_definition read_tokenizer_json(tokenizer_tree const& tree, std::string file);

}  // namespace tenon::engine
