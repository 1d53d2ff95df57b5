#pragma once
//  How far the logits of a model are from those it had: what a step that should change nothing has changed.
#include <cstdint>

#include "engine/compress/depth_cut.hpp"
#include "engine/compress/editable_model.hpp"

namespace tenon::engine {

struct logits_change {
  std::int64_t positions     = 0;
  double       relative_l2   = 0;  // |after - before| / |before|, over all positions
  std::int64_t other_choices = 0;  // positions with another most likely token, but for ties within 1e-4
  double       kl            = 0;  // nats per position
};

/// On every position of the texts.
[[nodiscard]] logits_change change_of(decoder& before, decoder& after, token_texts const& texts,
                                      scorer_options const& options);

}  // namespace tenon::engine
