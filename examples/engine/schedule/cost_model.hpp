#pragma once
//  How long a step takes, as a sum that a fit can find: what the scheduler sizes prompts by and the simulator counts in.
//
//    seconds = step + max(weights, token * tokens) + sequence * sequences + row * rows + key * keys + pair * pairs
//
//  weights: reading them once, however few tokens there are; pair: one query against one key.
#include <cstdint>
#include <span>
#include <string>

namespace tenon::engine {

/// What a step of the model does.
struct step_load {
  std::int64_t tokens    = 0;  // fed, padding included
  std::int64_t sequences = 0;
  std::int64_t rows      = 0;  // logit rows
  std::int64_t keys      = 0;  // sum over sequences of the keys in its cache after the step
  std::int64_t pairs     = 0;  // sum over tokens of the keys that each sees (causal)

  /// Adds `count` tokens of a sequence that has `first` already; `draws` logit rows.
  constexpr void add(std::int64_t first, std::int64_t count, std::int64_t draws) {
    tokens += count, sequences += 1, rows += draws, keys += first + count;
    pairs += count * first + count * (count + 1) / 2;
  }
  friend constexpr bool operator==(step_load const&, step_load const&) = default;
};

/// Seconds for each unit of a load. All >= 0.
struct cost_model {
  double step = 0, weights = 0, token = 0, sequence = 0, row = 0, key = 0, pair = 0;

  constexpr double seconds(step_load const& l) const {
    double const products = token * static_cast<double>(l.tokens);
    return step + (products > weights ? products : weights) + sequence * static_cast<double>(l.sequences) +
           row * static_cast<double>(l.rows) + key * static_cast<double>(l.keys) + pair * static_cast<double>(l.pairs);
  }
};

/// Most tokens of a prompt, `first` of it already cached, that may join `load` so that the step stays within `target`
/// seconds; at most `limit`, 0 where not even one fits. Monotone bisection: O(log limit).
[[nodiscard]] std::int64_t prompt_tokens_within(cost_model const& model, step_load const& load, std::int64_t first,
                                                std::int64_t limit, double target);

/// A measured step.
struct measured_step {
  step_load load;
  double    seconds = 0;
};

/// The model with the least sum of squared relative errors over `steps`, all terms >= 0.
[[nodiscard]] cost_model fit_cost_model(std::span<measured_step const> steps);

/// Relative error of the model's prediction at each step: mean of magnitudes, and the largest.
struct fit_error {
  double mean = 0, worst = 0;
};
[[nodiscard]] fit_error error_of(cost_model const& model, std::span<measured_step const> steps);

/// Shape and speed of a model on a device, for steps that nobody measured yet: weights at `weight_bytes / bandwidth`,
/// 2 * parameters operations per token at `flops`, keys at `kv_bytes` per token of context.
struct roofline {
  double overhead = 1e-4, weight_bytes = 0, parameters = 0, kv_bytes = 0, bandwidth = 0, flops = 0;
  double pair_flops = 0;  // of one query against one key, all layers and heads
  double memory     = 0;  // bytes of the device
};
[[nodiscard]] cost_model cost_of(roofline const& r);

/// Built-in models by name ("llama-8b-bf16-h200", ...); throws `error` with the known names otherwise.
[[nodiscard]] roofline   named_roofline(std::string const& name);
[[nodiscard]] cost_model named_cost_model(std::string const& name);

}  // namespace tenon::engine
