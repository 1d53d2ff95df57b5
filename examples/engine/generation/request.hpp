#pragma once
//  What a person asks for, and what comes back.
#include <tenon/sampling/sampling_params.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace tenon::engine {

struct request {
  std::size_t                                 index = 0;   // order of arrival, and of the output
  std::string                                 prompt;      // text; empty where only ids were given
  std::vector<std::int32_t>                   prompt_ids;  // special tokens included
  int                                         max_tokens = 128;
  int                                         n          = 1;  // completions; the seed of number k is the request's + k
  sampling_params                             sampling;
  std::vector<std::pair<std::int32_t, float>> logit_bias;
  std::vector<std::string>                    stop;
  bool                                        ignore_eos       = false;
  int                                         logprobs         = 0;  // 0: none, K: the chosen id's and the K best
  double                                      tokenize_seconds = 0;  // that the ids of the text took

  // For the scheduler.
  int           priority = 0;  // higher goes first
  std::uint32_t tenant   = 0;  // tenants share no pages
  double        arrival  = 0;  // on the generator's clock
  double        deadline = std::numeric_limits<double>::infinity();
};

/// invalid: the model's logits were not finite.
enum class finish : std::uint8_t { stop, length, cancelled, deadline, invalid };

[[nodiscard]] constexpr char const* name_of(finish f) {
  constexpr char const* names[] = {"stop", "length", "cancelled", "deadline", "error"};
  return names[static_cast<std::size_t>(f)];
}

struct token_logprob {
  std::int32_t                                id      = 0;
  float                                       logprob = 0;
  std::vector<std::pair<std::int32_t, float>> top;
};

struct completion {
  request                    asked;
  int                        number = 0;  // which of asked.n
  std::vector<std::int32_t>  ids;
  std::string                text;
  finish                     reason = finish::length;
  std::vector<token_logprob> logprobs;
  std::vector<double>        times;  // of every draw, on the generator's clock
};

}  // namespace tenon::engine
