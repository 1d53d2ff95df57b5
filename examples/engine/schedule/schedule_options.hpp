#pragma once
//  The limits and choices of a scheduler, as plain values.
#include <cstdint>
#include <limits>

namespace tenon::engine {

/// Who joins a batch when. continuous: at every step. fixed: a batch of up to max_sequences starts when the last one has
/// ended, prompts padded to the longest ("static batching"). dynamic: as fixed, but a batch waits for more requests until it
/// is full or its first has waited `dynamic_wait` seconds.
enum class batching : std::uint8_t { continuous, dynamic, fixed };

/// Which prompt is fed first. arrival: first come, first served. shortest: fewest tokens left, less `ageing` for each second
/// of waiting.
enum class prompt_order : std::uint8_t { arrival, shortest };

struct schedule_options {
  int          max_sequences      = 64;   // that run together
  int          max_batched_tokens = 512;  // per step
  int          max_length         = 0;    // tokens that one sequence may feed
  batching     mode               = batching::continuous;
  double       dynamic_wait       = 0.05;  // seconds
  bool         chunked_prefill    = true;  // off: a prompt is fed in one step
  bool         decode_first       = true;  // off: prompts before decodes and never with them ("prefill first")
  double       itl_target = 0;   // seconds that a step with decodes may take; 0: no target, only max_batched_tokens
  int          min_chunk  = 64;  // prompt tokens that a step may always take, so that prompts never starve
  prompt_order order      = prompt_order::shortest;
  double       ageing     = 100;  // prompt tokens that a second of waiting is worth
  double       fairness   = 1;  // prompt tokens that a token of a tenant's advantage is worth; 0: tenants do not matter
  int          max_partial      = 8;  // prompts in flight
  int          max_long_partial = 1;  // of them longer than long_prompt
  int          long_prompt      = 4096;
  int          growth_steps     = 32;  // steps of growth of the running sequences that admission leaves pages for
  int          max_preemptions  = 3;   // a sequence that was taken off so often is left alone
  int          max_waiting      = std::numeric_limits<int>::max();
};

}  // namespace tenon::engine
