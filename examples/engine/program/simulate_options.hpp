#pragma once
//  The options of `simulate`.
#include <cstdint>
#include <optional>
#include <string>

#include "engine/schedule/latency.hpp"
#include "engine/schedule/workload.hpp"

namespace tenon::engine {

class option_set;
struct options;

/// Where the times of arrivals come from.
enum class arrival_source { automatic, trace, drawn };

struct simulate_options {
  std::string                 trace_file;
  arrival_source              arrivals = arrival_source::automatic;  // the trace's where it has them
  std::optional<double>       rate;                                  // requests per second
  double                      burstiness = 1, time_scale = 1, length_scale = 1;
  std::optional<std::int64_t> num_prompts;  // the first ones of the trace, or how many to draw
  random_workload             random;
  double                      long_share  = 0;  // of prompts, replaced by long ones
  std::int32_t                long_tokens = 32768;

  std::string                 policies = "continuous";
  std::optional<std::int64_t> kv_bytes;            // of the KV cache, where blocks are not given
  double                      memory_share = 0.9;  // of a built-in model's device, weights and KV cache together
  latency_limits              limits;              // of a request that counts as good
  std::string                 plot_file;
  std::uint64_t               seed = 0;
};

void add_simulate(option_set& set, options& o);
void check_simulate(options const& o);

}  // namespace tenon::engine
