#include "engine/schedule/simulator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

/// At most `limit` samples of however long a time: where there are more, every second goes and so does every second
/// to come.
class sampler {
 public:
  sampler(std::vector<simulation_sample>& to, int limit)
      : to_(to), limit_(static_cast<std::size_t>(std::max(limit, 2))) {}

  bool due(double now) const { return now >= next_; }
  void take(simulation_sample const& s) {
    if (to_.size() == limit_) {
      std::size_t kept = 0;
      for (std::size_t i = 0; i < to_.size(); i += 2) to_[kept++] = to_[i];
      to_.resize(kept);
      interval_ = std::max(interval_ * 2, (s.seconds - to_.front().seconds) / static_cast<double>(limit_));
    }
    to_.push_back(s);
    next_ = s.seconds + interval_;
  }

 private:
  std::vector<simulation_sample>& to_;
  std::size_t                     limit_;
  double                          interval_ = 0, next_ = -std::numeric_limits<double>::infinity();
};

int longest(std::span<arriving_request const> requests) {
  std::int64_t most = 1;
  for (arriving_request const& r : requests) most = std::max(most, std::int64_t{r.prompt_tokens} + r.output_tokens);
  return static_cast<int>(std::min<std::int64_t>(most, std::numeric_limits<int>::max()));
}

std::int32_t made_up_token(std::uint64_t request, std::size_t position) {
  return static_cast<std::int32_t>((request * 0x9e3779b97f4a7c15u + position * 0xd1b54a32d192ed03u) >> 33);
}

}  // namespace

simulation_result simulate(std::span<arriving_request const> requests, simulation_options const& o) {
  simulation_result r;
  schedule_options  limits = o.schedule;
  if (limits.max_length == 0) limits.max_length = longest(requests);

  kv_blocks_options pool;
  pool.blocks                  = o.kv_blocks;
  pool.block_size              = o.block_size;
  pool.max_sequences           = limits.max_sequences;
  pool.max_blocks_per_sequence = std::min(o.kv_blocks, limits.max_length / o.block_size + 1);
  pool.prefix_cache            = o.prefix_cache;
  kv_blocks<> pages(pool);
  scheduler   scheduler(limits, pages, o.cost);

  r.times.resize(requests.size());
  std::size_t               arrived = 0;
  std::vector<std::int32_t> prompt, drawn;
  std::vector<std::uint8_t> stops;
  sampler                   samples(r.timeline, o.samples);
  double const              blocks = o.kv_blocks, slots = blocks * o.block_size;
  double                    now = 0;

  while (true) {
    for (; arrived < requests.size() && requests[arrived].arrival <= now; ++arrived) {
      arriving_request const& a = requests[arrived];
      r.times[arrived].arrival = a.arrival, r.times[arrived].prompt_tokens = a.prompt_tokens;
      prompt_tokens_of(a, prompt);
      schedule_request s;
      s.tag = arrived, s.prompt = prompt, s.max_tokens = a.output_tokens, s.priority = a.priority, s.tenant = a.tenant;
      s.arrival               = a.arrival;
      r.times[arrived].failed = scheduler.submit(s) != refusal::none;
      r.refused += r.times[arrived].failed;
    }
    step_plan const& plan = scheduler.schedule(now);
    if (plan.empty()) {
      double next = scheduler.next_event(now);
      if (arrived < requests.size()) next = std::min(next, requests[arrived].arrival);
      if (std::isinf(next)) break;
      if (!(next > now)) next = std::nextafter(now, std::numeric_limits<double>::infinity());
      now = next;
      continue;
    }
    double const seconds = o.cost.seconds(plan.load);
    now += seconds, r.busy += seconds;

    // Pages while the step runs.
    kv_metrics const&  m      = pages.metrics();
    std::int64_t const tokens = scheduler.tokens_in_cache() + plan.load.tokens - plan.padding;
    double const       used   = static_cast<double>(m.owned_blocks) / blocks;
    r.used += used * seconds, r.peak = std::max(r.peak, used);
    r.wasted += static_cast<double>(m.slots - tokens) / slots * seconds;
    if (samples.due(now)) samples.take({now, used});

    drawn.clear();
    for (planned const& part : plan.parts)
      for (int i = 0; i < part.draws; ++i) {
        std::uint64_t const tag = scheduler.tag(part.sequence);
        r.times[tag].tokens.push_back(now);
        drawn.push_back(made_up_token(tag, r.times[tag].tokens.size()));
      }
    stops.assign(drawn.size(), 0);
    scheduler.commit(drawn, stops);
    scheduler.clear_ended();
  }
  if (!scheduler.idle())
    throw error("simulate: the scheduler stands still: found " + std::to_string(scheduler.counts().waiting) +
                " requests that wait and nothing to do, expected progress");
  if (r.busy > 0) r.used /= r.busy, r.wasted /= r.busy;
  r.counts = scheduler.counts(), r.pages = pages.metrics();
  return r;
}

}  // namespace tenon::engine
