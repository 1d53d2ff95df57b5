#pragma once
//  How one row's next token is chosen: plain data, one per row, in the operator's memory.
#include <tenon/config.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon {

/// The defaults change nothing but the temperature. Names and meanings are vLLM's.
struct sampling_params {
  float temperature        = 0.8f;  // logits are divided by it; 0 (or less, or NaN): the largest logit is taken
  float top_p              = 1.0f;  // keep the smallest set whose mass reaches it; >= 1: all
  float min_p              = 0.0f;  // keep what has at least this share of the largest probability; <= 0: all
  float repetition_penalty = 1.0f;  // of tokens in prompt or completion: positive logits / it, negative ones * it
  float presence_penalty   = 0.0f;  // subtracted from the logit of tokens in the completion
  float frequency_penalty  = 0.0f;  // subtracted once per occurrence in the completion
  std::int32_t  top_k      = 0;     // keep the k largest logits; <= 0: all
  std::uint64_t seed       = 0;     // of the request
  std::uint64_t position   = 0;     // of the draw within the request: advance it by one per token
};
static_assert(std::is_trivially_copyable_v<sampling_params>);

}  // namespace tenon
