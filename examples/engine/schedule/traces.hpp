#pragma once
//  Public traces of requests to language models, recognised by their first line:
//
//    Azure      TIMESTAMP,ContextTokens,GeneratedTokens
//    Mooncake   {"timestamp": ms, "input_length": n, "output_length": n, "hash_ids": [one for each 512 tokens]}
//    vidur      num_prefill_tokens,num_decode_tokens,...; no arrivals
//
//  Splitwise (ISCA 2024), Mooncake (FAST 2025), Vidur (MLSys 2024).
#include <string>
#include <string_view>

#include "engine/schedule/workload.hpp"

namespace tenon::engine {

struct trace {
  workload requests;
  bool     has_arrivals = true;  // no: all are 0
};

struct trace_limits {
  std::int64_t requests = std::int64_t{1} << 24;
  std::int32_t tokens   = most_tokens;           // of one prompt or output
  std::size_t  bytes    = std::size_t{1} << 30;  // of the file
};

/// Requests by arrival; the first arrives at 0. A row that is not as above is an error `NAME:LINE: what is wrong: found X,
/// expected Y`, and so is one that exceeds a limit. Empty lines are skipped.
[[nodiscard]] trace parse_trace(std::string_view text, std::string const& name, trace_limits const& limits = {});

/// "-" is standard input.
[[nodiscard]] trace read_trace(std::string const& path, trace_limits const& limits = {});

}  // namespace tenon::engine
