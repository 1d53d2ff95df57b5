//  Pages: admission with room for growth, who is taken off, what it costs, several completions, shared prompts.
#include "schedule_stage.hpp"

namespace {

using namespace test;

TEST(scheduler_admission, leaves_room_for_growth) {
  // 20 pages of 4. Each prompt takes 4; a running one wants 8 tokens, 2 pages, to grow.
  stage t({.max_sequences = 16, .max_batched_tokens = 256, .growth_steps = 8}, 20);
  for (std::uint64_t tag = 1; tag <= 6; ++tag) t.submit_all({{.tag = tag, .prompt = 16, .max_tokens = 20}});
  // The third would leave 20 - 12 for 2 * 2, the fourth 20 - 16 for 3 * 2.
  EXPECT_EQ(t.step().parts.size(), 3U);
  t.finish();
}

TEST(scheduler_admission, fills_the_pool_without_it) {
  stage t({.max_sequences = 16, .max_batched_tokens = 256, .growth_steps = 0}, 20);
  for (std::uint64_t tag = 1; tag <= 6; ++tag) t.submit_all({{.tag = tag, .prompt = 16, .max_tokens = 4}});
  EXPECT_EQ(t.step().parts.size(), 5U);
  t.finish();
}

// One that waits for pages is not passed for ever by smaller ones.
TEST(scheduler_admission, nobody_passes_who_waits_for_pages) {
  stage t({.max_sequences = 16, .max_batched_tokens = 256, .order = prompt_order::arrival, .growth_steps = 0}, 20);
  t.submit_all({{.tag = 1, .prompt = 40, .max_tokens = 3},
                {.tag = 2, .prompt = 60, .max_tokens = 3},
                {.tag = 3, .prompt = 4, .max_tokens = 3}});
  EXPECT_EQ(t.tags(t.schedule()), (tags{1}));
  t.finish();
  EXPECT_EQ(t.ended_tags(), (tags{1, 2, 3}));
}

TEST(scheduler_admission, counts_cached_pages_as_there) {
  stage t({.max_sequences = 16, .max_batched_tokens = 256, .growth_steps = 0}, 20);
  t.submit_all({{.tag = 1, .prompt = 60, .max_tokens = 1, .text = 5}});
  t.step();  // ended: its pages are idle, and known
  t.submit_all({{.tag = 2, .prompt = 76, .max_tokens = 1, .text = 5}});
  step_plan const plan = t.step();
  EXPECT_EQ(plan.parts.at(0).first, 60);
  EXPECT_EQ(t.s.counts().cached_tokens, 60);
}

// A refused admission changes nothing: what is cached stays so, although the idle pages would do for the prompt alone.
TEST(scheduler_admission, a_refusal_evicts_nothing) {
  stage t({.max_sequences = 8, .max_batched_tokens = 256, .order = prompt_order::arrival, .growth_steps = 8}, 20);
  t.submit_all(
      {{.tag = 1, .prompt = 36, .max_tokens = 1, .text = 5}, {.tag = 2, .prompt = 24, .max_tokens = 1, .text = 900}});
  t.finish();  // 15 pages are cached, 5 are free
  t.submit_all({{.tag = 3, .prompt = 5, .max_tokens = 30}});
  t.step();
  auto const cached    = [&](int tokens, int text) { return t.pages.match(text_of(tokens, text)); };
  auto const evictions = t.pages.metrics().evictions;
  auto const queried   = t.pages.metrics().queried_tokens;
  // 18 pages are there. It needs 17 and finds 9 of them, which are among the 18; 2 must be left for who runs.
  t.submit_all({{.tag = 4, .prompt = 68, .max_tokens = 2, .text = 5}});
  step_plan const& plan = t.schedule();
  EXPECT_EQ(t.tags(plan), (tags{3}));
  EXPECT_EQ(cached(36, 5), 36);
  EXPECT_EQ(cached(24, 900), 24);
  EXPECT_EQ(t.pages.metrics().evictions, evictions);
  EXPECT_EQ(t.pages.metrics().queried_tokens, queried);
  EXPECT_EQ(t.pages.available(), 18);
  t.commit(plan);
  t.finish();
  EXPECT_EQ(t.ended_tags().back(), 4U);
}

// Pages that somebody else owns are not taken twice: with a common beginning two fit where they would not side by side.
TEST(scheduler_admission, shared_pages_count_once) {
  stage t({.max_sequences = 8, .max_batched_tokens = 256, .growth_steps = 0}, 20);
  t.submit_all({{.tag = 1, .prompt = 60, .max_tokens = 9, .text = 5}});
  t.step();  // 15 pages
  t.submit_all({{.tag = 2, .prompt = 76, .max_tokens = 1, .text = 5}});
  EXPECT_EQ(t.step().parts.size(), 2U);  // 4 more
  t.finish();
}

// Who was refused is asked again when there are more pages, not only when nobody runs any more.
TEST(scheduler_admission, is_tried_again_with_every_page_that_comes_free) {
  stage t({.max_sequences = 8, .max_batched_tokens = 256, .order = prompt_order::arrival, .growth_steps = 0}, 20);
  t.submit_all({{.tag = 1, .prompt = 4, .max_tokens = 30},
                {.tag = 2, .prompt = 24, .max_tokens = 5},
                {.tag = 3, .prompt = 48, .max_tokens = 2}});
  t.step_until([&] { return t.has_ended(2); });
  EXPECT_EQ(t.running(), (tags{1}));
  EXPECT_EQ(t.tags(t.schedule()), (tags{1, 3}));
  t.finish();
}

/// Three that decode; the first of 1 to `run` in rank will want a page of a full pool.
schedule_options decoding(int max_preemptions = 3) {
  return {.max_sequences      = 4,
          .max_batched_tokens = 64,
          .order              = prompt_order::arrival,
          .growth_steps       = 0,
          .max_preemptions    = max_preemptions};
}

// The lowest class, although it is the oldest and 2 would lose less: 2 has 9 tokens in 3 pages when 3 needs one, 1 has 12.
TEST(scheduler_preemption, takes_off_the_lowest_class) {
  stage t(decoding(), 9, 4, {}, false);
  t.submit_all({{.tag = 1, .prompt = 11, .max_tokens = 20, .priority = 0},
                {.tag = 2, .prompt = 8, .max_tokens = 20, .priority = 1},
                {.tag = 3, .prompt = 11, .max_tokens = 20, .priority = 2}});
  t.step_until([&] { return t.s.counts().preemptions > 0; });
  EXPECT_EQ(t.taken_off, (tags{1}));
  t.finish();
  EXPECT_EQ(t.ended_tags().front(), 3U);
}

// Without a prefix cache all that was computed is lost: the one with the least per page goes.
TEST(scheduler_preemption, takes_off_who_loses_least) {
  stage t({.max_sequences = 4, .max_batched_tokens = 64, .order = prompt_order::arrival, .growth_steps = 0}, 14, 4, {},
          false);
  t.submit_all({{.tag = 1, .prompt = 8, .max_tokens = 40},
                {.tag = 2, .prompt = 9, .max_tokens = 20},
                {.tag = 3, .prompt = 11, .max_tokens = 20}});
  // When 1 needs a page, 2 has 17 tokens in 5 pages and 3 has 19: 2 goes although 3 is younger.
  t.step_until([&] { return t.s.counts().preemptions > 0; });
  step_plan const& plan = t.schedule();
  EXPECT_EQ(t.tags(plan), (tags{1, 3}));
  t.commit(plan);
  t.finish();
}

TEST(scheduler_preemption, cached_tokens_are_not_lost) {
  std::int64_t again[2];
  for (bool const cache : {false, true}) {
    stage t({.max_sequences = 4, .max_batched_tokens = 64, .growth_steps = 0}, 14, 4, {}, cache);
    for (std::uint64_t tag = 1; tag <= 3; ++tag) t.submit_all({{.tag = tag, .prompt = 8, .max_tokens = 24}});
    t.finish();
    EXPECT_GT(t.s.counts().preemptions, 0);
    EXPECT_EQ(t.ended.size(), 3U);
    again[cache] = t.s.counts().recomputed_tokens;
  }
  EXPECT_GT(again[1], 0);  // the page that was not full, and what was evicted
  EXPECT_LT(again[1], again[0]);
}

TEST(scheduler_preemption, the_oldest_of_the_highest_class_never_stops) {
  stage t({.max_sequences      = 8,
           .max_batched_tokens = 64,
           .order              = prompt_order::arrival,
           .growth_steps       = 0,
           .max_preemptions    = 0},
          16, 4, {}, false);
  for (std::uint64_t tag = 1; tag <= 8; ++tag)
    t.submit_all({{.tag = tag, .prompt = 8, .max_tokens = 50, .priority = tag == 5}});
  std::uint64_t first = 0;
  int           gaps  = 0;
  for (int i = 0; i < 5000 && !t.s.idle(); ++i) {
    step_plan const& plan = t.schedule();
    tags const       fed  = t.tags(plan);
    gaps += first == 5 && std::find(fed.begin(), fed.end(), 5U) == fed.end() && t.ended_tags().empty();
    if (std::find(fed.begin(), fed.end(), 5U) != fed.end()) first = 5;
    t.commit(plan);
  }
  EXPECT_EQ(gaps, 0);
  EXPECT_EQ(t.ended.size(), 8U);
  EXPECT_EQ(t.ended_tags().front(), 5U);
  EXPECT_GT(t.s.counts().preemptions, 0);
}

// 3 is of the lowest class, so it is taken off at the first shortage, and at the second, too, unless once was enough.
TEST(scheduler_preemption, max_preemptions_spares) {
  for (int const limit : {1, 1000}) {
    stage t(decoding(limit), 15, 4, {}, false);
    t.submit_all({{.tag = 1, .max_tokens = 28, .priority = 2},
                  {.tag = 2, .max_tokens = 20, .priority = 1},
                  {.tag = 3, .max_tokens = 20},
                  {.tag = 4, .max_tokens = 9, .priority = 2}});
    t.finish();
    EXPECT_EQ(t.taken_off, (limit == 1 ? tags{3, 2} : tags{3, 3}));
  }
}

// Nobody of a higher class goes for 3, although 3 was taken off often enough: then it is off itself.
TEST(scheduler_preemption, never_takes_off_a_higher_class) {
  stage t(decoding(1), 13, 4, {}, false);
  t.submit_all({{.tag = 1, .max_tokens = 28, .priority = 1},
                {.tag = 2, .prompt = 5, .max_tokens = 20, .priority = 1},
                {.tag = 3, .prompt = 5, .max_tokens = 20},
                {.tag = 4, .max_tokens = 9, .priority = 1}});
  t.finish();
  EXPECT_EQ(t.taken_off, (tags{3, 3, 3}));
}

// vLLM#54644's measure, in small: pages for half of what the rows would need at full length. The estimate of growth is what
// keeps work from being lost.
TEST(scheduler_preemption, an_estimate_of_growth_saves_work) {
  double lost[2];
  for (int const growth : {0, schedule_options{}.growth_steps}) {
    stage t({.max_sequences = 16, .max_batched_tokens = 128, .growth_steps = growth}, 16 * 20 / 2, 16);
    for (int i = 1; i <= 200; ++i)
      t.submit_all(
          {{.tag = static_cast<std::uint64_t>(i), .prompt = 40 + i * 37 % 240, .max_tokens = 20 + i * 53 % 280}});
    t.finish();
    auto const& c = t.s.counts();
    lost[growth > 0] =
        static_cast<double>(c.recomputed_tokens) / static_cast<double>(c.prompt_tokens + c.decode_tokens);
  }
  EXPECT_LE(lost[1], 0.06);
  EXPECT_GT(lost[0], 2 * lost[1]);
}

// ---- Several completions

TEST(scheduler_fork, completions_share_their_prompt) {
  stage t({.max_sequences = 8, .max_batched_tokens = 64});
  t.submit_all({{.tag = 1, .prompt = 10, .max_tokens = 6, .n = 4}});
  step_plan plan = t.step();
  ASSERT_EQ(plan.parts.size(), 1U);
  EXPECT_EQ(plan.parts[0].draws, 4);
  EXPECT_EQ(t.pages.open_sequences(), 4);
  EXPECT_EQ(t.pages.blocks() - t.pages.available(), 3);
  plan = t.schedule();
  EXPECT_EQ(plan.decodes, 4);
  EXPECT_EQ(t.pages.copies().size(), 3U);  // the last one to write needs none
  std::vector<int> which;
  for (planned const& p : plan.parts) {
    which.push_back(t.s.completion(p.sequence));
    EXPECT_EQ(t.s.tokens(p.sequence).size(), 11U);
    EXPECT_EQ(t.s.block_table(p.sequence).size(), 3U);
  }
  EXPECT_EQ(which, (std::vector{0, 1, 2, 3}));
  t.commit(plan);
  EXPECT_TRUE(t.pages.copies().empty());
  t.finish();
  EXPECT_EQ(t.s.counts().prompt_tokens, 10);
  ASSERT_EQ(t.ended.size(), 4U);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(t.ended[static_cast<std::size_t>(i)].completion, i);
}

TEST(scheduler_fork, rows_of_all_completions_are_kept) {
  stage t({.max_sequences = 4, .max_batched_tokens = 64, .order = prompt_order::arrival});
  t.submit_all({{.tag = 1, .n = 3}, {.tag = 2, .n = 2}, {.tag = 3}});
  EXPECT_EQ(t.tags(t.schedule()), (tags{1}));  // 2 does not fit beside it, and is not passed
  t.finish();
  EXPECT_EQ(t.ended.size(), 6U);
}

TEST(scheduler_fork, first_ids_may_end_it) {
  stage t({.max_sequences = 4, .max_batched_tokens = 64});
  t.submit_all({{.tag = 1, .max_tokens = 1, .n = 4}});
  t.step();
  EXPECT_EQ(t.ended.size(), 4U);
  t.submit_all({{.tag = 2, .max_tokens = 9, .n = 3}});
  step_plan const&                plan = t.schedule();
  std::vector<std::int32_t> const ids(3, 5);
  std::vector<std::uint8_t> const stops{1, 0, 1};
  ASSERT_EQ(plan.draws, 3);
  t.s.commit(ids, stops);
  EXPECT_EQ(t.s.ended().size(), 2U);
  EXPECT_EQ(t.schedule().decodes, 1);
  t.finish();
  EXPECT_EQ(t.ended.size(), 7U);
}

// In a pool for one completion the others are taken off and computed again, each alone.
TEST(scheduler_fork, in_the_smallest_pool) {
  stage t({.max_sequences = 4, .max_batched_tokens = 64, .max_preemptions = 1}, 5);
  t.submit_all({{.tag = 1, .prompt = 10, .max_tokens = 11, .n = 4}});
  t.finish();
  EXPECT_EQ(t.ended.size(), 4U);
  EXPECT_GT(t.s.counts().preemptions, 0);
}

// ---- Shared prompts

// 64 requests with one prompt of 200 tokens: its 12 full pages of 16 are computed once, the rest of it by each.
TEST(scheduler_shared, one_prompt_for_64_is_computed_once) {
  stage t({.max_sequences = 64, .max_batched_tokens = 512, .max_partial = 64}, 4000, 16);
  for (std::uint64_t tag = 1; tag <= 64; ++tag) t.submit_all({{.tag = tag, .prompt = 200, .max_tokens = 8, .text = 3}});
  t.finish();
  EXPECT_LE(t.s.counts().prompt_tokens, 200 + 63 * 8);
  EXPECT_GE(t.s.counts().prompt_tokens, 200 + 63);
  EXPECT_GE(t.s.counts().cached_tokens, 63 * 192);
}

// A common beginning, computed in chunks: the others wait for that, not for the whole.
TEST(scheduler_shared, one_beginning_is_computed_once) {
  stage t({.max_sequences = 64, .max_batched_tokens = 64, .order = prompt_order::arrival, .max_partial = 64}, 4000, 16);
  auto const common = text_of(96);
  for (int i = 0; i < 8; ++i) {
    auto text = common;
    for (int k = 0; k < 100; ++k) text.push_back(1000 * (i + 1) + k);
    ASSERT_EQ(t.s.submit({.tag = static_cast<std::uint64_t>(i), .prompt = text, .max_tokens = 2}), refusal::none);
  }
  t.finish();
  EXPECT_EQ(t.s.counts().prompt_tokens, 96 + 8 * 100);
}

// Without a cache there is nothing to wait for.
TEST(scheduler_shared, nobody_waits_without_a_cache) {
  stage t({.max_sequences = 64, .max_batched_tokens = 512, .max_partial = 64}, 4000, 16, {}, false);
  for (std::uint64_t tag = 1; tag <= 64; ++tag)
    t.submit_all({{.tag = tag, .prompt = 200, .max_tokens = 40, .text = 3}});
  int steps = 0;
  for (; t.s.counts().waiting > 0 && steps < 1000; ++steps) t.step();
  EXPECT_EQ(t.s.counts().prompt_tokens, 64 * 200);
  EXPECT_LE(steps, 40);  // 25 steps of 512, some of it decodes
}

// Other salts, other pages: nobody waits for a stranger's.
TEST(scheduler_shared, salts_do_not_share) {
  stage      t({.max_sequences = 8, .max_batched_tokens = 512}, 4000, 16);
  auto const text = text_of(64);
  for (std::uint64_t salt = 0; salt < 4; ++salt)
    ASSERT_EQ(t.s.submit({.tag = salt, .prompt = text, .max_tokens = 2, .salt = salt}), refusal::none);
  EXPECT_EQ(t.step().parts.size(), 4U);
  t.finish();
  EXPECT_EQ(t.s.counts().cached_tokens, 0);
}

// Somebody of a lower class computes the same beginning: whoever is above him does not wait for him.
TEST(scheduler_shared, nobody_waits_for_a_lower_class) {
  for (int const priority : {0, 1}) {
    stage t({.max_sequences = 8, .max_batched_tokens = 16}, 4000, 4);
    t.submit_all({{.tag = 1, .prompt = 200, .max_tokens = 2, .text = 3}});
    t.step();
    t.submit_all({{.tag = 2, .prompt = 200, .max_tokens = 2, .priority = priority, .text = 3}});
    EXPECT_EQ(t.tags(t.schedule()), (priority == 0 ? tags{1} : tags{2}));
    t.finish();
  }
}

// The one whose prompt the others wait for is cancelled: another computes it.
TEST(scheduler_shared, a_twin_that_goes_away) {
  stage t({.max_sequences = 64, .max_batched_tokens = 32}, 4000, 16);
  for (std::uint64_t tag = 1; tag <= 5; ++tag) t.submit_all({{.tag = tag, .prompt = 320, .max_tokens = 2, .text = 3}});
  t.step();
  t.step();
  t.s.cancel(1);
  t.finish();
  EXPECT_EQ(t.ended.size(), 5U);
  EXPECT_LE(t.s.counts().prompt_tokens, 320 + 5 * 17);
}

}  // namespace
