#include "engine/schedule/scheduler.hpp"

#include <tenon/core/prefetch.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "engine/schedule/scheduler_state.hpp"

namespace tenon::engine {

namespace {

schedule_options sane(schedule_options o) {
  o.max_batched_tokens = std::max(o.max_batched_tokens, 1);
  o.max_sequences      = std::clamp(o.max_sequences, 1, std::min(o.max_batched_tokens, 0xffff));
  o.min_chunk          = std::max(o.min_chunk, 1);
  o.max_partial        = std::max(o.max_partial, 1);
  o.max_long_partial   = std::max(o.max_long_partial, 1);
  o.growth_steps       = std::max(o.growth_steps, 0);
  return o;
}

}  // namespace

scheduler::state::state(schedule_options const& o, kv_blocks<>& p, cost_model const& c)
    : options(sane(o)),
      pages(p),
      cost(c),
      block_size(p.block_size()),
      waiting(o.order == prompt_order::arrival ? 0 : o.fairness) {
  auto const n = static_cast<std::size_t>(options.max_sequences);
  running.reserve(n), index_of.resize(n, -1);
  plan.parts.reserve(n), part_index.reserve(n), full.reserve(n), order.reserve(n), ended.reserve(n);
}

scheduler::scheduler(schedule_options const& options, kv_blocks<>& pages, cost_model const& cost)
    : state_(std::make_unique<state>(options, pages, cost)) {}
scheduler::~scheduler() = default;

// ---- Requests

refusal scheduler::submit(schedule_request const& request) {
  state&             s      = *state_;
  auto const         prompt = static_cast<std::int64_t>(request.prompt.size());
  std::int64_t const fed    = prompt + request.max_tokens - 1;
  if (prompt == 0) return refusal::empty_prompt;
  if (request.max_tokens < 1 || request.n < 1 || request.n > s.options.max_sequences) return refusal::bad_count;
  if (fed >= std::numeric_limits<std::int32_t>::max()) return refusal::too_long;
  if (s.options.max_length > 0 && fed > s.options.max_length) return refusal::too_long;
  if (s.pages_for(fed) > s.pages.max_blocks_per_sequence()) return refusal::too_long;
  if (s.pages_for(fed) > s.pages.blocks()) return refusal::never_fits;
  if (s.waiting.size() + s.parked.size() >= static_cast<std::size_t>(std::max(s.options.max_waiting, 0)))
    return refusal::queue_full;

  std::int32_t const index = s.new_record();
  sequence_record&   r     = s.of(index);
  r.length                 = static_cast<std::int32_t>(prompt);
  r.limit                  = r.length + request.max_tokens;
  r.rows                   = request.n;
  r.priority               = request.priority;
  r.tag                    = request.tag;
  r.salt                   = request.salt;
  r.age                    = s.next_age++ << 16U;
  r.arrival                = std::isfinite(request.arrival) ? request.arrival : 0;
  r.deadline               = request.deadline;
  r.tenant                 = s.waiting.enter(request.tenant);
  r.tokens                 = std::make_unique_for_overwrite<std::int32_t[]>(request.prompt.size());
  r.room                   = r.length;
  std::copy(request.prompt.begin(), request.prompt.end(), r.tokens.get());
  if (r.deadline < s.next_deadline) s.next_deadline = r.deadline;

  std::int32_t const left = r.length - s.cached_of(r);
  s.queue_up(index, s.key_of(left, r.arrival), left);
  ++s.counts.waiting;
  return refusal::none;
}

void scheduler::cancel(std::uint64_t tag) { state_->cancelled.push_back({tag, state_->next_age << 16U}); }

std::int32_t scheduler::state::new_record() {
  if (free_records.empty()) {
    free_records.push_back(static_cast<std::int32_t>(records.size()));
    records.emplace_back();
  }
  std::int32_t const r = free_records.back();
  free_records.pop_back();
  of(r) = {};
  return r;
}

/// Forgets a sequence that neither runs nor waits any more.
void scheduler::state::end(std::int32_t record, sequence_end reason) {
  sequence_record& r = of(record);
  for (int i = 0; i < r.rows; ++i) ended.push_back({r.tag, r.completion + i, reason});
  waiting.leave(r.tenant);
  r = {};
  free_records.push_back(record);
}

/// Takes the doomed ones out of the running, whose order stays.
void scheduler::state::remove_doomed() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < running.size(); ++i) {
    running_sequence const r = running[i];
    if (!of(r.record).doomed) {
      running[kept] = r;
      place_at(kept++);
      continue;
    }
    pages.close(r.sequence);
    rows -= r.rows;
    if (!r.decoding) --prompts, long_prompts -= r.long_prompt;
    end(r.record, of(r.record).fate);
  }
  running.resize(kept);
  any_doomed = false;
}

