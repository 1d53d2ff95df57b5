//  What a step feeds.
#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "engine/schedule/scheduler_state.hpp"

namespace tenon::engine {

step_plan const& scheduler::schedule(double now) {
  state& s = *state_;
  s.begin_step(now);
  if (s.options.mode != batching::continuous) {
    s.plan_batch(now);
  } else if (s.options.decode_first) {
    s.plan_decodes();
    s.plan_prompts();
  } else {
    s.plan_prompts();
    if (s.plan.empty()) s.plan_decodes();
  }
  s.pending        = true;
  s.counts.running = static_cast<int>(s.running.size());
  s.counts.waiting = static_cast<int>(s.waiting.size() + s.parked.size());
  return s.plan;
}

void scheduler::state::begin_step(double now) {
  ++step;
  preempted    = false;
  plan.decodes = plan.padding = plan.draws = 0;
  plan.load                                = {};
  if (!cancelled.empty() || now >= next_deadline) drop_ended(now);
  sort_running();
  if (!parked.empty()) unpark();
  if (!steady) plan.parts.clear(), part_index.clear(), full.clear();
}

/// Ends what was cancelled or came too late, wherever it is.
void scheduler::state::drop_ended(double now) {
  auto const by_tag = [](cancellation const& a, cancellation const& b) {
    return std::tie(a.tag, b.before) < std::tie(b.tag, a.before);
  };
  std::sort(cancelled.begin(), cancelled.end(), by_tag);
  next_deadline = std::numeric_limits<double>::infinity();
  bool any      = false;
  for (sequence_record& r : records) {
    if (r.at == sequence_record::place::nowhere) continue;
    auto const c = std::lower_bound(cancelled.begin(), cancelled.end(), r.tag,
                                    [](cancellation const& a, std::uint64_t tag) { return a.tag < tag; });
    if (c != cancelled.end() && c->tag == r.tag && r.age < c->before) {
      r.doomed = true, r.fate = sequence_end::cancelled;
    } else if (now >= r.deadline) {
      r.doomed = true, r.fate = sequence_end::deadline;
    } else {
      next_deadline = std::min(next_deadline, r.deadline);
    }
    any = any || r.doomed;
  }
  cancelled.clear();
  if (!any) return;
  steady = false;
  waiting.remove_if([&](waiting_sequence const& w) { return of(w.record).doomed; });
  std::erase_if(parked, [&](parked_sequence const& p) { return of(p.what.record).doomed; });
  remove_doomed();
  for (std::size_t r = 0; r < records.size(); ++r)
    if (records[r].doomed) end(static_cast<std::int32_t>(r), records[r].fate);
}

/// Restores the order of rank after some were added at the end.
void scheduler::state::sort_running() {
  if (sorted) return;
  auto const above = [](running_sequence const& a, running_sequence const& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.age < b.age;
  };
  for (auto r = running.begin(); r != running.end(); ++r)  // nearly all are in order
    if (r != running.begin() && above(*r, r[-1]))
      std::rotate(std::upper_bound(running.begin(), r, *r, above), r, r + 1);
  for (std::size_t i = 0; i < running.size(); ++i) place_at(i);
  sorted = true;
}

void scheduler::state::add_part(std::size_t index, std::int32_t count) {
  running_sequence&  r     = running[index];
  bool const         last  = r.computed + count == r.length;
  std::int32_t const draws = last ? r.rows : 0;
  plan.parts.push_back({r.sequence, r.computed, count, draws});
  part_index.push_back(static_cast<std::uint32_t>(index));
  plan.load.add(r.computed, count, draws);
  plan.draws += draws;
  r.fed = step;
}

/// One token for every sequence whose prompt is done.
///
/// Progress. Rank is the class, then the age, and never changes; running[0] has the best. It is no one's victim, it asks for
/// pages before any copy of this step pins some, and everybody else may be taken off for it, so it gets its page: submit()
/// refused what does not fit the pool alone. A prompt in front is fed after `patience` steps at most. So running[0] comes
/// nearer to its end at every step but a bounded number, unless one of better rank is admitted. That happens at most once for
/// each sequence that is not done yet before one of them ends; so one ends within a bounded number of steps, and by
/// induction all do, for any victims, max_preemptions included: that limit only chooses among victims, and where it leaves
/// none it does not count.
void scheduler::state::plan_decodes() {
  if (std::exchange(steady, false)) {
    if (get_pages()) {
      plan.load    = steady_load;
      plan.decodes = plan.draws = static_cast<int>(plan.parts.size());
      return;
    }
    plan.parts.clear(), part_index.clear();
  }
  step_load load;  // in registers
  for (std::size_t i = 0; i < running.size(); ++i) {
    running_sequence& r = running[i];
    if (!r.decoding) continue;
    if (r.computed == r.capacity) {
      if (!pages.reserve(r.sequence, r.computed + 1).ok()) {
        std::size_t const victim = victim_for(i);
        if (victim == nobody) continue;  // not this step
        take_off(victim);
        plan.parts.clear(), part_index.clear();
        load = {}, i = nobody;  // from the first on: indices moved
        continue;
      }
      r.capacity = static_cast<std::int32_t>(pages.capacity(r.sequence));
    }
    plan.parts.push_back({r.sequence, r.computed, 1, 1});
    part_index.push_back(static_cast<std::uint32_t>(i));
    load.add(r.computed, 1, 1);
  }
  plan.load    = load;
  plan.decodes = plan.draws = static_cast<int>(plan.parts.size());
}

/// A page for each that wants one before the step that the last commit foresaw; false where they are short.
bool scheduler::state::get_pages() {
  bool enough = true;
  for (std::size_t k = 0; k < full.size() && enough; ++k) {
    running_sequence& r = running[full[k]];
    enough              = pages.reserve(r.sequence, r.computed + 1).ok();
    if (enough) r.capacity = static_cast<std::int32_t>(pages.capacity(r.sequence));
  }
  full.clear();
  return enough;
}

/// Prompt tokens that the step has room for, of a prompt that has `first` already.
int scheduler::state::room_for(std::int32_t first) const {
  auto const left = static_cast<int>(options.max_batched_tokens - plan.load.tokens);
  if (plan.decodes == 0 || options.itl_target <= 0 || !options.chunked_prefill) return left;
  auto const within = prompt_tokens_within(cost, plan.load, first, left, options.itl_target);
  return std::max(static_cast<int>(within), std::min(left, prompt_left));
}

/// Whole prompts only: longer ones than a step can always take are cut all the same, alone.
bool scheduler::state::fits_whole(std::int32_t left) const {
  if (options.chunked_prefill || left <= room_for(0)) return true;
  bool const first = static_cast<int>(plan.parts.size()) == plan.decodes;
  return first && left > options.max_batched_tokens - options.max_sequences;
}

/// Feeds the next chunk; true where the whole prompt is done, so that there may be room for another.
bool scheduler::state::feed(std::size_t index) {
  running_sequence const& r    = running[index];
  std::int32_t const      left = r.length - r.computed;
  std::int32_t const      room = room_for(r.computed);
  if (room <= 0 || !fits_whole(left)) return false;
  std::int32_t take = std::min(left, room);
  if (take < left) {  // whole blocks, where that leaves something
    std::int32_t const end = (r.computed + take) / block_size * block_size;
    if (end > r.computed) take = end - r.computed;
  }
  prompt_left -= take;
  add_part(index, take);
  return take == left;
}

/// With what the step has left: prompts in flight and those that wait, the best first.
void scheduler::state::plan_prompts() {
  if (prompts == 0 && waiting.size() == 0) return;
  prompt_left = options.min_chunk;
  order.clear();
  for (std::size_t i = 0; i < running.size(); ++i) {
    running_sequence const& r = running[i];
    if (r.decoding) continue;
    double const key =
        r.preemptions > 0 ? key_of(0, of(r.record).arrival) : key_of(r.length - r.computed, of(r.record).arrival);
    order.push_back({i, r.priority, key + waiting.handicap(r.tenant), r.age});
    if (i == 0 && step - r.fed > patience) order.back().key = -std::numeric_limits<double>::infinity();
  }
  auto const sooner = [](auto const& a, auto const& b) {
    return std::make_tuple(-std::int64_t{a.priority}, a.key, a.age) <
           std::make_tuple(-std::int64_t{b.priority}, b.key, b.age);
  };
  std::sort(order.begin(), order.end(), sooner);

  bool        admitting = !preempted, more = true;
  std::size_t next = 0;
  while (more) {
    waiting_sequence const* w = nullptr;
    if (admitting && prompts < options.max_partial && rows < options.max_sequences)
      w = waiting.best(long_prompts < options.max_long_partial);
    if (next < order.size() &&
        (w == nullptr || !sooner(ranked{0, w->priority, w->key + waiting.handicap(w->tenant), w->age}, order[next]))) {
      more = feed(order[next++].index);
    } else if (w == nullptr) {
      break;
    } else if (verdict const v = admit(*w); v == verdict::later) {
      admitting = false;
    } else if (v == verdict::admitted) {
      more = feed(running.size() - 1);
    }
  }
}

// ---- Fixed batches

/// All prompts of the batch side by side, right-aligned, then one token for each that is not done; the batch holds until
/// its last one ends, and rows with nothing to do cost what the others cost.
void scheduler::state::plan_batch(double now) {
  if (running.empty() && batch_may_start(now)) start_batch();
  if (prompts > 0) return plan_columns();
  if (running.empty()) return;
  plan_decodes();
  std::int64_t longest = 0, idle = batch_rows - plan.decodes;
  for (planned const& p : plan.parts) longest = std::max<std::int64_t>(longest, p.first + 1);
  plan.padding = static_cast<int>(idle);
  plan.load.tokens += idle, plan.load.sequences += idle, plan.load.rows += idle;
  plan.load.keys += idle * longest, plan.load.pairs += idle * longest;
}

bool scheduler::state::batch_may_start(double now) const {
  if (waiting.size() == 0) return false;
  return options.mode == batching::fixed || waiting.rows() >= options.max_sequences ||
         now >= waiting.first_arrival() + options.dynamic_wait;
}

/// As many as there are rows and, at full length, pages for; one at least.
void scheduler::state::start_batch() {
  std::int64_t full_length = 0;
  while (waiting_sequence const* w = waiting.best(true)) {
    sequence_record const& r = of(w->record);
    full_length += std::int64_t{r.rows} * pages_for(r.limit - 1);
    if (rows + r.rows > options.max_sequences || (!running.empty() && full_length > pages.blocks())) break;
    if (!start(*w, cached_of(r), 0)) break;
  }
  batch_rows = rows, batch_prompts = static_cast<int>(running.size());
}

void scheduler::state::plan_columns() {
  std::int32_t longest = 0;
  for (running_sequence const& r : running) longest = std::max(longest, r.length - r.computed);
  std::int32_t const columns = std::min(longest, options.max_batched_tokens / batch_prompts);
  std::int32_t const behind  = longest - columns;  // columns of later steps
  for (std::size_t i = 0; i < running.size(); ++i) {
    std::int32_t const left = running[i].length - running[i].computed;
    if (left > behind) add_part(i, left - behind);
  }
  plan.padding = static_cast<int>(std::int64_t{columns} * batch_prompts - plan.load.tokens);
  plan.load.tokens += plan.padding;
  plan.load.sequences = batch_prompts;
}

}  // namespace tenon::engine
