#pragma once
//  Which tokens the next step of the model feeds: a function of the requests, the clock that it is given, and limits.
//
//  No clock, no device, no thread, no file: the engine and the simulator run this same class. Each step:
//    1. drop what was cancelled or is past its deadline;
//    2. one token for every sequence that decodes, oldest first; where pages are short, the victim that wastes least is
//       taken off and computed again later;
//    3. with what the budget leaves, prompts in chunks, the shortest remaining first, ageing while they wait;
//    4. admission of waiting requests, as pages allow.
//  Sources: Orca (OSDI 2022), Sarathi-Serve (OSDI 2024).
#include <tenon/kv/kv_blocks.hpp>

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/schedule/cost_model.hpp"
#include "engine/schedule/schedule_options.hpp"

namespace tenon::engine {

/// What a sequence ended for. `cancelled` and `deadline` come from schedule(), the others from commit().
enum class sequence_end : std::uint8_t { stop, length, cancelled, deadline };

struct schedule_request {
  std::uint64_t                 tag = 0;         // the caller's name for it
  std::span<std::int32_t const> prompt;          // copied; at least one token
  int                           max_tokens = 1;  // drawn at most, at least 1
  int                           n          = 1;  // completions of the same prompt
  int                           priority   = 0;  // higher goes first and is taken off last
  std::uint32_t                 tenant     = 0;
  std::uint64_t                 salt       = 0;  // sequences of different salts share no pages
  double                        arrival    = 0;  // seconds
  double                        deadline   = std::numeric_limits<double>::infinity();
};

/// Why a request is refused.
enum class refusal : std::uint8_t { none, empty_prompt, too_long, never_fits, queue_full, bad_count };

/// One sequence's part of a step: tokens [first, first + count) of it are fed, and `draws` ids drawn from the last one's
/// logits (0 inside a prompt, n at the end of the prompt of a request that wants n completions).
struct planned {
  std::int32_t sequence = 0;
  std::int32_t first = 0, count = 0, draws = 0;
};

struct step_plan {
  std::vector<planned> parts;        // decodes first
  int                  decodes = 0;  // of the parts
  int                  padding = 0;  // tokens fed for nobody: fixed batches
  int                  draws   = 0;  // of all parts
  step_load            load;
  bool                 empty() const { return parts.empty(); }
};

/// A sequence that ended, named by its request's tag and which of the n completions it is.
struct ended_sequence {
  std::uint64_t tag        = 0;
  int           completion = 0;
  sequence_end  reason     = sequence_end::stop;
};

struct schedule_counts {
  std::int64_t steps = 0, prompt_tokens = 0, decode_tokens = 0, padding_tokens = 0;
  std::int64_t queried_tokens = 0;  // of prompts that began; what comes back after a preemption counts no second time
  std::int64_t cached_tokens  = 0;  // of them, found in the prefix cache
  std::int64_t preemptions    = 0;
  std::int64_t recomputed_tokens = 0;  // fed again after a preemption
  int          running = 0, waiting = 0;

  double hit_rate() const { return share(cached_tokens, queried_tokens); }
  /// Of the tokens that were fed: those fed again, and those fed for nobody.
  double recomputed() const { return share(recomputed_tokens, prompt_tokens + decode_tokens); }
  double padding() const { return share(padding_tokens, prompt_tokens + decode_tokens + padding_tokens); }

 private:
  static double share(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
  }
};

class scheduler {
 public:
  /// The manager and the model of costs are the caller's and outlive this. `pages` has one sequence of the manager for each
  /// of max_sequences at least.
  scheduler(schedule_options const& options, kv_blocks<>& pages, cost_model const& cost = {});
  ~scheduler();

  /// Takes the request, or says why not. What is taken fits the pool with nobody else there, so the first in rank (class, then
  /// age) always gets on. A request waits for ever only behind higher classes whose load never lets up, or, with the
  /// shortest first and `ageing` 0, behind shorter prompts that never do.
  [[nodiscard]] refusal submit(schedule_request const& request);

  /// Every completion of the request ends (`cancelled`) at the next schedule(). Unknown tags are ignored.
  void cancel(std::uint64_t tag);

  /// The next step, valid until commit() or the next call. Empty where nobody is here, or a dynamic batch waits for more.
  /// Allocates nothing while sequences decode.
  [[nodiscard]] step_plan const& schedule(double now);

  /// Ids drawn by the step, one for each draw of the plan, in its order; `stops`, as long, says where the caller ends the
  /// completion (the id is then not kept). The keys of the plan's tokens are in the cache now.
  void commit(std::span<std::int32_t const> drawn, std::span<std::uint8_t const> stops);

  /// Sequences that ended since clear_ended(). Their tokens and pages are gone; the next schedule() may give out their places.
  [[nodiscard]] std::span<ended_sequence const> ended() const;
  void                                          clear_ended();

  bool idle() const;  // nothing runs or waits

  /// Of all that run, as of the last commit(). kv_blocks hears of decoded tokens a page at a time, so its length() and
  /// metrics().tokens are up to a page for each sequence behind.
  [[nodiscard]] std::int64_t tokens_in_cache() const;

  /// Earliest time at which schedule() could do more than at `now` with no new request: the end of a dynamic wait or a
  /// deadline; infinity where there is none.
  [[nodiscard]] double next_event(double now) const;

  // Of a sequence that is part of the plan.
  [[nodiscard]] std::uint64_t                 tag(std::int32_t sequence) const;
  [[nodiscard]] int                           completion(std::int32_t sequence) const;  // which of the n
  [[nodiscard]] std::span<std::int32_t const> tokens(std::int32_t sequence) const;      // prompt and what was drawn
  [[nodiscard]] std::span<block_id const>     block_table(std::int32_t sequence) const;

  [[nodiscard]] schedule_counts const& counts() const;

  /// Slow check of every invariant; the first that does not hold, or ok.
  [[nodiscard]] status audit() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace tenon::engine
