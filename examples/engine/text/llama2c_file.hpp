#pragma once
//  The vocabulary file of llama2.c: int32 length of the longest token, then (float32 score, int32 length, bytes) each.
//
//  Id 0 is unknown, 1 begins a text, 2 ends it; ids 3 to 258 are the bytes <0x00> to <0xFF> where the file has them. A
//  text is a space and then its characters, each a vocabulary entry, else its bytes, else id 0; then the adjacent pair
//  whose joined text has the best score is merged until none is left. karpathy/llama2.c, run.c and tokenizer.py.
#include <string>
#include <string_view>

#include "engine/text/piece_definition.hpp"

namespace tenon::engine {

/// What the file defines. `file` is for messages.
[[nodiscard]] piece_definition read_llama2c(std::string_view bytes, std::string file);

}  // namespace tenon::engine
