#pragma once
//  What a scheduler remembers: one line of memory for each sequence that runs, best rank first, and a record of the rest.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "engine/schedule/scheduler.hpp"
#include "engine/schedule/waiting_queue.hpp"

namespace tenon::engine {

/// A sequence that runs: what every step reads.
struct alignas(64) running_sequence {
  std::int32_t* tokens;       // prompt and what was drawn
  std::uint64_t age;          // order of submission, then which of the completions
  std::int32_t  sequence;     // the manager's
  std::int32_t  record;       // the rest of it
  std::int32_t  length;       // tokens known
  std::int32_t  computed;     // of them in the cache
  std::int32_t  capacity;     // tokens that may be in the cache before another page has to be asked for
  std::int32_t  limit;        // length at which it ends
  std::int32_t  tenant;       // slot in the queue
  std::int32_t  priority;     //
  std::int32_t  rows;         // sequences that it is or will become at the end of its prompt
  std::int32_t  preemptions;  //
  std::uint32_t fed;          // step that last fed it
  bool          decoding;     // its prompt is done
  bool          long_prompt;  //
};
static_assert(sizeof(running_sequence) == 64);

struct sequence_record {
  enum class place : std::uint8_t { nowhere, waiting, parked, running };

  std::unique_ptr<std::int32_t[]> tokens;  // prompt and what was drawn; room for `room`
  std::int32_t                    room = 0, length = 0, limit = 0;
  std::int32_t                    completion = 0, rows = 1, tenant = 0, priority = 0, preemptions = 0;
  std::int32_t                    reached  = 0;  // tokens that were in the cache before it was taken off
  std::int32_t                    sequence = no_sequence;
  place                           at       = place::nowhere;
  bool                            began = false, doomed = false;
  sequence_end                    fate = sequence_end::cancelled;
  std::uint64_t                   tag = 0, age = 0, salt = 0;
  double                          arrival = 0, deadline = 0;

  std::span<std::int32_t const> known() const { return {tokens.get(), static_cast<std::size_t>(length)}; }
  void                          make_room(std::int32_t tokens_in_all);
};

/// A waiting sequence whose beginning a running prompt is computing: it waits for that one's first `tokens` tokens.
struct parked_sequence {
  waiting_sequence what;
  std::int32_t     behind = 0;  // record
  std::uint64_t    age    = 0;  // of that
  std::int32_t     tokens = 0;
};

struct scheduler::state {
  state(schedule_options const& o, kv_blocks<>& p, cost_model const& c);

  // scheduler_step.cpp: what is fed
  void begin_step(double now);
  void drop_ended(double now);
  void sort_running();
  void plan_decodes();
  bool get_pages();
  void plan_prompts();
  void plan_batch(double now);
  bool batch_may_start(double now) const;
  void start_batch();
  void plan_columns();
  bool feed(std::size_t index);
  void add_part(std::size_t index, std::int32_t count);
  int  room_for(std::int32_t first) const;
  bool fits_whole(std::int32_t left) const;

  // scheduler_admission.cpp: who runs
  enum class verdict : std::uint8_t { admitted, parked, later };
  verdict      admit(waiting_sequence const& w);
  bool         start(waiting_sequence const& w, std::int32_t cached, std::int32_t growth);
  bool         park_behind_twin(waiting_sequence const& w, std::int32_t cached);
  void         unpark();
  std::size_t  victim_for(std::size_t index) const;
  void         take_off(std::size_t index);
  void         queue_up(std::int32_t record, double key, std::int32_t left);
  std::int32_t cached_of(sequence_record const& r) const;  // tokens that need not be computed: the last one is

  // scheduler.cpp: sequences come and go
  std::int32_t new_record();
  void         end(std::int32_t record, sequence_end reason);
  void   finish_prompt(std::size_t index, std::span<std::int32_t const> drawn, std::span<std::uint8_t const> stops);
  void   draw(running_sequence& r, std::int32_t id, bool stop);
  void   tell_computed(running_sequence const& r);
  void   remove_doomed();
  void   place_at(std::size_t index);
  status audit() const;

  std::int32_t pages_for(std::int64_t tokens) const {
    return static_cast<std::int32_t>((tokens + block_size - 1) / block_size);
  }
  sequence_record&       of(std::int32_t r) { return records[static_cast<std::size_t>(r)]; }
  sequence_record const& of(std::int32_t r) const { return records[static_cast<std::size_t>(r)]; }
  double                 key_of(double left, double arrival) const {
                    return options.order == prompt_order::arrival ? 0 : left + options.ageing * arrival;
  }
  running_sequence const& at(std::int32_t sequence) const {
    return running[static_cast<std::size_t>(index_of[static_cast<std::size_t>(sequence)])];
  }

  // A prompt whose order keeps it from being fed goes first after so many steps, if it is the first in rank.
  static constexpr std::uint32_t patience = 16;
  static constexpr std::size_t   nobody   = std::numeric_limits<std::size_t>::max();

  schedule_options options;
  kv_blocks<>&     pages;
  cost_model       cost;
  std::int32_t     block_size;

  std::vector<running_sequence> running;  // by rank: highest class, then oldest; those added since the last step behind
  std::vector<std::int32_t>     index_of;  // sequence -> index in running
  std::vector<sequence_record>  records;
  std::vector<std::int32_t>     free_records;
  waiting_queue                 waiting;
  std::vector<parked_sequence>  parked;
  bool                          sorted  = true;
  int                           rows    = 0;  // of the running: sequences that they are or will become
  int                           prompts = 0, long_prompts = 0;  // of the running
  std::uint64_t                 next_age = 0;

  struct cancellation {
    std::uint64_t tag, before;  // of those submitted before that age
  };
  std::vector<cancellation> cancelled;
  double                    next_deadline = std::numeric_limits<double>::infinity();  // or earlier

  struct ranked {
    std::size_t   index;
    std::int32_t  priority;
    double        key;
    std::uint64_t age;
  };
  step_plan                   plan;
  std::vector<std::uint32_t>  part_index;       // (parts) into running
  bool                        pending = false;  // the plan waits for its commit
  bool                        steady  = false;  // all run and decode: the plan is the next step's, but for pages,
  std::vector<std::uint32_t>  full;             // which these parts want first
  step_load                   steady_load;
  std::vector<ranked>         order;  // prompts in flight
  std::vector<ended_sequence> ended;
  schedule_counts             counts;
  std::uint32_t               step        = 0;
  std::int32_t                prompt_left = 0;  // prompt tokens that this step may take whatever they cost
  bool                        preempted   = false;
  bool                        any_doomed  = false;  // of the running
  int                         batch_rows  = 0;  // fixed batches: rows while prompts are fed, and while tokens are drawn
  int                         batch_prompts = 0;
  std::uint64_t               blocked_age = std::numeric_limits<std::uint64_t>::max();  // who found too few pages last,
  block_id                    blocked_available = 0;                                    // and how many there were
};

}  // namespace tenon::engine
