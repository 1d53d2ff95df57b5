//  The simulator against times worked out by hand and by queueing theory; then the properties of every simulation.
#include <engine/schedule/simulator.hpp>

#include <gtest/gtest.h>

#include <algorithm>

namespace {

using namespace tenon::engine;

simulation_options small(int max_sequences = 8, int max_batched_tokens = 512) {
  simulation_options o;
  o.schedule.max_sequences = max_sequences, o.schedule.max_batched_tokens = max_batched_tokens;
  o.kv_blocks = 1 << 14;
  o.cost.step = 1;
  return o;
}

TEST(simulator, one_request) {
  simulation_result const r = simulate(workload{lone_request(2, 100, 3, 0)}, small());
  EXPECT_EQ(r.times.at(0).tokens, (std::vector<double>{3, 4, 5}));
  EXPECT_EQ(r.times[0].arrival, 2);
  EXPECT_EQ(r.times[0].prompt_tokens, 100);
  EXPECT_EQ(r.busy, 3);
  EXPECT_EQ(r.counts.prompt_tokens, 100);
  EXPECT_EQ(r.counts.decode_tokens, 2);
}

TEST(simulator, a_long_prompt_takes_several_steps) {
  EXPECT_EQ(simulate(workload{lone_request(0, 1200, 1, 0)}, small()).times.at(0).tokens, std::vector<double>{3});
}

TEST(simulator, steps_cost_what_the_model_says) {
  simulation_options o      = small();
  o.cost                    = {.step = 1, .token = 2, .sequence = 100, .row = 1000, .key = .25, .pair = .125};
  simulation_result const r = simulate(workload{lone_request(0, 4, 2, 0)}, o);
  // The prompt: 4 tokens, one row, 4 keys, 1 + 2 + 3 + 4 pairs. Then one token, one row, 5 keys, 5 pairs.
  double const first = 1 + 8 + 100 + 1000 + 1 + 1.25, second = 1 + 2 + 100 + 1000 + 1.25 + .625;
  EXPECT_EQ(r.times.at(0).tokens, (std::vector<double>{first, first + second}));
}

// Pollaczek and Khinchine: one server that takes s for each, Poisson arrivals at rho / s: the mean time in the system is
// s + rho * s / (2 (1 - rho)).
TEST(simulator, is_an_m_d_1_queue) {
  for (double const rho : {.5, .8}) {
    workload requests = draw_requests({.requests = 40000, .prompt = {1, 0}, .output = {1, 0}});
    draw_arrivals(requests, {.rate = rho, .seed = 11});
    simulation_result const r    = simulate(requests, small(1));
    double const            mean = summarize(r.times).ttft.mean;
    EXPECT_NEAR(mean, 1 + rho / (2 * (1 - rho)), rho == .5 ? .05 : .2);
  }
}

TEST(simulator, shared_prefixes_are_computed_once) {
  workload const     requests = draw_requests({.requests = 64, .prompt = {8, 0}, .output = {2, 0}, .prefix = 208});
  simulation_options o        = small(64);
  simulation_result  r        = simulate(requests, o);
  EXPECT_EQ(r.counts.prompt_tokens, 208 + 64 * 8);
  EXPECT_EQ(r.counts.cached_tokens, 63 * 208);
  o.prefix_cache = false;
  EXPECT_EQ(simulate(requests, o).counts.prompt_tokens, 64 * 216);
}

TEST(simulator, what_does_not_fit_is_refused) {
  simulation_options o  = small();
  o.schedule.max_length = 100;
  simulation_result const r =
      simulate(workload{lone_request(0, 101, 1, 0), lone_request(0, 10, 1, 1), lone_request(0, 99, 50, 2)}, o);
  EXPECT_EQ(r.refused, 2);
  EXPECT_EQ(summarize(r.times).completed, 1);
  EXPECT_EQ(summarize(r.times).failed, 2);
}

// Where prompts go first, a sequence that decodes stands still in some steps, in the middle of a page.
TEST(simulator, slots_without_a_token) {
  simulation_options o    = small();
  o.schedule.decode_first = false;
  o.kv_blocks             = 10;
  simulation_result const r =
      simulate(workload{lone_request(0, 16, 25, 0), lone_request(8.5, 16, 1, 1), lone_request(8.5, 32, 1, 2)}, o);
  ASSERT_EQ(r.times.at(1).tokens, std::vector<double>{10});
  // The first step fills a page, 8 decode with 15 to 8 slots left, the prompts' step leaves it at that, 16 decode with 7
  // to 0 left and then again 15 to 8.
  double const left = (8 + 15) * 4 + 8 + (7 + 0) * 4 + (15 + 8) * 4;
  EXPECT_EQ(r.counts.steps, 26);
  EXPECT_NEAR(r.wasted, left / 160 / 26, 1e-12);
  EXPECT_NEAR(r.used, (1 + 16 * 2 + 5 + 8 * 3) / 10. / 26, 1e-12);
}

TEST(simulator, what_comes_late) {
  double const late = 1e17;  // milliseconds do not fit 64 bits
  workload     requests{lone_request(0, 1, 1, 0), lone_request(late, 1, 2, 1)};
  auto         o = small();
  o.cost.step    = 1024;
  EXPECT_EQ(simulate(requests, o).times.at(1).tokens, (std::vector<double>{late + 1024, late + 2048}));
}

TEST(simulator, nothing_to_do) {
  simulation_result const r = simulate({}, small());
  EXPECT_EQ(r.counts.steps, 0);
  EXPECT_TRUE(r.timeline.empty());
}

struct mode {
  char const*      name;
  schedule_options schedule;
  int              blocks;
};

class every_simulation : public testing::TestWithParam<mode> {};

schedule_options with(auto const& change) {
  schedule_options o{.max_sequences = 32, .max_batched_tokens = 512};
  change(o);
  return o;
}

INSTANTIATE_TEST_SUITE_P(modes, every_simulation,
                         testing::Values(mode{"continuous", with([](auto&) {}), 4096},
                                         mode{"few_pages", with([](auto& o) { o.growth_steps = 0; }), 80},
                                         mode{"arrival", with([](auto& o) { o.order = prompt_order::arrival; }), 4096},
                                         mode{"prefill_first",
                                              with([](auto& o) { o.decode_first = o.chunked_prefill = false; }), 4096},
                                         mode{"target", with([](auto& o) { o.itl_target = .01; }), 4096},
                                         mode{"fixed", with([](auto& o) { o.mode = batching::fixed; }), 4096},
                                         mode{"dynamic", with([](auto& o) { o.mode = batching::dynamic; }), 4096}),
                         [](auto const& one) { return std::string(one.param.name); });

TEST_P(every_simulation, keeps_its_promises) {
  workload requests =
      draw_requests({.requests = 400, .prompt = {200, 150}, .output = {40, 30}, .prefix = 20, .seed = 2});
  draw_arrivals(requests, {.rate = 30, .seed = 2});
  simulation_options o;
  o.schedule = GetParam().schedule, o.kv_blocks = GetParam().blocks;
  o.cost = {.step = 1e-3, .weights = 3e-3, .token = 2e-5}, o.samples = 64;
  simulation_result const r = simulate(requests, o);

  // Every request gets its tokens, one after the other and none before it came.
  ASSERT_EQ(r.times.size(), requests.size());
  EXPECT_EQ(r.refused, 0);
  std::int64_t prompt = 0, output = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto const& t = r.times[i].tokens;
    ASSERT_EQ(t.size(), static_cast<std::size_t>(requests[i].output_tokens)) << i;
    EXPECT_GT(t.front(), requests[i].arrival) << i;
    EXPECT_TRUE(std::is_sorted(t.begin(), t.end(), std::less_equal<>{})) << i;  // strictly
    prompt += requests[i].prompt_tokens, output += requests[i].output_tokens;
  }
  // What was computed is what was asked for, less what was found, plus what was computed again.
  EXPECT_EQ(r.counts.prompt_tokens + r.counts.decode_tokens + r.counts.cached_tokens,
            prompt + output - std::ssize(requests) + r.counts.recomputed_tokens);
  EXPECT_EQ(GetParam().blocks == 80, r.counts.preemptions > 0);

  // The timeline.
  EXPECT_LE(r.timeline.size(), 64u);
  EXPECT_GE(r.timeline.size(), 24u);
  for (auto const& s : r.timeline) {
    EXPECT_GE(s.used, 0);
    EXPECT_LE(s.used, r.peak);
    EXPECT_GT(s.seconds, 0);
  }
  EXPECT_LE(r.peak, 1);
  EXPECT_GT(r.used, r.wasted);
  EXPECT_GT(r.wasted, 0);

  // The same again is the same again.
  EXPECT_EQ(simulate(requests, o).times.back().tokens, r.times.back().tokens);
}

}  // namespace
