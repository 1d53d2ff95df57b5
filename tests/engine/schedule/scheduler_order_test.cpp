//  Who is next: arrival, shortest remaining, ageing, classes, tenants, deadlines, cancellation; what is refused.
#include "schedule_stage.hpp"

namespace {

using namespace test;

/// One prompt at a time, whole, so that the order of first feeding is the order of the queue.
schedule_options one_by_one(prompt_order order) {
  return {.max_sequences = 64, .max_batched_tokens = 64, .order = order, .max_partial = 1};
}

/// Tags in the order in which their prompts were fed first.
tags order_of(stage& t, double now = 0) {
  tags seen;
  for (int i = 0; i < 1000 && !t.s.idle(); ++i) {
    step_plan const& plan = t.schedule(now);
    for (std::uint64_t const tag : t.tags(plan))
      if (std::find(seen.begin(), seen.end(), tag) == seen.end()) seen.push_back(tag);
    t.commit(plan);
  }
  return seen;
}

TEST(scheduler_order, first_come_first_served) {
  stage t(one_by_one(prompt_order::arrival));
  t.submit_all({{.tag = 1, .prompt = 60}, {.tag = 2, .prompt = 5}, {.tag = 3, .prompt = 30}});
  EXPECT_EQ(order_of(t), (tags{1, 2, 3}));
}

TEST(scheduler_order, the_shortest_first) {
  stage t(one_by_one(prompt_order::shortest));
  t.submit_all({{.tag = 1, .prompt = 60}, {.tag = 2, .prompt = 5}, {.tag = 3, .prompt = 30}});
  EXPECT_EQ(order_of(t), (tags{2, 3, 1}));
}

// A second of waiting is worth `ageing` tokens, so a long prompt is in front of a short one that came much later.
TEST(scheduler_order, waiting_counts) {
  auto o   = one_by_one(prompt_order::shortest);
  o.ageing = 10;
  stage t(o);
  t.submit_all({{.tag = 1, .prompt = 60, .arrival = 0},
                {.tag = 2, .prompt = 5, .arrival = 5.4},
                {.tag = 3, .prompt = 5, .arrival = 5.6}});
  EXPECT_EQ(order_of(t, 6), (tags{2, 1, 3}));
}

TEST(scheduler_order, what_is_left_counts_not_what_was_there) {
  stage t({.max_sequences = 64, .max_batched_tokens = 16, .ageing = 0});
  t.submit_all({{.tag = 1, .prompt = 48}});
  for (int i = 0; i < 2; ++i) t.step();  // 16 left
  t.submit_all({{.tag = 2, .prompt = 24}});
  EXPECT_EQ(t.tags(t.schedule()), (tags{1}));
}

TEST(scheduler_order, a_short_prompt_passes_a_long_one_in_flight) {
  stage t({.max_sequences = 64, .max_batched_tokens = 32, .ageing = 0});
  t.submit_all({{.tag = 1, .prompt = 400}});
  t.step();
  t.submit_all({{.tag = 2, .prompt = 12}});
  step_plan const& plan = t.schedule();
  EXPECT_EQ(t.tags(plan), (tags{2, 1}));
  EXPECT_EQ(plan.parts[0].count, 12);
  EXPECT_EQ(plan.parts[1].count, 20);
}

TEST(scheduler_order, the_highest_class_first) {
  stage t(one_by_one(prompt_order::shortest));
  t.submit_all({{.tag = 1, .prompt = 5, .priority = -1},
                {.tag = 2, .prompt = 60, .priority = 2},
                {.tag = 3, .prompt = 30, .priority = 2},
                {.tag = 4, .prompt = 10}});
  EXPECT_EQ(order_of(t), (tags{3, 2, 4, 1}));
}

TEST(scheduler_order, long_prompts_do_not_fill_the_step) {
  stage t({.max_sequences      = 64,
           .max_batched_tokens = 64,
           .order              = prompt_order::arrival,
           .max_partial        = 4,
           .max_long_partial   = 1,
           .long_prompt        = 100});
  t.submit_all({{.tag = 1, .prompt = 300}, {.tag = 2, .prompt = 300}, {.tag = 3, .prompt = 20}});
  t.step();
  t.step();
  // 2 waits for 1, which is long as it is; 3 does not.
  tags const order = order_of(t);
  EXPECT_EQ(order.front(), 1U);
  EXPECT_LT(std::find(order.begin(), order.end(), 3U), std::find(order.begin(), order.end(), 2U));
}

TEST(scheduler_order, prompts_in_flight_are_limited) {
  stage t({.max_sequences = 64, .max_batched_tokens = 16, .ageing = 0, .max_partial = 2});
  for (std::uint64_t tag = 1; tag <= 6; ++tag) t.submit_all({{.tag = tag, .prompt = 100 - 10 * static_cast<int>(tag)}});
  for (int i = 0; i < 8; ++i) {
    step_plan const& plan = t.schedule();
    EXPECT_LE(t.s.counts().running, 2 + plan.decodes);
    t.commit(plan);
  }
}

// ---- Tenants

// One tenant's hundred requests do not keep another's waiting.
TEST(scheduler_fairness, turns) {
  stage t({.max_sequences = 4, .max_batched_tokens = 40, .ageing = 0, .fairness = 1});
  for (std::uint64_t tag = 0; tag < 40; ++tag)
    t.submit_all({{.tag = tag, .prompt = 20, .max_tokens = 20, .tenant = 1}});
  for (int i = 0; i < 60; ++i) t.step();
  for (std::uint64_t tag = 100; tag < 104; ++tag)
    t.submit_all({{.tag = tag, .prompt = 20, .max_tokens = 20, .tenant = 2}});
  t.finish();
  tags const ends = t.ended_tags();
  EXPECT_LT(ends.back(), 100U);
  auto const at_103 = std::find(ends.begin(), ends.end(), 103U) - ends.begin();
  EXPECT_LT(at_103, 30) << "of 44";
}

TEST(scheduler_fairness, off) {
  stage t({.max_sequences = 1, .max_batched_tokens = 40, .ageing = 0, .fairness = 0});
  for (std::uint64_t tag = 0; tag < 6; ++tag) t.submit_all({{.tag = tag, .tenant = tag < 5 ? 1U : 2U}});
  t.finish();
  EXPECT_EQ(t.ended_tags(), (tags{0, 1, 2, 3, 4, 5}));
}

// Who was away gets no credit for it: with equal requests the two take turns from then on.
TEST(scheduler_fairness, nobody_saves_up_turns) {
  stage t({.max_sequences = 1, .max_batched_tokens = 40, .ageing = 0, .fairness = 1});
  for (std::uint64_t tag = 0; tag < 40; ++tag) t.submit_all({{.tag = tag, .tenant = 1}});
  for (int i = 0; i < 80; ++i) t.step();
  std::size_t const before = t.ended.size();
  ASSERT_GT(before, 10U);
  for (std::uint64_t tag = 100; tag < 120; ++tag) t.submit_all({{.tag = tag, .tenant = 2}});
  for (int i = 0; i < 40; ++i) t.step();
  int of_two = 0;
  for (std::size_t i = before; i < t.ended.size(); ++i) of_two += t.ended[i].tag >= 100;
  auto const all = static_cast<int>(t.ended.size() - before);
  EXPECT_NEAR(of_two, all / 2., 1.5);
}

// Every token counts once, in a prompt and after it: tenant 1's 44 are nearly all decoded, tenant 2's are all of its prompt.
// Forgotten or counted twice, they would change whose turn it is.
TEST(scheduler_fairness, every_token_is_charged_once) {
  stage t({.max_sequences = 1, .max_batched_tokens = 64, .ageing = 0, .fairness = 1});
  for (std::uint64_t tag = 0; tag < 6; ++tag) {
    t.submit_all({{.tag = 100 + tag, .prompt = 44, .max_tokens = 1, .tenant = 2}});
    t.submit_all({{.tag = tag, .prompt = 4, .max_tokens = 41, .tenant = 1}});
  }
  t.finish();
  EXPECT_EQ(t.ended_tags(), (tags{0, 100, 1, 101, 2, 102, 3, 103, 4, 104, 5, 105}));
}

// The same where several tenants decode in one step.
TEST(scheduler_fairness, tenants_are_charged_side_by_side) {
  for (std::uint32_t const shorter : {1, 2}) {
    stage t({.max_sequences = 4, .max_batched_tokens = 64, .ageing = 0, .fairness = 1});
    for (std::uint64_t tag = 1; tag <= 4; ++tag)
      t.submit_all({{.tag = tag, .prompt = 4, .max_tokens = 40, .tenant = tag % 2 == 0 ? 2U : 1U}});
    t.submit_all({{.tag = 11, .prompt = shorter == 1 ? 9 : 10, .tenant = 1, .arrival = 1},
                  {.tag = 12, .prompt = shorter == 2 ? 9 : 10, .tenant = 2, .arrival = 1}});
    t.step_until([&] { return !t.ended.empty(); });
    step_plan const& plan = t.schedule();
    EXPECT_EQ(t.tags(plan), (shorter == 1 ? tags{11, 12} : tags{12, 11}));
    t.commit(plan);
    t.finish();
  }
}

// Who was alone is not made to wait for what he had then: who comes while nobody is here starts where the last one left.
TEST(scheduler_fairness, nobody_pays_for_having_been_alone) {
  stage t({.max_sequences = 1, .max_batched_tokens = 64, .ageing = 0, .fairness = 1});
  t.submit_all({{.tag = 1, .prompt = 8, .max_tokens = 493, .tenant = 1}});
  t.finish();
  for (std::uint64_t tag = 100; tag < 120; ++tag)  // 400 tokens
    t.submit_all({{.tag = tag, .prompt = 8, .max_tokens = 13, .tenant = 2}});
  t.submit_all({{.tag = 2, .prompt = 8, .max_tokens = 13, .tenant = 1}});
  t.finish();
  tags const ends = t.ended_tags();
  EXPECT_LE(std::find(ends.begin(), ends.end(), 2U) - ends.begin(), 2) << "of 21";
}

TEST(scheduler_fairness, many_tenants_come_and_go) {
  stage t({.max_sequences = 2, .max_batched_tokens = 40});
  for (std::uint32_t tenant = 0; tenant < 5000; ++tenant) {
    t.submit_all({{.tag = tenant, .prompt = 3, .max_tokens = 1, .tenant = tenant}});
    t.step();
  }
  EXPECT_EQ(t.ended.size(), 5000U);
}

// ---- Deadlines and cancellation

TEST(scheduler_deadline, ends_what_waits_and_what_runs) {
  stage t({.max_sequences = 1, .max_batched_tokens = 16});
  t.submit_all({{.tag = 1, .max_tokens = 100, .deadline = 2}, {.tag = 2, .deadline = 1}, {.tag = 3, .max_tokens = 2}});
  t.step(0);
  t.step(0.5);
  EXPECT_EQ(t.s.next_event(0.5), 1);
  t.step(1);  // exactly then
  ASSERT_EQ(t.ended_tags(), (tags{2}));
  EXPECT_EQ(t.ended[0].reason, sequence_end::deadline);
  t.step(2.5);
  ASSERT_EQ(t.ended_tags(), (tags{2, 1}));
  EXPECT_EQ(t.ended[1].reason, sequence_end::deadline);
  t.finish(3);
  EXPECT_EQ(t.ended[2].reason, sequence_end::length);
  EXPECT_EQ(t.pages.available(), t.pages.blocks());
}

TEST(scheduler_cancel, everywhere) {
  stage t({.max_sequences = 3, .max_batched_tokens = 16, .min_chunk = 4});
  t.submit_all({{.tag = 1, .max_tokens = 50},
                {.tag = 2, .prompt = 200},
                {.tag = 3, .n = 3},
                {.tag = 4, .max_tokens = 2},
                {.tag = 5, .max_tokens = 2}});
  for (int i = 0; i < 3; ++i) t.step();
  for (std::uint64_t const tag : {1, 2, 3, 5, 77}) t.s.cancel(tag);
  t.finish();
  int cancelled = 0;
  for (ended_sequence const& e : t.ended) cancelled += e.reason == sequence_end::cancelled;
  EXPECT_EQ(cancelled, 1 + 1 + 3 + 1);
  EXPECT_EQ(t.ended.size(), 7U);
  EXPECT_EQ(t.pages.open_sequences(), 0);
}

TEST(scheduler_cancel, a_tag_given_out_again_lives) {
  stage t({.max_sequences = 3, .max_batched_tokens = 16});
  t.submit_all({{.tag = 1, .max_tokens = 50}});
  t.step();
  t.s.cancel(1);
  t.submit_all({{.tag = 1, .max_tokens = 2}});
  t.finish();
  ASSERT_EQ(t.ended.size(), 2U);
  EXPECT_EQ(t.ended[0].reason, sequence_end::cancelled);
  EXPECT_EQ(t.ended[1].reason, sequence_end::length);
}

TEST(scheduler_cancel, between_a_plan_and_its_commit) {
  stage t({.max_sequences = 3, .max_batched_tokens = 16});
  t.submit_all({{.tag = 1, .max_tokens = 50}});
  t.step();
  step_plan const& plan = t.schedule();
  t.s.cancel(1);
  t.commit(plan);
  EXPECT_TRUE(t.ended.empty());
  EXPECT_TRUE(t.schedule().empty());
  EXPECT_EQ(t.ended.at(0).reason, sequence_end::cancelled);
  EXPECT_TRUE(t.s.idle());
}

// ---- Refusals

TEST(scheduler_submit, says_why_not) {
  stage t({.max_sequences = 4, .max_batched_tokens = 16, .max_length = 90, .max_waiting = 2}, 20);
  EXPECT_EQ(t.submit({.tag = 1, .prompt = 0}), refusal::empty_prompt);
  EXPECT_EQ(t.submit({.tag = 1, .max_tokens = 0}), refusal::bad_count);
  EXPECT_EQ(t.submit({.tag = 1, .n = 0}), refusal::bad_count);
  EXPECT_EQ(t.submit({.tag = 1, .n = 5}), refusal::bad_count);
  EXPECT_EQ(t.submit({.tag = 1, .prompt = 80, .max_tokens = 12}), refusal::too_long);
  EXPECT_EQ(t.submit({.tag = 1, .prompt = 8, .max_tokens = std::numeric_limits<int>::max()}), refusal::too_long);
  EXPECT_TRUE(t.s.idle());
  EXPECT_EQ(t.submit({.tag = 1, .prompt = 78, .max_tokens = 3}), refusal::none);  // 80 tokens: the pool, exactly
  EXPECT_EQ(t.submit({.tag = 2}), refusal::none);
  EXPECT_EQ(t.submit({.tag = 3}), refusal::queue_full);
  t.finish();
}

TEST(scheduler_submit, never_fits) {
  tenon::kv_blocks<> pages({.blocks = 20, .block_size = 4, .max_sequences = 2, .max_blocks_per_sequence = 100});
  scheduler          s({.max_sequences = 2}, pages);
  auto const         text = text_of(78);
  EXPECT_EQ(s.submit({.prompt = text, .max_tokens = 4}), refusal::never_fits);
  EXPECT_EQ(s.submit({.prompt = text, .max_tokens = 3}), refusal::none);
}

TEST(scheduler_commit, wants_an_id_for_each_draw) {
  stage t({.max_sequences = 2});
  t.submit_all({{.tag = 1}});
  static_cast<void>(t.schedule());
  EXPECT_THROW(t.s.commit({}, {}), std::invalid_argument);
}

TEST(scheduler_submit, a_clock_that_is_no_number) {
  stage t({.max_sequences = 2});
  t.submit_all({{.tag = 1, .arrival = std::numeric_limits<double>::quiet_NaN()},
                {.tag = 2, .deadline = std::numeric_limits<double>::quiet_NaN()}});
  t.finish();
  EXPECT_EQ(t.ended.size(), 2U);
}

}  // namespace
