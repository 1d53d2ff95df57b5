#pragma once
//  Steps of a decoder, as the generator makes them, and how long each takes.
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "engine/generation/step_layout.hpp"
#include "engine/model/decoder.hpp"
#include "engine/schedule/cost_model.hpp"

namespace tenon::engine {

/// `sequences` rows of `length` tokens each, in pages of their own; ids are random.
struct timed_shape {
  int          sequences = 1, length = 1, block_size = 16, max_batched_tokens = 512;
  std::int64_t vocabulary = 1;
};

class timed_steps {
 public:
  timed_steps(decoder& model, timed_shape const& shape);

  /// Computes the first `tokens` tokens of every sequence, so that later steps find keys there.
  void fill(int tokens);

  /// Adds tokens [first, first + count) of a sequence to the next step, with `draws` ids drawn from the last one.
  void add(int sequence, int first, int count, int draws);

  /// The step: laid out, computed and drawn. Seconds.
  double run();

  /// Of the step that add() describes now.
  step_load const& load() const { return load_; }

  timed_shape const& shape() const { return shape_; }

 private:
  decoder&                  model_;
  timed_shape               shape_;
  step_layout               layout_;
  step_load                 load_;
  draw_batch                draw_;
  drawn                     out_;
  std::vector<block_id>     tables_;  // (sequences, pages of each)
  std::vector<std::int32_t> ids_;     // (length)
  int                       filled_ = 0;
};

/// A step whose time says something of the model of costs.
struct grid_point {
  int decodes = 0, depth = 0;              // sequences that draw, and the tokens that each has already
  int prompts = 0, chunk = 0, behind = 0;  // prompts beside them, the tokens of each and those in front of it
  int draws = 0;                           // of the prompts
};

/// Points that fit the shape: batches and depths of decodes, chunks of prompts, and both together.
[[nodiscard]] std::vector<grid_point> cost_grid(timed_shape const& shape, std::span<std::int64_t const> batches);

/// Every point `repetitions` times, all points in turn; the median of each.
[[nodiscard]] std::vector<measured_step> measure(timed_steps& steps, std::span<grid_point const> grid, int repetitions);

}  // namespace tenon::engine
