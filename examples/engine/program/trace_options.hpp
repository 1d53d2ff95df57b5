#pragma once
//  The options of a trace of requests, which run and simulate share.
#include <cstdint>
#include <optional>
#include <string>

namespace tenon::engine {

class option_set;

/// Where the times of arrivals come from.
enum class arrival_source { automatic, trace, drawn };  // automatic: the trace's where it has them

struct trace_options {
  std::string                 file;         // --trace; "-" is standard input
  std::optional<std::int64_t> num_prompts;  // the first ones of the trace, or how many to draw
  std::optional<double>       rate;  // requests per second: stretches the trace, or draws arrivals where it has none
  double                      time_scale = 1, length_scale = 1;
};

void add_trace(option_set& set, trace_options& t);

}  // namespace tenon::engine
