#pragma once
//  Texts through decoders, each text alone, step by step.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/compress/editable_model.hpp"
#include "engine/generation/scorer.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

using token_texts = std::vector<std::vector<std::int32_t>>;

/// A decoder of a model that is being changed.
using model_opener = std::function<std::unique_ptr<decoder>(editable_model const&)>;

/// The steps of all texts in order: f(step, whether it ends its text).
template <class F>
void each_step(token_texts const& texts, scorer_options const& o, F const& f) {
  auto const chunk = static_cast<std::size_t>(std::min(o.max_batched_tokens, o.max_rows));
  step_batch step;
  for (auto const& ids : texts)
    for (std::size_t first = 0; first < ids.size(); first += chunk) {
      std::size_t const count = std::min(chunk, ids.size() - first);
      feed(step, ids, first, count, o, 0);
      f(step, first + count == ids.size());
    }
}

}  // namespace tenon::engine
