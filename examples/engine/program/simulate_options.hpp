#pragma once
//  The options of `simulate`.
#include <cstdint>
#include <optional>
#include <string>

#include "engine/program/trace_options.hpp"
#include "engine/schedule/latency.hpp"
#include "engine/schedule/workload.hpp"

namespace tenon::engine {

class option_set;
struct options;

struct simulate_options {
  trace_options   trace;
  arrival_source  arrivals   = arrival_source::automatic;
  double          burstiness = 1;   // of drawn arrivals
  random_workload random;           // without a trace
  double          long_share  = 0;  // of prompts, replaced by long ones
  std::int32_t    long_tokens = 32768;

  std::string                 policies = "continuous";
  std::optional<std::int64_t> kv_bytes;            // of the KV cache, where blocks are not given
  double                      memory_share = 0.9;  // of a built-in model's device, weights and KV cache together
  latency_limits              limits;              // of a request that counts as good
  std::string                 plot_file;
  std::uint64_t               seed = 0;
};

void add_simulate(option_set& set, options& o);
void check_simulate(option_set const& set, options const& o);

}  // namespace tenon::engine
