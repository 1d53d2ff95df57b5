//  Steps of sequences that decode allocate nothing: every operator new of the program is counted.
#include "../../support/counted_new.hpp"
#include "schedule_stage.hpp"

namespace {

using namespace test;

/// Allocations of 100 steps, in which nobody comes or goes but pages are taken and filled.
std::int64_t allocations_of(stage& t) {
  std::vector<std::int32_t> const ids(64, 7);
  std::vector<std::uint8_t> const stops(64, 0);
  std::int64_t const              before = allocations;
  for (int i = 0; i < 100; ++i) {
    auto const draws = static_cast<std::size_t>(t.s.schedule(0).draws);
    t.s.commit({ids.data(), draws}, {stops.data(), draws});
  }
  return allocations - before;
}

TEST(scheduler_allocation, the_count_counts) {
  std::int64_t const before = allocations;
  std::vector<int>   some(100);
  EXPECT_EQ(some.size(), 100U);
  EXPECT_GT(allocations, before);
}

TEST(scheduler_allocation, none_while_sequences_decode) {
  for (bool const cache : {false, true}) {
    stage t({.max_sequences = 64, .max_batched_tokens = 1024, .max_partial = 64}, 4000, 4, {}, cache);
    for (std::uint64_t tag = 0; tag < 64; ++tag) t.submit_all({{.tag = tag, .prompt = 13, .max_tokens = 150}});
    while (t.s.counts().waiting > 0) t.step();
    t.step();
    EXPECT_EQ(allocations_of(t), 0) << cache;
    EXPECT_EQ(t.s.counts().running, 64);
  }
}

TEST(scheduler_allocation, none_while_a_long_prompt_is_fed_beside_them) {
  cost_model const cost{.step = 1e-3, .token = 1e-4};
  stage            t({.max_sequences = 64, .max_batched_tokens = 128, .itl_target = 1e-2}, 4000, 4, cost);
  for (std::uint64_t tag = 0; tag < 40; ++tag) t.submit_all({{.tag = tag, .prompt = 13, .max_tokens = 150}});
  while (t.s.counts().waiting > 0) t.step();
  t.step();
  t.submit_all({{.tag = 100, .prompt = 9000, .max_tokens = 2}});
  t.step();
  EXPECT_EQ(allocations_of(t), 0);
  EXPECT_EQ(t.s.counts().running, 41);
}

}  // namespace
