//  What a step feeds: chunks, budgets, decode first and prompt first, fixed and dynamic batches.
#include "schedule_stage.hpp"

namespace {

using namespace test;

TEST(scheduler_step, decodes_first_then_prompts_in_the_same_step) {
  stage t({.max_sequences = 8, .max_batched_tokens = 32});
  t.submit_all({{.tag = 1, .max_tokens = 20}, {.tag = 2, .max_tokens = 20}});
  t.step();
  t.submit_all({{.tag = 3, .prompt = 100}});
  step_plan const plan = t.step();
  ASSERT_EQ(plan.parts.size(), 3U);
  EXPECT_EQ(plan.decodes, 2);
  EXPECT_EQ(plan.draws, 2);
  EXPECT_EQ(plan.parts[2].count, 28);  // 30 left, whole blocks of 4
  EXPECT_EQ(plan.load.tokens, 30);
  EXPECT_EQ(plan.load.keys, 9 + 9 + 28);
}

// Chunk ends are ends of blocks, but for the last one and where less than a block is left.
TEST(scheduler_step, chunks) {
  stage t({.max_sequences = 8, .max_batched_tokens = 10});
  t.submit_all({{.tag = 1, .prompt = 27}});
  std::vector<int> counts;
  for (int i = 0; i < 4; ++i) counts.push_back(t.step().parts.at(0).count);
  EXPECT_EQ(counts, (std::vector{8, 8, 8, 3}));

  stage narrow({.max_sequences = 3, .max_batched_tokens = 3});
  narrow.submit_all({{.tag = 1, .prompt = 8}});
  counts.clear();
  for (int i = 0; i < 4; ++i) counts.push_back(narrow.step().parts.at(0).count);
  EXPECT_EQ(counts, (std::vector{3, 1, 3, 1}));
}

TEST(scheduler_step, only_the_last_chunk_draws) {
  stage t({.max_sequences = 8, .max_batched_tokens = 8});
  t.submit_all({{.tag = 1, .prompt = 16}});
  EXPECT_EQ(t.step().draws, 0);
  EXPECT_EQ(t.step().draws, 1);
}

TEST(scheduler_step, the_budget_follows_the_target) {
  cost_model const cost{.step = 1e-3, .token = 1e-4, .key = 1e-6};
  stage t({.max_sequences = 64, .max_batched_tokens = 2048, .itl_target = 20e-3, .min_chunk = 8, .max_partial = 64},
          4000, 4, cost);
  t.submit_all({{.tag = 1, .prompt = 500}});
  EXPECT_EQ(t.step().load.tokens, 500);  // nobody waits for the next token
  for (std::uint64_t tag = 2; tag < 30; ++tag) t.submit_all({{.tag = tag, .prompt = 97, .max_tokens = 400}});
  t.submit_all({{.tag = 1000, .prompt = 3000, .max_tokens = 1}});
  bool full = false;
  for (int i = 0; i < 60; ++i) {
    step_plan const plan = t.step();
    if (plan.decodes == 0) continue;
    EXPECT_LE(cost.seconds(plan.load), 20e-3);
    full = full || cost.seconds(plan.load) > 19e-3;
  }
  EXPECT_TRUE(full);
}

TEST(scheduler_step, a_target_out_of_reach_still_feeds_prompts) {
  cost_model const cost{.step = 1};
  stage t({.max_sequences = 8, .max_batched_tokens = 256, .itl_target = 1e-3, .min_chunk = 16}, 1000, 4, cost);
  t.submit_all({{.tag = 1, .max_tokens = 100}});
  t.step();
  t.submit_all({{.tag = 2, .prompt = 40}, {.tag = 3, .prompt = 40}});
  std::vector<std::int64_t> fed;
  for (int i = 0; i < 5; ++i) fed.push_back(t.step().load.tokens);
  EXPECT_EQ(fed, (std::vector<std::int64_t>{1 + 16, 1 + 16, 1 + 8 + 8, 2 + 16, 2 + 16}));
}

TEST(scheduler_step, prompts_first_never_with_decodes) {
  stage t({.max_sequences = 8, .max_batched_tokens = 16, .decode_first = false});
  t.submit_all({{.tag = 1, .max_tokens = 8}});
  t.step();
  t.submit_all({{.tag = 2, .prompt = 40}});
  for (int i = 0; i < 3; ++i) {
    step_plan const plan = t.step();
    EXPECT_EQ(plan.decodes, 0);
    EXPECT_EQ(plan.parts.size(), 1U);
  }
  EXPECT_EQ(t.step().decodes, 2);
  t.finish();
}

TEST(scheduler_step, whole_prompts) {
  stage t({.max_sequences = 4, .max_batched_tokens = 40, .chunked_prefill = false, .order = prompt_order::arrival});
  t.submit_all({{.tag = 1, .prompt = 30}, {.tag = 2, .prompt = 30}, {.tag = 3, .prompt = 5}, {.tag = 4, .prompt = 90}});
  EXPECT_EQ(t.tags(t.schedule()), (tags{1}));  // nobody passes 2
  t.commit(t.schedule());
  step_plan plan = t.step();
  ASSERT_EQ(plan.parts.size(), 3U);
  EXPECT_EQ(plan.parts[1].count, 30);
  EXPECT_EQ(plan.parts[2].count, 5);
  plan = t.step();  // what no step can take is cut all the same
  EXPECT_EQ(plan.parts.back().count, 36);
  t.finish();
}

// A prompt of the best rank is fed in the end even where shorter ones keep coming and the clock stands still.
TEST(scheduler_step, no_prompt_starves) {
  stage t({.max_sequences = 4, .max_batched_tokens = 16, .ageing = 0});
  t.submit_all({{.tag = 1, .prompt = 64, .max_tokens = 1}});
  t.step();
  int steps = 0;
  for (std::uint64_t tag = 2; steps < 2000 && !t.has_ended(1); ++steps) {
    t.submit_all({{.tag = tag++, .prompt = 16, .max_tokens = 1}});
    t.step();
  }
  EXPECT_LT(steps, 17 * 64);
}

// And a long prompt that waits, where waiting counts: in front of what comes 48 / ageing seconds after it. Where it does not
// count, it waits as long as the shorter ones keep coming.
TEST(scheduler_step, no_prompt_waits_for_ever_where_waiting_counts) {
  for (double const ageing : {100., 0.}) {
    stage t({.max_sequences = 4, .max_batched_tokens = 16, .ageing = ageing, .max_partial = 1});
    t.submit_all({{.tag = 2, .prompt = 16, .max_tokens = 1}, {.tag = 1, .prompt = 64, .max_tokens = 1}});
    int    steps = 0;
    double now   = 0;
    for (std::uint64_t tag = 3; steps < 200 && !t.has_ended(1); ++steps, now += .05) {
      t.submit_all({{.tag = tag++, .prompt = 16, .max_tokens = 1, .arrival = now}});
      t.step(now);
    }
    if (ageing > 0) EXPECT_LE(steps, 48 / ageing / .05 + 4 + 2);
    else EXPECT_EQ(steps, 200);
  }
}

TEST(scheduler_step, a_plan_without_a_commit_is_made_again) {
  stage t({.max_sequences = 4, .max_batched_tokens = 16});
  t.submit_all({{.tag = 1, .prompt = 24}, {.tag = 2}});
  auto const once  = t.schedule().parts;
  auto const twice = t.schedule().parts;
  ASSERT_EQ(once.size(), twice.size());
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].count, twice[i].count);
  t.finish();
}

