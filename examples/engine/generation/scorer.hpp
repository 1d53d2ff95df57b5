#pragma once
//  Teacher forcing: what a model says of a text that is already there.
#include <tenon/precision/logits_error.hpp>

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "engine/model/decoder.hpp"

namespace tenon::engine {

struct scorer_options {
  int max_length         = 0;
  int max_batched_tokens = 512;
  int max_rows           = 64;
  int block_size         = 16;
};

/// Pages that hold so many tokens.
[[nodiscard]] std::int64_t pages_for(std::size_t tokens, scorer_options const& options);

/// A step that feeds ids [first, first + count) of a text alone in the cache, in the pages from `page` on, and wants the logits of
/// all of them.
void feed(step_batch& step, std::span<std::int32_t const> ids, std::size_t first, std::size_t count,
          scorer_options const& options, std::int64_t page);

/// The model shows its stages to `show` while this is there.
class stage_reader {
 public:
  stage_reader(decoder& model, tap show) : model_(model) { model_.look_with(std::move(show)); }
  ~stage_reader() { model_.look_with({}); }
  stage_reader(stage_reader const&)            = delete;
  stage_reader& operator=(stage_reader const&) = delete;

 private:
  decoder& model_;
};

/// Feeds `ids` and calls visit(position, logits) for each position in order; logits (vocabulary) are the model's answer to
/// the tokens up to and including `position`. At most max_length ids.
void visit_logits(decoder& model, std::span<std::int32_t const> ids, scorer_options const& options,
                  std::function<void(std::size_t, std::span<float const>)> const& visit);

/// Natural-log loss over a set of scored tokens, and how far a second model is from a first.
struct score {
  std::int64_t tokens = 0;
  double       nll    = 0;  // sum of -log p(token)

  bool         compared = false;
  logits_error against;  // a reference, where compared

  double mean_nll() const;
  double perplexity() const;
};

/// Adds the text `ids`, each id but the first scored once. Texts longer than max_length are cut into windows that share one
/// id. `reference` may be null. `on_logits` gets the logits of every scored position of the tested model.
void score_text(decoder& model, decoder* reference, std::span<std::int32_t const> ids, scorer_options const& options,
                score& total, std::function<void(std::span<float const>)> const& on_logits = {});

}  // namespace tenon::engine
