#pragma once
//  Layer by layer: how far a decoder is from a reference, and which stage is to blame.
//
//  Both are fed the same tokens. *Propagated*: the tested decoder goes its own way, so a stage's error is what it made and what it
//  inherited. *Isolated*: behind each stage the reference's numbers are put in place of its own, so what is left is what the stage
//  itself did with good input. A stage with a large propagated and a small isolated error only passes on what it got.
#include <tenon/precision/logits_error.hpp>
#include <tenon/precision/tensor_error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/generation/scorer.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

struct stage_error {
  std::string  name;  // "layers.3.gated"
  std::size_t  width = 0;
  tensor_error propagated, isolated;
};

struct alignment {
  std::int64_t             tokens = 0;
  std::vector<stage_error> stages;  // in the order of the pass; the last one is the logits
  logits_error             logits;  // propagated
};

/// Adds the text `ids`; texts longer than max_length are cut into windows that share one id. `stored`: the format of the tested decoder's
/// activations. `tested` has pages for two windows. Throws `error` where the two models do not have the same stages.
void align_text(decoder& tested, decoder& reference, std::span<std::int32_t const> ids, scorer_options const& options,
                number_format stored, alignment& total);

}  // namespace tenon::engine
