#pragma once
//  What a person asks for, and what comes back.
#include <tenon/sampling/sampling_params.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tenon::engine {

struct request {
  std::size_t                                 index = 0;   // order of arrival, and of the output
  std::string                                 prompt;      // text; empty where only ids were given
  std::vector<std::int32_t>                   prompt_ids;  // special tokens included
  int                                         max_tokens = 128;
  sampling_params                             sampling;
  std::vector<std::pair<std::int32_t, float>> logit_bias;
  std::vector<std::string>                    stop;
  bool                                        ignore_eos = false;
  int                                         logprobs   = 0;  // 0: none, K: the chosen id's and the K best
};

enum class finish { stop, length };

struct token_logprob {
  std::int32_t                                id      = 0;
  float                                       logprob = 0;
  std::vector<std::pair<std::int32_t, float>> top;
};

struct completion {
  request                    asked;
  std::vector<std::int32_t>  ids;
  std::string                text;
  finish                     reason = finish::length;
  std::vector<token_logprob> logprobs;
};

}  // namespace tenon::engine