void scheduler::state::place_at(std::size_t index) {
  auto const s = static_cast<std::size_t>(running[index].sequence);
  if (s >= index_of.size()) index_of.resize(s + 1, -1);
  index_of[s] = static_cast<std::int32_t>(index);
}

// ---- What a step computed

void scheduler::commit(std::span<std::int32_t const> drawn, std::span<std::uint8_t const> stops) {
  state& s = *state_;
  if (drawn.size() != static_cast<std::size_t>(s.pending ? s.plan.draws : 0) || stops.size() != drawn.size())
    throw std::invalid_argument("scheduler: a step's ids are as many as its plan draws");
  if (!std::exchange(s.pending, false) || s.plan.empty()) return;
  s.pages.clear_copies();  // the caller made them before the pass
  constexpr std::size_t      ahead   = 8;
  auto const                 decodes = static_cast<std::size_t>(s.plan.decodes);
  std::int32_t               tenant  = -1;
  std::int64_t               served  = 0;  // of that tenant, not yet charged
  step_load                  next;         // of the next step, if nobody comes or goes
  running_sequence* const    running = s.running.data();
  std::uint32_t const* const index   = s.part_index.data();
  planned* const             parts   = s.plan.parts.data();
  for (std::size_t i = 0; i < decodes; ++i) {
    if (i + 2 * ahead < decodes) prefetch(&running[index[i + 2 * ahead]]);
    if (i + ahead < decodes) {
      running_sequence const& soon = running[index[i + ahead]];
      prefetch(soon.tokens + soon.length);
      if (soon.computed + 1 == soon.capacity)
        s.pages.foresee(soon.sequence, {soon.tokens, static_cast<std::size_t>(soon.capacity)});
    }
    running_sequence& r = running[index[i]];
    r.computed += 1;
    if (r.computed == r.capacity) {  // a page is full: until then there is nothing that others could find
      s.tell_computed(r);
      s.full.push_back(static_cast<std::uint32_t>(i));
    }
    s.draw(r, drawn[i], stops[i] != 0);
    parts[i].first = r.computed;
    next.add(r.computed, 1, 1);
    if (r.tenant != tenant) {
      if (served > 0) s.waiting.charge(tenant, served);
      tenant = r.tenant, served = 0;
    }
    ++served;
  }
  if (served > 0) s.waiting.charge(tenant, served);

  std::size_t draws = decodes;
  for (std::size_t i = decodes; i < s.plan.parts.size(); ++i) {
    planned const&    part = s.plan.parts[i];
    running_sequence& r    = s.running[s.part_index[i]];
    r.computed             = part.first + part.count;
    s.tell_computed(r);
    s.waiting.charge(r.tenant, part.count);
    sequence_record const& record = s.of(r.record);
    s.counts.prompt_tokens += part.count;
    s.counts.recomputed_tokens += std::clamp(record.reached - part.first, 0, part.count);
    if (part.draws == 0) continue;
    auto const n = static_cast<std::size_t>(part.draws);
    s.finish_prompt(s.part_index[i], drawn.subspan(draws, n), stops.subspan(draws, n));
    draws += n;
  }
  ++s.counts.steps;
  s.counts.decode_tokens += s.plan.decodes;
  s.counts.padding_tokens += s.plan.padding;
  s.steady = decodes == s.running.size() && !s.any_doomed && s.options.decode_first;
  if (s.any_doomed) s.remove_doomed();
  if (s.steady) s.steady_load = next;
  else s.full.clear(), s.plan.parts.clear(), s.part_index.clear();
  s.counts.running = static_cast<int>(s.running.size());
}

