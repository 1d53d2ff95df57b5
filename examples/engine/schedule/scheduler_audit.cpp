//  What must hold between steps.
#include "engine/schedule/scheduler_state.hpp"

namespace tenon::engine {

status scheduler::state::audit() const {
  auto const fault = [](char const* what, std::int64_t got, std::int64_t want) {
    return status{errc::out_of_range, "scheduler", what, got, want};
  };
  using place = sequence_record::place;
  std::vector<char>         seen(records.size());
  std::vector<std::int32_t> here(waiting.tenants());
  auto const see = [&](std::int32_t record, place at) {  // once, where its record says, counted with its tenant
    if (record < 0 || record >= static_cast<std::int32_t>(records.size()) || of(record).at != at) return false;
    ++here[static_cast<std::size_t>(of(record).tenant)];
    return seen[static_cast<std::size_t>(record)]++ == 0;
  };

  int                     all_rows = 0, all_prompts = 0, all_long = 0;
  running_sequence const* before = nullptr;
  std::vector<char>       taken(index_of.size());
  for (std::size_t i = 0; i < running.size(); ++i) {
    running_sequence const& r = running[i];
    if (!see(r.record, place::running)) return fault("running record", r.record, static_cast<int>(of(r.record).at));
    if (taken.at(static_cast<std::size_t>(r.sequence))++ != 0) return fault("sequence", r.sequence, 1);
    if (auto const index = index_of[static_cast<std::size_t>(r.sequence)]; index != static_cast<std::int64_t>(i))
      return fault("index", index, static_cast<std::int64_t>(i));
    // A sequence that decodes tells of its tokens when they fill a page.
    std::int64_t const told  = pages.length(r.sequence),
                       least = r.decoding ? r.computed / block_size * block_size : r.computed;
    if (told > r.computed || told < least) return fault("computed", r.computed, told);
    if (pages.capacity(r.sequence) < r.capacity) return fault("capacity", r.capacity, pages.capacity(r.sequence));
    if (r.computed >= r.length || r.length >= r.limit) return fault("length", r.length, r.limit);
    if (r.decoding && r.computed != r.length - 1) return fault("decoding", r.computed, r.length - 1);
    if (!r.decoding && r.capacity < r.length) return fault("prompt's pages", r.capacity, r.length);
    if (sorted && before != nullptr &&
        (before->priority < r.priority || (before->priority == r.priority && before->age >= r.age)))
      return fault("rank", static_cast<std::int64_t>(r.age), static_cast<std::int64_t>(before->age));
    before = &r;
    all_rows += r.rows, all_prompts += !r.decoding, all_long += r.long_prompt;
  }
  if (all_rows != rows || rows > options.max_sequences) return fault("rows", rows, all_rows);
  if (all_prompts != prompts) return fault("prompts", prompts, all_prompts);
  if (all_long != long_prompts) return fault("long prompts", long_prompts, all_long);
  if (pages.open_sequences() != static_cast<int>(running.size()))
    return fault("open sequences", pages.open_sequences(), static_cast<std::int64_t>(running.size()));

  bool        placed      = true;
  std::size_t queued      = 0;
  int         queued_rows = 0;
  waiting.for_each([&](waiting_sequence const& w) {
    placed = placed && see(w.record, place::waiting);
    queued += 1, queued_rows += w.rows;
  });
  if (queued != waiting.size())
    return fault("queue", static_cast<std::int64_t>(waiting.size()), static_cast<std::int64_t>(queued));
  if (queued_rows != waiting.rows()) return fault("queue's rows", waiting.rows(), queued_rows);
  for (parked_sequence const& p : parked) placed = placed && see(p.what.record, place::parked);
  if (!placed) return fault("waiting record", 0, 1);
  for (std::size_t r = 0; r < records.size(); ++r)
    if ((records[r].at != place::nowhere) != (seen[r] != 0))
      return fault("record", static_cast<std::int64_t>(r), seen[r]);
  for (std::size_t t = 0; t < here.size(); ++t)
    if (here[t] != waiting.here(static_cast<std::int32_t>(t)))
      return fault("tenant", here[t], static_cast<std::int64_t>(t));

  // The plan that waits for its commit, or the one that commit() kept for the next step, but for its pages.
  if (!pending && !steady) return pages.audit();
  step_load                  load;
  int const                  padding = pending ? plan.padding : 0;  // a fixed batch pads what was kept
  std::int64_t               fed = padding, draws = 0;
  std::vector<char>          planned_once(index_of.size());
  std::vector<std::uint32_t> without_page;
  for (std::size_t i = 0; i < plan.parts.size(); ++i) {
    planned const& p = plan.parts[i];
    if (part_index[i] >= running.size())
      return fault("part's index", part_index[i], static_cast<std::int64_t>(running.size()));
    running_sequence const& r = running[part_index[i]];
    if (r.sequence != p.sequence || planned_once[static_cast<std::size_t>(p.sequence)]++ != 0)
      return fault("part", p.sequence, r.sequence);
    if (p.first != r.computed || p.count < 1 || p.first + p.count > r.length)
      return fault("part's tokens", p.first + p.count, r.length);
    if (p.draws != (p.first + p.count == r.length ? r.rows : 0)) return fault("part's draws", p.draws, r.rows);
    if (p.first + p.count > r.capacity) without_page.push_back(static_cast<std::uint32_t>(i));
    load.add(p.first, p.count, p.draws);
    fed += p.count, draws += p.draws;
  }
  step_load const& counted = pending ? plan.load : steady_load;
  if (padding == 0 && load != counted)
    return fault("plan's load", counted.pairs + counted.keys + counted.rows, load.pairs + load.keys + load.rows);
  if (fed != counted.tokens) return fault("plan's tokens", counted.tokens, fed);
  if (fed > options.max_batched_tokens) return fault("budget", fed, options.max_batched_tokens);
  if (pending && draws != plan.draws) return fault("plan's draws", plan.draws, draws);
  if (without_page != full)
    return fault("parts without a page", static_cast<std::int64_t>(full.size()),
                 static_cast<std::int64_t>(without_page.size()));
  if (!pending && plan.parts.size() != running.size())
    return fault("kept parts", static_cast<std::int64_t>(plan.parts.size()), static_cast<std::int64_t>(running.size()));
  return pages.audit();
}

}  // namespace tenon::engine
