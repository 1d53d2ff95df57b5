#pragma once
//  tiktoken's vocabularies (.tiktoken, Llama 3's tokenizer.model): a line "base64-of-the-bytes rank" per token.
//
//  Such a file names neither the pattern that cuts words nor its control tokens. Those of the files that everyone has are known
//  by the files' contents; for others the pattern has to be said.
#include <string>
#include <string_view>

#include "engine/text/bpe_definition.hpp"

namespace tenon::engine {

/// Whether the text begins as such a file does.
[[nodiscard]] bool looks_like_tiktoken(std::string_view text);

/// `pattern`: empty, the name of a known one (gpt2, llama3, qwen2, cl100k, o200k), or a regular expression. `file` is for
/// messages.
[[nodiscard]] bpe_definition read_tiktoken(std::string_view text, std::string file, std::string_view pattern = {});

}  // namespace tenon::engine
