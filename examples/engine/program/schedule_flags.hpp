#pragma once
//  The options of the scheduler and of its pages, which run and simulate share. Names are vLLM's where it has one.
#include <cstdint>
#include <optional>
#include <string>

#include "engine/schedule/schedule_options.hpp"

namespace tenon::engine {

class option_set;

/// What the command line says of scheduling. max_sequences, max_batched_tokens and max_length of `limits` are for the caller
/// to fill: they depend on the model, and are options of their own.
struct schedule_flags {
  schedule_options            limits;
  bool                        prefix_caching = true;
  std::optional<std::int64_t> kv_blocks;  // pages of the KV cache; none: as memory allows
  std::string cost_model;  // what --itl-target-ms is kept by: a file of `tenon bench`, or a built-in name
};

void add_schedule(option_set& set, schedule_flags& f);

}  // namespace tenon::engine
