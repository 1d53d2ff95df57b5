//  The loop by itself: cancelling, a full queue, and pages that sliding windows have passed.
#include <engine/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "random_model.hpp"
#include "served_model.hpp"

namespace {

using namespace tenon::engine;
using test::served, test::served_model;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

/// Random ids; every other one is drawn at temperature 1.
request asked(std::size_t index, int prompt, int max_tokens, std::int64_t vocabulary = 2048) {
  request         r;
  std::mt19937_64 random(index + 1);
  r.index = index, r.max_tokens = max_tokens, r.ignore_eos = true;
  for (int i = 0; i < prompt; ++i)
    r.prompt_ids.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(vocabulary)));
  r.sampling.seed = index, r.sampling.temperature = index % 2 == 0 ? 0.f : 1.f;
  return r;
}

TEST(generator, cancels_what_runs_what_waits_and_what_was_asked_for_no_token) {
  served_model const m(demo);
  auto const         l = m.start([](generator_options& o) { o.schedule.max_sequences = 1; });
  for (std::size_t i = 0; i < 2; ++i) l.engine->add(asked(i, 4, 100));
  std::map<std::size_t, completion> done;
  auto const                        step = [&] {
    return l.engine->step([](std::size_t, std::string const&) {},
                          [&](completion&& c) { done[c.asked.index] = std::move(c); });
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(step());
  l.engine->add(asked(2, 4, 0));
  EXPECT_TRUE(done.empty());
  l.engine->cancel_all();
  step();
  ASSERT_EQ(done.size(), 3u);
  for (auto const& [index, c] : done) EXPECT_EQ(c.reason, finish::cancelled) << index;
  EXPECT_EQ(done[0].ids.size(), 3u);
  EXPECT_EQ(done[1].ids.size(), 0u);
  EXPECT_TRUE(l.engine->idle());
  EXPECT_EQ(l.engine->pages().metrics().owned_blocks, 0);

  l.engine->add(asked(3, 4, 2));  // what comes later has nothing to do with it
  while (!l.engine->idle()) step();
  EXPECT_EQ(done[3].reason, finish::length);
  EXPECT_EQ(done[3].ids.size(), 2u);
}

TEST(generator, a_full_queue) {
  served_model const m(demo);
  auto const         l = m.start([](generator_options& o) { o.schedule.max_waiting = 1; });
  l.engine->add(asked(0, 4, 1));
  try {
    l.engine->add(asked(1, 4, 1));
    FAIL();
  } catch (error const& e) {
    EXPECT_STREQ(e.what(), "prompt 1: too many requests wait: found 1, expected fewer than 1");
  }
}

// ---- Windows

/// Two layers with windows of so many tokens, none where 0.
std::unique_ptr<test::scratch_folder> windowed(int first, int second) {
  auto        folder = std::make_unique<test::scratch_folder>();
  test::model m({.name           = "windowed",
                 .model_type     = "mistral",
                 .heads          = 4,
                 .kv_heads       = 2,
                 .head_dim       = 8,
                 .intermediate   = 40,
                 .tied           = false,
                 .attention_bias = false,
                 .mlp_bias       = false,
                 .shards         = 1,
                 .window         = {first, second}});
  m.config_patch = {{"max_position_embeddings", 512}};
  m.save(*folder);
  return folder;
}

TEST(generator_windows, pages_go_where_every_layer_has_one) {  // 4096: Mistral's where the file says nothing
  struct layers {
    int first, second, window;
  };
  for (layers const l : {layers{8, 8, 8}, {8, 0, 0}, {0, 0, 4096}}) {
    auto const         folder = windowed(l.first, l.second);
    served_model const m(folder->path().string());
    m.start([&](generator_options& o) { EXPECT_EQ(o.window, l.window); });
  }
}

// Attention reads tiles of 64 keys at most, whole: what lies in front of the window's tile is gone, the tile is not.
TEST(generator_windows, what_is_left_is_the_windows_tile) {
  auto const         folder = windowed(8, 8);
  served_model const m(folder->path().string());
  auto const         l      = m.start();
  int const          prompt = 30, length = 300, page = 16, window = 8;
  l.engine->add(asked(0, prompt, length - prompt, test::vocabulary));
  for (int i = 0; i + 1 < length - prompt; ++i) {  // the last draw ends it
    l.engine->step([](std::size_t, std::string const&) {}, [](completion&&) {});
    int const first = i == 0 ? 0 : prompt + i - 1, end = prompt + i;  // tokens that the step fed
    int const passed = std::max(0, first + 1 - window) / 64 * 64;
    EXPECT_EQ(l.engine->pages().metrics().owned_blocks, (end + page - 1) / page - passed / page) << end;
    ASSERT_TRUE(l.engine->pages().audit().ok());
  }
}

TEST(generator_windows, serve_the_same_tokens_from_fewer_pages) {
  auto const           folder = windowed(8, 8);
  served_model const   m(folder->path().string());
  std::vector<request> requests;
  for (std::size_t i = 0; i < 6; ++i)
    requests.push_back(asked(i, 80 + 14 * static_cast<int>(i), 100, test::vocabulary));
  requests[2].n   = 2;  // a prompt that has passed its first pages is forked
  auto const with = [&](int window, bool cache, std::int64_t pages) {
    return m.serve(
        requests, [&](generator_options& o) { o.window = window, o.prefix_caching = cache; }, pages);
  };
  served const all = with(0, true, 0);
  ASSERT_EQ(all.ids.size(), 7u);
  EXPECT_EQ(all.counts.preemptions, 0);
  constexpr std::int64_t few = 64;  // at full length they are 91
  for (bool const cache : {true, false}) {
    served const kept = with(0, cache, few), passed = with(8, cache, few);
    EXPECT_EQ(kept.ids, all.ids);
    EXPECT_EQ(passed.ids, all.ids);
    EXPECT_GT(kept.counts.preemptions, 0) << "the pool should have been too small";
    EXPECT_EQ(passed.counts.preemptions, 0);
  }
  EXPECT_EQ(with(8, true, 20).ids, all.ids);  // taken off, too
}

}  // namespace
