#pragma once
//  tokenizer.json (huggingface/tokenizers) with a byte-level BPE model: GPT-2, GPT-NeoX, Llama 3, Qwen2 and their kin.
#include <string>

#include "engine/files/json.hpp"
#include "engine/text/bpe_definition.hpp"

namespace tenon::engine {

/// What the file defines; what it asks for and is not implemented is refused. `file` is for messages.
[[nodiscard]] bpe_definition read_tokenizer_json(json_value const& tree, std::string file);

}  // namespace tenon::engine