void scheduler::state::draw(running_sequence& r, std::int32_t id, bool stop) {
  if (!stop) r.tokens[r.length++] = id;
  if (!stop && r.length < r.limit) return;
  sequence_record& record = of(r.record);
  record.fate             = stop ? sequence_end::stop : sequence_end::length;
  record.doomed = any_doomed = true;
}

/// What the cache holds of it now: full pages of it may be found by others.
void scheduler::state::tell_computed(running_sequence const& r) {
  if (!pages.commit(r.sequence, {r.tokens, static_cast<std::size_t>(r.computed)}).ok())
    throw std::logic_error("scheduler: a step wrote to pages that nobody reserved");
}

/// The prompt's first ids; its other completions go on as sequences of their own, which share its pages.
void scheduler::state::finish_prompt(std::size_t index, std::span<std::int32_t const> drawn,
                                     std::span<std::uint8_t const> stops) {
  running_sequence r = running[index];
  --prompts, long_prompts -= r.long_prompt;
  rows -= r.rows - 1;
  r.decoding    = true;
  r.long_prompt = false;
  r.rows        = 1;
  if (drawn.size() > 1) r.capacity = r.computed;  // the last page is shared: the first to write it copies it
  running[index]    = r;
  of(r.record).rows = 1;
  for (std::size_t i = 1; i < drawn.size(); ++i) {
    std::int32_t const child  = new_record();
    sequence_record&   parent = of(r.record);
    sequence_record&   record = of(child);
    record.make_room(r.limit);
    record.completion = static_cast<std::int32_t>(i);
    record.tag = parent.tag, record.salt = parent.salt, record.age = parent.age + i;
    record.arrival = parent.arrival, record.deadline = parent.deadline;
    record.tenant = parent.tenant, record.priority = parent.priority;
    record.length = r.length;
    record.limit  = r.limit;
    record.began  = true;
    std::copy_n(r.tokens, r.length, record.tokens.get());
    waiting.enter_again(record.tenant);

    record.sequence = pages.fork(r.sequence);
    if (record.sequence == no_sequence)
      throw std::logic_error("scheduler: the manager has fewer sequences than max_sequences");
    record.at             = sequence_record::place::running;
    running_sequence copy = r;
    copy.tokens           = record.tokens.get();
    copy.age              = record.age;
    copy.sequence         = record.sequence;
    copy.record           = child;
    copy.preemptions      = 0;
    running.push_back(copy);
    place_at(running.size() - 1);
    rows += 1;
    sorted = false;
    draw(running.back(), drawn[i], stops[i] != 0);
  }
  draw(running[index], drawn[0], stops[0] != 0);
}

// ---- Looking

std::span<ended_sequence const> scheduler::ended() const { return state_->ended; }
void                            scheduler::clear_ended() { state_->ended.clear(); }

std::int64_t scheduler::tokens_in_cache() const {
  std::int64_t tokens = 0;
  for (running_sequence const& r : state_->running) tokens += r.computed;
  return tokens;
}

bool scheduler::idle() const {
  state const& s = *state_;
  return s.running.empty() && s.waiting.size() == 0 && s.parked.empty();
}

double scheduler::next_event(double now) const {
  state const& s    = *state_;
  double       next = s.next_deadline;
  if (s.options.mode == batching::dynamic && s.running.empty())
    next = std::min(next, s.waiting.first_arrival() + s.options.dynamic_wait);
  return std::max(next, now);
}

std::uint64_t scheduler::tag(std::int32_t sequence) const { return state_->of(state_->at(sequence).record).tag; }
int scheduler::completion(std::int32_t sequence) const { return state_->of(state_->at(sequence).record).completion; }
std::span<std::int32_t const> scheduler::tokens(std::int32_t sequence) const {
  running_sequence const& r = state_->at(sequence);
  return {r.tokens, static_cast<std::size_t>(r.length)};
}
std::span<block_id const> scheduler::block_table(std::int32_t sequence) const {
  return state_->pages.block_table(sequence);
}
schedule_counts const& scheduler::counts() const { return state_->counts; }
status                 scheduler::audit() const { return state_->audit(); }

}  // namespace tenon::engine
