//  Who runs: admission as pages allow, waiting for a twin, preemption by recompute.
#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "engine/schedule/scheduler_state.hpp"

namespace tenon::engine {

std::int32_t scheduler::state::cached_of(sequence_record const& r) const {
  return static_cast<std::int32_t>(pages.match(r.known().first(static_cast<std::size_t>(r.length - 1)), r.salt));
}

void sequence_record::make_room(std::int32_t tokens_in_all) {
  if (room >= tokens_in_all) return;
  auto larger = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(tokens_in_all));
  std::copy_n(tokens.get(), length, larger.get());
  tokens = std::move(larger);
  room   = tokens_in_all;
}

/// Pages for all that it has to compute, and for the growth of those that run; nothing is left over where nobody runs, so that
/// whoever is next is then admitted. Who waits in front of too few pages is asked again when there are more.
scheduler::state::verdict scheduler::state::admit(waiting_sequence const& w) {
  sequence_record const& r = of(w.record);
  if (rows + r.rows > options.max_sequences) return verdict::later;
  if (!running.empty() && w.age == blocked_age && pages.available() <= blocked_available) return verdict::later;
  std::int32_t const cached = cached_of(r);
  if (room_for(cached) <= 0 || !fits_whole(r.length - cached)) return verdict::later;
  if (park_behind_twin(w, cached)) return verdict::parked;
  std::int64_t const growing = running.empty() ? 0 : rows + r.rows - 1;
  if (start(w, cached, pages_for(growing * options.growth_steps))) return verdict::admitted;
  blocked_age = w.age, blocked_available = pages.available();
  return verdict::later;
}

/// Moves it from the queue to the running, with pages for what it knows; `growth` pages must be left. Where they are not,
/// nothing changes: not even a cached page is evicted.
bool scheduler::state::start(waiting_sequence const& w, std::int32_t cached, std::int32_t growth) {
  sequence_record&   r    = of(w.record);
  std::int32_t const need = pages_for(r.length);
  // Reuse of a part of a block pins another page until its copy is made: only where there is one to spare, or a request
  // that needs the whole pool would never start.
  bool const spare = std::int64_t{need} + 1 + growth <= pages.available();
  if (!spare) {
    std::int64_t const fresh = need - cached / block_size;
    if (fresh + pages.idle_match(r.known().first(static_cast<std::size_t>(cached)), r.salt) + growth >
        pages.available())
      return false;
  }
  sequence_id const id = pages.open(r.salt);
  if (id == no_sequence) return false;
  auto const found = static_cast<std::int32_t>(
      pages.attach(id, spare ? r.known() : r.known().first(static_cast<std::size_t>(cached) + 1)));
  if (!pages.reserve(id, r.length).ok()) throw std::logic_error("scheduler: pages that were counted are not there");
  if (!r.began) counts.cached_tokens += found, counts.queried_tokens += r.length;
  waiting_sequence const taken = w;
  waiting.pop(w);
  r.make_room(r.limit);
  r.at = sequence_record::place::running, r.began = true, r.sequence = id;
  running.push_back({.tokens      = r.tokens.get(),
                     .age         = r.age,
                     .sequence    = id,
                     .record      = taken.record,
                     .length      = r.length,
                     .computed    = found,
                     .capacity    = static_cast<std::int32_t>(pages.capacity(id)),
                     .limit       = r.limit,
                     .tenant      = r.tenant,
                     .priority    = r.priority,
                     .rows        = r.rows,
                     .preemptions = r.preemptions,
                     .fed         = step,
                     .decoding    = false,
                     .long_prompt = taken.long_left});
  place_at(running.size() - 1);
  sorted = false;
  rows += r.rows, ++prompts, long_prompts += taken.long_left;
  return true;
}

