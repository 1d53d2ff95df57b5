#pragma once
//  What happens to a logit between the scale and the mask: what an attention variant's `logits` may be.
//
//  a | b is a, then b: soft_cap{50.f} | alibi{32}. All arithmetic is plain fp32 without branches into a C library, the same on
//  both targets, so that loops over it vectorise.
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/activation.hpp>

#include <cmath>
#include <concepts>
#include <cstdint>

namespace tenon {

/// f(value, request, head, q, k): the logit to use, given the scaled product of query q and key k. Called only for pairs
/// inside the sequence that the mask keeps, in no particular order. One that looks at the value and the head alone may say
/// so: `static constexpr bool same_for_all_pairs = true`; cascade_attention takes no others.
template <class F>
concept attention_logits = std::copyable<F> && requires(F const f, float value, int request, int head, int q, int k) {
  { f(value, request, head, q, k) } -> std::convertible_to<float>;
};

/// Whether f answers alike for every request, query and key.
template <attention_logits F>
inline constexpr bool same_for_all_pairs = requires {
  requires F::same_for_all_pairs;
};

/// value
struct scaled_logits {
  static constexpr bool    same_for_all_pairs = true;
  TENON_HD constexpr float operator()(float value, int, int, int, int) const { return value; }
};

/// tanh x = -E / (2 + E), E = e^(-2|x|) - 1, with x's sign; relative error 2e-7: the 1 of e^x is kept apart, so that nothing
/// cancels near 0. NaN stays.
TENON_HD constexpr float hyperbolic_tangent(float x) {
  float const magnitude = x < 0.f ? -x : x;
  float const v         = -2.f * magnitude;
  auto const  reduced   = reduce_exponential(v < -87.f ? -87.f : v);
  float const e         = reduced.rest * reduced.power + (reduced.power - 1.f);
  float const y         = -e / (2.f + e);
  return x < 0.f ? -y : y;
}

/// cap tanh(value / cap), cap > 0: Gemma 2, arXiv 2408.00118, section 2. Off by at most 4e-7 cap; an infinite value gives cap.
struct soft_cap {
  float                    cap;
  static constexpr bool    same_for_all_pairs = true;
  TENON_HD constexpr float operator()(float value, int, int, int, int) const {
    return cap * hyperbolic_tangent(value * (1.f / cap));
  }
};

/// The published slope of a head. For a power of two of heads 2^(-8 (h + 1) / heads); for another number, with p the power of
/// two below it, the first p heads have the slopes of p heads, and the others every second one of 2 p heads, from the first on.
TENON_HD constexpr float alibi_slope(int head, int heads) {
  int const log = static_cast<int>(bit_cast<std::uint32_t>(static_cast<float>(heads)) >> 23) - 127, p = 1 << log;
  // The exponent is -4 steps / p, taken apart so that whole powers of two are exact.
  int const steps = head < p ? 2 * (head + 1) : 2 * (head - p) + 1, whole = 4 * steps >> log,
            rest       = 4 * steps & (p - 1);
  float const fraction = static_cast<float>(rest) * bit_cast<float>(static_cast<std::uint32_t>(127 - log) << 23);
  return bit_cast<float>(static_cast<std::uint32_t>(127 - whole) << 23) * exponential(-0.693147181f * fraction);
}

/// value - alibi_slope(head, heads) |q - k|: Press et al. 2022, "Train Short, Test Long", and its code.
struct alibi {
  int                      heads;
  TENON_HD constexpr float operator()(float value, int, int head, int q, int k) const {
    return value - alibi_slope(head, heads) * static_cast<float>(q < k ? k - q : q - k);
  }
};

/// value - slope[head] |q - k|: ALiBi with slopes of the model's own.
struct alibi_slopes {
  tensor_view<float const, 1> slope;  // (heads)
  TENON_HD constexpr float    operator()(float value, int, int head, int q, int k) const {
       return value - slope(head) * static_cast<float>(q < k ? k - q : q - k);
  }
};

/// value + bias[head, q, k], by position; a stride of 0 shares an axis. Pairs outside the view have no bias.
template <floating E = float>
struct additive_bias {
  tensor_view<E const, 3>  bias;  // (heads, queries, keys)
  TENON_HD constexpr float operator()(float value, int, int head, int q, int k) const {
    bool const inside = q >= 0 && q < bias.extent[1] && k < bias.extent[2];
    return inside ? value + static_cast<float>(bias(head, q, k)) : value;
  }
};
template <class E>
additive_bias(tensor_view<E, 3>) -> additive_bias<std::remove_const_t<E>>;

/// value + bias[head, origin + k - q], the index held within the table: biases that depend on the distance alone, and not at
/// all beyond the ends. T5's buckets are such a table of 2 max_distance + 1 columns, origin max_distance (t5_bucket).
template <floating E = float>
struct relative_bias {
  tensor_view<E const, 2>  bias;  // (heads, distances)
  int                      origin;
  TENON_HD constexpr float operator()(float value, int, int head, int q, int k) const {
    index_t const at = index_t{origin} + k - q, last = bias.extent[1] - 1;
    return value + static_cast<float>(bias(head, at < 0 ? 0 : at > last ? last : at));
  }
};
template <class E>
relative_bias(tensor_view<E, 2>, int) -> relative_bias<std::remove_const_t<E>>;

/// The bucket of the distance k - q, on the host: Raffel et al. 2020, "T5", as its code has it. Distances to half of the
/// buckets (of one direction) have their own, the others share logarithmically up to max_distance.
inline int t5_bucket(int distance, bool bidirectional, int buckets = 32, int max_distance = 128) {
  int bucket = 0;
  if (bidirectional) {
    buckets /= 2;
    if (distance > 0) bucket = buckets;
    distance = distance < 0 ? -distance : distance;
  } else {
    distance = distance < 0 ? -distance : 0;
  }
  int const exact = buckets / 2;
  if (distance < exact) return bucket + distance;
  float const share = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                      std::log(static_cast<float>(max_distance) / static_cast<float>(exact));
  int const coarse = exact + static_cast<int>(share * static_cast<float>(buckets - exact));
  return bucket + (coarse < buckets ? coarse : buckets - 1);
}

/// a, then b: a | b.
template <attention_logits A, attention_logits B>
struct in_turn {
  A a;
  B b;

  static constexpr bool    same_for_all_pairs = tenon::same_for_all_pairs<A> && tenon::same_for_all_pairs<B>;
  TENON_HD constexpr float operator()(float value, int request, int head, int q, int k) const {
    return b(a(value, request, head, q, k), request, head, q, k);
  }
};
template <class A, class B>
in_turn(A, B) -> in_turn<A, B>;

template <attention_logits A, attention_logits B>
TENON_HD constexpr in_turn<A, B> operator|(A a, B b) {
  return {a, b};
}

static_assert(attention_logits<scaled_logits> && attention_logits<soft_cap> && attention_logits<alibi>);
static_assert(attention_logits<additive_bias<f16>> && attention_logits<in_turn<soft_cap, relative_bias<float>>>);
static_assert(same_for_all_pairs<in_turn<scaled_logits, soft_cap>> && !same_for_all_pairs<alibi>);

}  // namespace tenon
