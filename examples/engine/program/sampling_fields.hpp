#pragma once
//  The ranges of what a request may set, used by the command line and by JSON lines alike.
#include <cstdint>
#include <limits>
#include <span>

#include "engine/program/command_line.hpp"

namespace tenon::engine {

struct integer_field {
  char const*  name;  // of the JSON field; the option is --name with hyphens
  std::int64_t sampling_options::*value;
  std::int64_t                    low, high;
  char const*                     help;
};

struct number_field {
  char const* name;
  double sampling_options::*value;
  double                    low, high;
  bool                      above;  // low itself is not allowed
  char const*               help;
};

inline constexpr std::int64_t largest_int32 = std::numeric_limits<std::int32_t>::max();

inline constexpr integer_field integer_fields[] = {
    {"max_tokens", &sampling_options::max_tokens, 0, largest_int32, "tokens to generate at most"},
    {"top_k", &sampling_options::top_k, -1, largest_int32, "draw from the K likeliest tokens (0 or -1: all)"},
    {"logprobs", &sampling_options::logprobs, 0, 1024, "log-probabilities of the K likeliest tokens per step"}};

inline constexpr number_field number_fields[] = {
    {"temperature", &sampling_options::temperature, 0, 1000, false, "0 takes the likeliest token"},
    {"top_p", &sampling_options::top_p, 0, 1, true, "draw from the likeliest tokens of this joint probability"},
    {"min_p", &sampling_options::min_p, 0, 1, false, "drop tokens below this fraction of the likeliest"},
    {"repetition_penalty", &sampling_options::repetition_penalty, 0, 100, true, "divides the logits of tokens seen"},
    {"presence_penalty", &sampling_options::presence_penalty, -100, 100, false, "taken off tokens already generated"},
    {"frequency_penalty", &sampling_options::frequency_penalty, -100, 100, false, "taken off for each time generated"}};

inline constexpr double largest_bias = 1e6;

inline constexpr std::int64_t most_completions = 1024;  // of one prompt

}  // namespace tenon::engine
