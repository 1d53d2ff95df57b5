#pragma once
//  Calibration text without data: what the model itself says.
//  Source: Williams et al., Self-calibration for language model quantization and pruning, 2024.
#include <cstdint>

#include "engine/compress/calibration_pass.hpp"
#include "engine/generation/scorer.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

/// `count` texts of `length` ids, each begun with `first` and then drawn from the model at temperature 1; ends of text are drawn
/// on. The same for the same seed. `model` takes that many sequences and rows at once; throws `error` where its pages are too few.
[[nodiscard]] token_texts self_sampled(decoder& model, std::int32_t first, int count, int length, std::uint64_t seed,
                                       scorer_options const& options);

}  // namespace tenon::engine