// ---- Fixed batches

TEST(scheduler_batch, prompts_are_padded_to_the_longest) {
  stage t({.max_sequences = 3, .max_batched_tokens = 30, .mode = batching::fixed, .order = prompt_order::arrival});
  t.submit_all({{.tag = 1, .prompt = 20}, {.tag = 2, .prompt = 5}, {.tag = 3, .prompt = 12}, {.tag = 4}});
  step_plan plan = t.step();  // 10 columns of 3 rows: only the longest has tokens in all of them
  EXPECT_EQ(plan.load.tokens, 30);
  EXPECT_EQ(plan.padding, 30 - 10 - 2);
  plan = t.step();
  EXPECT_EQ(plan.padding, 30 - 10 - 5 - 10);
  EXPECT_EQ(plan.draws, 3);  // all at the same time
  EXPECT_EQ(plan.load.sequences, 3);
  t.finish();
}

TEST(scheduler_batch, holds_until_its_last_ends) {
  stage t({.max_sequences = 3, .max_batched_tokens = 60, .mode = batching::fixed});
  t.submit_all({{.tag = 1, .max_tokens = 2},
                {.tag = 2, .max_tokens = 9},
                {.tag = 3, .max_tokens = 5},
                {.tag = 4, .max_tokens = 2}});
  t.step();
  for (int i = 2; i <= 9; ++i) {
    step_plan const plan = t.step();
    EXPECT_EQ(plan.decodes, i <= 2 ? 3 : i <= 5 ? 2 : 1) << i;
    EXPECT_EQ(plan.padding, 3 - plan.decodes);
    EXPECT_EQ(plan.load.tokens, 3);  // ended ones cost
    EXPECT_EQ(plan.load.rows, 3);
    EXPECT_EQ(plan.load.keys, plan.decodes * (8 + i - 1) + plan.padding * (8 + i - 1));
  }
  EXPECT_EQ(t.tags(t.schedule()), (tags{4}));
  t.finish();
}

// At full length, so that nobody has to be taken off.
TEST(scheduler_batch, takes_whom_the_pages_hold_to_the_end) {
  stage t({.max_sequences = 8, .max_batched_tokens = 60, .mode = batching::fixed}, 10);
  t.submit_all({{.tag = 1, .prompt = 5, .max_tokens = 12},
                {.tag = 2, .prompt = 5, .max_tokens = 12},
                {.tag = 3, .prompt = 5, .max_tokens = 12}});
  EXPECT_EQ(t.step().parts.size(), 2U);
  t.finish();
  EXPECT_EQ(t.s.counts().preemptions, 0);
}

TEST(scheduler_batch, dynamic_waits_for_more_but_not_long) {
  stage t({.max_sequences = 3, .max_batched_tokens = 60, .mode = batching::dynamic, .dynamic_wait = 0.5});
  EXPECT_EQ(t.s.next_event(0), std::numeric_limits<double>::infinity());
  t.submit_all({{.tag = 1, .arrival = 1}});
  EXPECT_TRUE(t.schedule(1).empty());
  EXPECT_EQ(t.s.next_event(1), 1.5);
  t.submit_all({{.tag = 2, .arrival = 1.2}});
  EXPECT_TRUE(t.schedule(1.2).empty());
  EXPECT_EQ(t.step(1.5).parts.size(), 2U);
  t.submit_all({{.tag = 3, .arrival = 1.6}});
  EXPECT_EQ(t.step(9).parts.size(), 2U);  // the batch is closed
  t.finish(9);

  t.submit_all({{.tag = 5, .arrival = 10}, {.tag = 6, .n = 2, .arrival = 10}});
  EXPECT_EQ(t.step(10).parts.size(), 2U);  // full
  t.finish(10);
}

}  // namespace
