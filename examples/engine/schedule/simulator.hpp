#pragma once
//  Runs the scheduler and the manager of pages that the engine has, against a model of what steps cost and a clock that is
//  only a number.
//
//  A step takes cost.seconds(load); its tokens come out at its end. Tokens are made up; a completion ends at its length in
//  the workload. Nothing else takes time: no host work between steps, no copies of pages, no sampling beyond `row`.
#include <span>
#include <vector>

#include "engine/schedule/cost_model.hpp"
#include "engine/schedule/latency.hpp"
#include "engine/schedule/scheduler.hpp"
#include "engine/schedule/workload.hpp"

namespace tenon::engine {

struct simulation_options {
  schedule_options schedule;  // max_length 0: the longest request of the workload
  std::int32_t     kv_blocks    = 0;
  int              block_size   = 16;
  bool             prefix_cache = true;
  cost_model       cost;
  int              samples = 512;  // of the timeline at most; at least 2
};

/// How things stood in a step.
struct simulation_sample {
  double seconds = 0;  // its end
  double used    = 0;  // share of the pool's blocks that sequences hold
};

struct simulation_result {
  std::vector<request_times>     times;  // by request; without tokens where it was refused
  schedule_counts                counts;
  kv_metrics                     pages;
  std::int64_t                   refused = 0;
  double                         busy    = 0;  // seconds in steps
  double                         used    = 0;  // as in a sample, averaged over the time of the steps
  double                         wasted  = 0;  // so, share of the pool's slots that sequences hold and have no token in
  double                         peak    = 0;  // most of `used`
  std::vector<simulation_sample> timeline;
};

/// Throws `error` where the scheduler has requests and does nothing, which is a fault of it.
[[nodiscard]] simulation_result simulate(std::span<arriving_request const> requests, simulation_options const& options);

}  // namespace tenon::engine
