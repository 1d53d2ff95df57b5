#pragma once
//  Requests that come to an engine in a simulation: when, how long, and what their prompts share. Tokens are made up.
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace tenon::engine {

/// Part of a prompt. Equal ids have equal tokens, so prompts that begin with the same pieces share a prefix.
struct prompt_piece {
  std::uint64_t id     = 0;
  std::int32_t  tokens = 0;
};

struct arriving_request {
  double                    arrival       = 0;  // seconds
  std::int32_t              prompt_tokens = 0;  // sum over pieces
  std::int32_t              output_tokens = 0;
  std::vector<prompt_piece> prompt;
  std::uint32_t             tenant   = 0;
  int                       priority = 0;
};

using workload = std::vector<arriving_request>;  // by arrival

inline constexpr std::int32_t most_tokens = 1 << 24;  // of a prompt or an output, in traces

/// Ids of pieces that only one request has; traces name theirs below.
constexpr std::uint64_t unique_piece(std::uint64_t request) { return request | (std::uint64_t{1} << 63); }

/// A prompt that shares nothing.
[[nodiscard]] arriving_request lone_request(double arrival, std::int32_t prompt, std::int32_t output, std::uint64_t id);

/// The prompt's token ids: a function of each piece's id and the place in it.
void prompt_tokens_of(arriving_request const& request, std::vector<std::int32_t>& tokens);

/// Arrivals that are random and independent: gaps of a gamma distribution of mean 1 / rate and shape `burstiness`. 1 is a
/// Poisson process, less is burstier. An infinite rate is all at once.
struct arrival_process {
  double        rate       = std::numeric_limits<double>::infinity();  // requests per second
  double        burstiness = 1;
  std::uint64_t seed       = 0;
};
void draw_arrivals(workload& requests, arrival_process const& process);

/// Stretches time so that requests arrive at `rate` per second on average.
void rescale_arrivals(workload& requests, double rate);

/// Multiplies the tokens of every piece and output, rounded, at least 1. Throws `error` where a prompt or an output gets
/// more than most_tokens.
void scale_lengths(workload& requests, double factor);

/// Normally distributed, rounded, at least 1.
struct token_count {
  double mean = 1, deviation = 0;
};
struct random_workload {
  std::int64_t  requests = 1000;
  token_count   prompt{1024}, output{128};
  std::int32_t  prefix   = 0;  // tokens in front of the prompt, the same for all requests of a prefix
  std::int64_t  prefixes = 1;  // drawn evenly
  std::uint64_t seed     = 0;
};
/// All arrive at 0.
[[nodiscard]] workload draw_requests(random_workload const& from);

/// Replaces prompts by lone ones of `tokens`, each with probability `share`.
void lengthen_prompts(workload& requests, double share, std::int32_t tokens, std::uint64_t seed);

}  // namespace tenon::engine
