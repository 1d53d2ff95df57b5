#pragma once
//  What a user may change of an attention operator: which keys are seen, and what happens to a logit.
#include <tenon/op/logits.hpp>
#include <tenon/op/mask.hpp>

namespace tenon {

/// attention_variant{causal{} & sliding_window{4096}, soft_cap{50.f}}: the logits functor runs after the scale and before
/// the mask. (Designated initialisers need the types spelled out: attention_variant<causal, soft_cap>{.logits = {50.f}}.)
template <attention_mask Mask = causal, attention_logits Logits = scaled_logits>
struct attention_variant {
  Mask   mask   = {};
  Logits logits = {};
};
template <class Mask = causal, class Logits = scaled_logits>
attention_variant(Mask = {}, Logits = {}) -> attention_variant<Mask, Logits>;

}  // namespace tenon
