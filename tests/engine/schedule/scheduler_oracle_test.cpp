//  Whatever the limits, a request says what it would say alone: the hash model over chunks, caches, pools and batches.
#include <gtest/gtest.h>

#include "schedule_world.hpp"

namespace {

using namespace test;

void expect_sound(scenario const& o) {
  world_result const r = world(o).run();
  EXPECT_EQ(r.fault, "");
}

/// Requests that share beginnings, with several completions.
scenario mixed(std::uint64_t seed) {
  scenario o;
  o.seed = seed, o.requests = 16, o.most_n = 3, o.classes = 2, o.tenants = 2, o.shared = 0.7;
  o.schedule.max_sequences = 6;
  return o;
}

TEST(scheduler_oracle, every_chunk_size) {
  for (int chunk = 1; chunk <= 40; ++chunk) {
    for (bool const cache : {false, true}) {
      scenario o                    = mixed(static_cast<std::uint64_t>(chunk));
      o.prefix_cache                = cache;
      o.schedule.max_batched_tokens = o.schedule.max_sequences + chunk - 1;
      expect_sound(o);
    }
  }
}

TEST(scheduler_oracle, every_block_size) {
  for (int size = 1; size <= 33; ++size) {
    scenario o                    = mixed(static_cast<std::uint64_t>(size));
    o.block_size                  = size;
    o.schedule.max_batched_tokens = 16;
    expect_sound(o);
  }
}

// Pools from the least that fits on: the fewer pages, the more is taken off.
TEST(scheduler_oracle, preemption_storms) {
  std::int64_t preemptions = 0, recomputed = 0;
  for (int spare = 0; spare < 20; ++spare) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      scenario o                    = mixed(seed);
      o.spare_blocks                = spare;
      o.block_size                  = 2;
      o.prefix_cache                = seed % 2 == 0;
      o.rate                        = 5000;
      o.schedule.growth_steps       = 0;
      o.schedule.max_preemptions    = static_cast<int>(seed % 4);
      o.schedule.max_batched_tokens = 24;
      world_result const r          = world(o).run();
      EXPECT_EQ(r.fault, "");
      preemptions += r.counts.preemptions, recomputed += r.counts.recomputed_tokens;
    }
  }
  EXPECT_GT(preemptions, 2000);  // else there was no storm
  EXPECT_GT(recomputed, 10000);
}

TEST(scheduler_oracle, every_mode) {
  for (batching const mode : {batching::continuous, batching::dynamic, batching::fixed}) {
    for (bool const chunked : {false, true}) {
      for (bool const decode_first : {false, true}) {
        for (prompt_order const order : {prompt_order::arrival, prompt_order::shortest}) {
          for (std::uint64_t seed = 1; seed <= 10; ++seed) {
            scenario o                    = mixed(seed);
            o.schedule.mode               = mode;
            o.schedule.chunked_prefill    = chunked;
            o.schedule.decode_first       = decode_first;
            o.schedule.order              = order;
            o.schedule.max_batched_tokens = 20;
            expect_sound(o);
          }
        }
      }
    }
  }
}

TEST(scheduler_oracle, cancellation_and_deadlines) {
  std::int64_t preemptions = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    scenario o  = mixed(seed);
    o.cancelled = 0.5, o.with_deadline = 0.3;
    o.spare_blocks                = static_cast<int>(seed % 8);
    o.schedule.max_batched_tokens = 12;
    world_result const r          = world(o).run();
    EXPECT_EQ(r.fault, "");
    preemptions += r.counts.preemptions;
  }
  EXPECT_GT(preemptions, 100);
}

TEST(scheduler_oracle, one_prompt_for_all) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    scenario o                    = mixed(seed);
    o.shared                      = 1;
    o.salts                       = seed % 3 == 0 ? 2 : 1;
    o.longest_prompt              = 60;
    o.rate                        = 5000;
    o.schedule.max_batched_tokens = 16;
    expect_sound(o);
  }
}

// ---- Anything at all

// Half a million steps under limits, requests and pools drawn at random; with them all that world watches: audits after every
// call, budgets, no decode left out, progress, the first in rank untouched, an end within the bound.
TEST(scheduler_property, random_scenarios) {
  std::int64_t steps = 0, preemptions = 0, cached = 0;
  for (std::uint64_t seed = 1; seed <= 6000; ++seed) {
    world_result const r = world(random_scenario(seed)).run();
    ASSERT_EQ(r.fault, "");
    steps += r.steps, preemptions += r.counts.preemptions, cached += r.counts.cached_tokens;
  }
  EXPECT_GT(steps, 400000);
  EXPECT_GT(preemptions, 5000);
  EXPECT_GT(cached, 50000);
}

}  // namespace
