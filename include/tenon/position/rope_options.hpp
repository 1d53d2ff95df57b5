#pragma once
//  Which two elements of a head turn together.
#include <tenon/config.hpp>

namespace tenon {

enum class rope_style {
  half_split,   // (x[i], x[rotary_dim/2 + i]): llama, qwen, mistral, GPT-NeoX
  interleaved,  // (x[2i], x[2i + 1]): GPT-J, llama2.c, Meta's own llama files
};

struct rope_options {
  rope_style style = rope_style::half_split;
};

}  // namespace tenon