/// Whether a running prompt computes right now what this one would compute next; then it waits for that one instead. It waits
/// as long as that one is fed in every step, and never behind a lower class.
bool scheduler::state::park_behind_twin(waiting_sequence const& w, std::int32_t cached) {
  if (!pages.shares_prefixes() || prompts == 0) return false;
  sequence_record& r = of(w.record);
  for (running_sequence const& twin : running) {
    if (twin.decoding || step - twin.fed > 1 || twin.priority < r.priority || of(twin.record).salt != r.salt) continue;
    std::int32_t const most   = std::min(twin.length, r.length - 1);
    auto const         differ = std::mismatch(r.tokens.get(), r.tokens.get() + most, twin.tokens).first;
    auto const         common = static_cast<std::int32_t>(differ - r.tokens.get()) / block_size * block_size;
    if (common <= cached || twin.computed >= common) continue;
    r.at = sequence_record::place::parked;
    parked.push_back({w, twin.record, twin.age, common});
    waiting.pop(w);
    return true;
  }
  return false;
}

void scheduler::state::unpark() {
  std::erase_if(parked, [&](parked_sequence const& p) {
    sequence_record const& twin = of(p.behind);
    if (twin.at == sequence_record::place::running && twin.age == p.age) {
      running_sequence const& t = at(twin.sequence);
      if (!t.decoding && t.computed < p.tokens && step - t.fed <= 1) return false;
    }
    of(p.what.record).at = sequence_record::place::waiting;
    waiting.push(p.what);
    return true;
  });
}

/// Who is taken off so that running[index] gets a page: of the lowest class, none above its own, who loses least work for each
/// page that comes free; the youngest of equals. Never running[0]; those taken off max_preemptions times only where there
/// is nobody else.
std::size_t scheduler::state::victim_for(std::size_t index) const {
  struct {
    std::size_t  index    = nobody;
    bool         spared   = true;
    std::int32_t priority = 0;
    double       waste    = 0;
  } best;
  for (std::size_t i = running.size(); i-- > 1;) {
    running_sequence const& r = running[i];
    if (r.priority > running[index].priority) break;
    bool const spared = r.preemptions >= options.max_preemptions;
    auto const lost =
        static_cast<double>(r.computed - std::min<std::int64_t>(r.computed, pages.recoverable_tokens(r.sequence)));
    auto const   freed = static_cast<double>(pages.exclusive_blocks(r.sequence));
    double const waste = freed > 0 ? lost / freed : std::numeric_limits<double>::infinity();
    if (best.index == nobody ||
        std::make_tuple(spared, r.priority, waste) < std::make_tuple(best.spared, best.priority, best.waste))
      best = {i, spared, r.priority, waste};
  }
  return best.index;
}

void scheduler::state::take_off(std::size_t index) {
  running_sequence const r      = running[index];
  sequence_record&       record = of(r.record);
  record.length                 = r.length;
  record.reached                = std::max(record.reached, r.computed);
  record.preemptions            = r.preemptions + 1;
  record.rows                   = r.rows;
  record.sequence               = no_sequence;
  rows -= r.rows;
  if (!r.decoding) --prompts, long_prompts -= r.long_prompt;
  auto const known = static_cast<std::int32_t>(pages.recoverable_tokens(r.sequence));
  pages.close(r.sequence);
  running.erase(running.begin() + static_cast<std::ptrdiff_t>(index));
  for (std::size_t i = index; i < running.size(); ++i) place_at(i);
  ++counts.preemptions;
  preempted = true;
  // Somebody was reading already: it goes as if nothing were left to compute.
  queue_up(r.record, key_of(0, record.arrival), r.length - known);
}

/// `left`: tokens that it would have to compute now.
void scheduler::state::queue_up(std::int32_t record, double key, std::int32_t left) {
  sequence_record& r = of(record);
  r.at               = sequence_record::place::waiting;
  waiting.push({.key       = key,
                .arrival   = r.arrival,
                .age       = r.age,
                .record    = record,
                .tenant    = r.tenant,
                .priority  = r.priority,
                .rows      = r.rows,
                .long_left = left > options.long_prompt});
}

}  // namespace tenon::engine
