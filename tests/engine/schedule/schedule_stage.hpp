#pragma once
//  A scheduler with a small cache, fed by hand: for tests of one rule at a time.
#include <tenon/kv/kv_blocks.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "engine/schedule/scheduler.hpp"

namespace test {

using namespace tenon::engine;  // NOLINT

inline std::vector<std::int32_t> text_of(int tokens, int first = 0) {
  std::vector<std::int32_t> text(static_cast<std::size_t>(tokens));
  std::iota(text.begin(), text.end(), first);
  return text;
}

struct stage_request {
  std::uint64_t tag;
  int           prompt     = 8;
  int           max_tokens = 4;
  int           n = 1, priority = 0;
  std::uint32_t tenant  = 0;
  double        arrival = 0, deadline = std::numeric_limits<double>::infinity();
  int           text = -1;  // its first token; -1: a text that no other has
};

using tags = std::vector<std::uint64_t>;

struct stage {
  tenon::kv_blocks<>          pages;
  scheduler                   s;
  std::vector<ended_sequence> ended;
  test::tags                  taken_off;  // in the order in which they were

  int sequences;

  explicit stage(schedule_options const& o, int blocks = 1000, int block_size = 4, cost_model const& cost = {},
                 bool prefix_cache = true)
      : pages({.blocks                  = blocks,
               .block_size              = block_size,
               .max_sequences           = o.max_sequences,
               .max_blocks_per_sequence = blocks,
               .prefix_cache            = prefix_cache}),
        s(o, pages, cost),
        sequences(o.max_sequences) {}

  refusal submit(stage_request const& r) {
    auto const text = text_of(r.prompt, r.text >= 0 ? r.text : static_cast<int>(r.tag) * 100000);
    return s.submit({.tag        = r.tag,
                     .prompt     = text,
                     .max_tokens = r.max_tokens,
                     .n          = r.n,
                     .priority   = r.priority,
                     .tenant     = r.tenant,
                     .arrival    = r.arrival,
                     .deadline   = r.deadline});
  }
  void submit_all(std::vector<stage_request> const& all) {
    for (stage_request const& r : all) EXPECT_EQ(submit(r), refusal::none) << r.tag;
  }

  step_plan const& schedule(double now = 0) {
    test::tags const  before = running();
    std::size_t const ends   = ended.size();
    step_plan const&  plan   = s.schedule(now);
    expect_sound();
    take_ended();
    test::tags gone = before;
    for (std::uint64_t const tag : running()) std::erase(gone, tag);
    for (std::size_t i = ends; i < ended.size(); ++i) std::erase(gone, ended[i].tag);
    taken_off.insert(taken_off.end(), gone.begin(), gone.end());
    return plan;
  }
  void commit(step_plan const& plan, bool stop = false) {
    std::vector<std::int32_t> const ids(static_cast<std::size_t>(plan.draws), 7);
    std::vector<std::uint8_t> const stops(ids.size(), stop);
    s.commit(ids, stops);
    expect_sound();
    take_ended();
  }
  /// A step, as it was before its commit.
  step_plan step(double now = 0) {
    step_plan const plan = schedule(now);
    commit(plan);
    return plan;
  }
  /// Steps until `done()`.
  void step_until(auto const& done, int most = 10000) {
    for (int i = 0; !done() && i < most; ++i) step();
    ASSERT_TRUE(done());
  }
  /// Steps until nobody is left.
  int finish(double now = 0, int most = 10000) {
    int steps = 0;
    for (; !s.idle() && steps < most; ++steps) step(now);
    EXPECT_TRUE(s.idle());
    return steps;
  }

  /// Tags of those that run, each once, in order.
  test::tags running() const {
    test::tags all;
    for (std::int32_t q = 0; pages.open_sequences() > 0 && q < sequences; ++q)
      if (pages.is_open(q)) all.push_back(s.tag(q));
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }
  /// Tags in the order in which the plan feeds them.
  test::tags tags(step_plan const& plan) const {
    test::tags all;
    for (planned const& p : plan.parts) all.push_back(s.tag(p.sequence));
    return all;
  }
  /// Tags in the order in which they ended.
  test::tags ended_tags() const {
    test::tags all;
    for (ended_sequence const& e : ended) all.push_back(e.tag);
    return all;
  }
  bool has_ended(std::uint64_t tag) const {
    return std::any_of(ended.begin(), ended.end(), [&](ended_sequence const& e) { return e.tag == tag; });
  }

 private:
  void expect_sound() const {
    tenon::status const a = s.audit();
    EXPECT_TRUE(a.ok()) << a.primitive << ": " << a.subject << ": got " << a.got << ", want " << a.want;
  }
  void take_ended() {
    ended.insert(ended.end(), s.ended().begin(), s.ended().end());
    s.clear_ended();
  }
};

}  // namespace test
