#include "engine/schedule/cost_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "engine/error.hpp"

namespace {

using namespace tenon::engine;

/// Steps of decodes, prompts and both, as a scheduler makes them; `noise`: relative.
std::vector<measured_step> steps_of(cost_model const& model, int count, double noise, unsigned seed) {
  std::mt19937                     random(seed);
  std::normal_distribution<double> error(0, 1);
  auto const                       upto = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::vector<measured_step>       steps;
  for (int i = 0; i < count; ++i) {
    step_load load;
    if (upto(4) != 0)
      for (int d = 1 + upto(256); d > 0; --d) load.add(upto(4096), 1, 1);
    if (upto(2) != 0 || load.tokens == 0)
      for (int p = 1 + upto(4); p > 0; --p) load.add(upto(8192), 1 + upto(2048), upto(2));
    steps.push_back({load, model.seconds(load) * (1 + noise * error(random))});
  }
  return steps;
}

// On a CPU there is no knee: a token costs from the first on.
cost_model const on_a_cpu{.step = 2e-3, .token = 4e-3, .sequence = 1e-4, .row = 5e-4, .key = 2e-7, .pair = 1e-7};
cost_model const no_attention{.step = 1e-4, .weights = 4e-3, .token = 2e-5};

struct known : testing::TestWithParam<cost_model> {};
INSTANTIATE_TEST_SUITE_P(models, known,
                         testing::Values(named_cost_model("llama-8b-bf16-h200"), named_cost_model("llama-1b-bf16-h200"),
                                         on_a_cpu, no_attention));

TEST_P(known, a_fit_to_exact_steps_predicts_others) {
  auto const model = fit_cost_model(steps_of(GetParam(), 400, 0, 1));
  auto const error = error_of(model, steps_of(GetParam(), 200, 0, 2));
  EXPECT_LT(error.mean, 2e-3);
  EXPECT_LT(error.worst, 2e-2);
}

TEST_P(known, a_fit_to_noisy_steps_predicts_within_the_noise) {
  auto const model = fit_cost_model(steps_of(GetParam(), 2000, 0.05, 3));
  auto const error = error_of(model, steps_of(GetParam(), 500, 0, 4));
  EXPECT_LT(error.mean, 0.01);
  EXPECT_LT(error.worst, 0.05);
}

TEST_P(known, a_fit_has_no_negative_term) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    auto const m = fit_cost_model(steps_of(GetParam(), 12, 0.3, seed));
    for (double const term : {m.step, m.weights, m.token, m.sequence, m.row, m.key, m.pair}) EXPECT_GE(term, 0);
  }
}

TEST(fit_cost_model, finds_the_terms) {
  cost_model const model{.step = 1e-4, .weights = 3e-3, .token = 2e-5, .key = 3e-8, .pair = 8e-10};
  auto const       found = fit_cost_model(steps_of(model, 1000, 0, 5));
  EXPECT_NEAR(found.weights + found.step, model.weights + model.step, 0.02 * model.weights);
  EXPECT_NEAR(found.token, model.token, 0.02 * model.token);
  EXPECT_NEAR(found.key, model.key, 0.02 * model.key);
  EXPECT_NEAR(found.pair, model.pair, 0.02 * model.pair);
}

TEST(fit_cost_model, takes_few_steps_and_none) {
  EXPECT_EQ(fit_cost_model({}).seconds({.tokens = 5}), 0);
  measured_step const one{{.tokens = 4, .sequences = 4, .rows = 4, .keys = 100, .pairs = 100}, 0.5};
  EXPECT_NEAR(fit_cost_model({&one, 1}).seconds(one.load), 0.5, 1e-9);
  std::vector<measured_step> const timeless(3, {{.tokens = 4}, 0});  // a clock too coarse
  EXPECT_EQ(fit_cost_model(timeless).seconds({.tokens = 5}), 0);
}

TEST_P(known, the_budget_is_the_largest_that_fits) {
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    step_load load;
    for (auto d = random() % 100; d > 0; --d) load.add(static_cast<std::int64_t>(random() % 4000), 1, 1);
    auto const   first  = static_cast<std::int64_t>(random() % 5000);
    double const target = GetParam().seconds(load) * (0.8 + 0.001 * static_cast<double>(random() % 2000));
    auto const   n      = prompt_tokens_within(GetParam(), load, first, 4096, target);
    auto const   with   = [&](std::int64_t count) {
      step_load l = load;
      l.add(first, count, 1);
      return GetParam().seconds(l);
    };
    if (n > 0) {
      EXPECT_LE(with(n), target);
    }
    if (n < 4096) {
      EXPECT_GT(with(n + 1), target);
    }
  }
}

TEST_P(known, the_budget_is_monotone) {
  step_load load;
  for (int d = 0; d < 32; ++d) load.add(1000, 1, 1);
  std::int64_t before = 0;
  for (double target = 0; target < 1; target += 1e-3) {  // more time, more tokens
    auto const n = prompt_tokens_within(GetParam(), load, 0, 100000, target);
    EXPECT_GE(n, before);
    before = n;
  }
  before = 100000;
  for (std::int64_t first = 0; first < 100000; first += 1000) {  // further back, fewer tokens
    auto const n = prompt_tokens_within(GetParam(), load, first, 100000, 0.02);
    EXPECT_LE(n, before);
    before = n;
  }
  EXPECT_EQ(prompt_tokens_within(GetParam(), load, 0, 0, 1), 0);
  EXPECT_EQ(prompt_tokens_within(GetParam(), load, 0, -3, 1), 0);
}

TEST(cost_model, a_prompt_in_chunks_is_the_same_work) {
  step_load whole, chunks;
  whole.add(0, 1000, 1);
  for (int first = 0; first < 1000; first += 250) chunks.add(first, 250, first == 750);
  EXPECT_EQ(whole.pairs, chunks.pairs);
  EXPECT_EQ(whole.tokens, chunks.tokens);
  EXPECT_EQ(whole.rows, chunks.rows);
}

TEST(cost_model, names) {
  auto const m = named_cost_model("llama-8b-bf16-h200");  // engine.md 4.0: 0.10 ms + 15.009 GB at 4.3 TB/s
  EXPECT_NEAR(m.seconds({.tokens = 1, .sequences = 1, .rows = 1}), 1e-4 + 15.009e9 / 4.3e12, 1e-9);
  try {
    static_cast<void>(named_cost_model("none"));
    FAIL();
  } catch (error const& e) {
    EXPECT_NE(std::string(e.what()).find("llama-8b-bf16-h200"), std::string::npos) << e.what();
  }
}

}  // namespace
