#pragma once
//  What happens to a logit between the scale and the mask: what an attention variant's `logits` may be.
#include <tenon/config.hpp>

#include <cmath>
#include <concepts>

namespace tenon {

/// f(value, request, head, q, k): the logit to use, given the scaled product of query q and key k. Called only for pairs
/// inside the sequence that the mask keeps, in no particular order.
template <class F>
concept attention_logits = std::copyable<F> && requires(F const f, float value, int request, int head, int q, int k) {
  { f(value, request, head, q, k) } -> std::convertible_to<float>;
};

/// value
struct scaled_logits {
  TENON_HD constexpr float operator()(float value, int, int, int, int) const { return value; }
};

/// cap * tanh(value / cap): Gemma 2, arXiv 2408.00118, section 2
struct soft_cap {
  float          cap;
  TENON_HD float operator()(float value, int, int, int, int) const { return cap * std::tanh(value / cap); }
};

/// value - slope(head) * (q - k), slope(h) = 2^(-8 (h + 1) / heads): Press et al. 2022, "Train Short, Test Long"
struct alibi {
  int            heads;
  TENON_HD float operator()(float value, int, int head, int q, int k) const {
    return value -
           std::exp2(-8.f * static_cast<float>(head + 1) / static_cast<float>(heads)) * static_cast<float>(q - k);
  }
};

static_assert(attention_logits<scaled_logits> && attention_logits<soft_cap> && attention_logits<alibi>);

}  // namespace tenon
