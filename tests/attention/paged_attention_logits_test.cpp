#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "variant_agreement.hpp"

namespace {

using tenon::attention_variant, tenon::bf16, tenon::causal;
using test::expect_agreement, test::batch_shape;

batch_shape const small{.heads = 3, .kv_heads = 1, .head_dim = 16, .value_dim = 24, .page_size = 4};

TEST(paged_attention_logits, are_capped_however_large) {
  batch_shape shape = small;
  shape.deviation   = 1000.f;
  expect_agreement<float, bf16>(shape, {{4, 70}}, attention_variant{causal{}, tenon::soft_cap{50.f}});
}

TEST(paged_attention_logits, are_biased_by_distance) {
  expect_agreement<float>(small, {{6, 70}, {1, 40}}, attention_variant{causal{}, tenon::alibi{3}});
}

template <class T, class Logits>
void expect_bias(Logits const& device, Logits const& host) {
  expect_agreement<T>(small, {{6, 70}, {1, 40}, {3, 2}}, attention_variant{tenon::no_mask{}, device},
                      attention_variant{tenon::no_mask{}, host});
}

TEST(paged_attention_logits, are_biased_by_tables) {
  std::mt19937                    engine(1);
  std::normal_distribution<float> normal;
  std::vector<float>              slope{0.5f, 0.1f, 0.01f}, distance;
  std::vector<tenon::f16>         pair;
  for (int i = 0; i < 3 * 33; ++i) distance.push_back(normal(engine));
  for (int i = 0; i < 3 * 60 * 60; ++i) pair.push_back(tenon::f16(normal(engine)));
  test::tensor<float, 1>      slopes(3);
  test::tensor<float, 2>      distances(3, 33);
  test::tensor<tenon::f16, 3> pairs(3, 60, 60);  // positions from 60 on have none
  slopes.assign(slope), distances.assign(distance), pairs.assign(pair);
  using tenon::additive_bias, tenon::alibi_slopes, tenon::relative_bias, tenon::soft_cap;
  expect_bias<bf16>(additive_bias{pairs.view()}, additive_bias{test::over(std::as_const(pair), 3, 60, 60)});
  expect_bias<float>(relative_bias{distances.view(), 20},
                     relative_bias{test::over(std::as_const(distance), 3, 33), 20});
  expect_bias<bf16>(soft_cap{2.f} | alibi_slopes{slopes.view()},
                    soft_cap{2.f} | alibi_slopes{test::over(std::as_const(slope), 3)});
}

/// A bias that is NaN for every pair outside the sequence.
struct watchful {
  int            keys;
  TENON_HD float operator()(float value, int request, int head, int q, int k) const {
    bool const inside = request == 0 && head >= 0 && head < 3 && q >= 0 && q < keys && k >= 0 && k < keys;
    return inside ? value + 0.125f * static_cast<float>(k % 5) : std::nanf("");
  }
};

TEST(paged_attention_logits, are_asked_for_inside_the_sequence_only) {
  for (int const keys : {33, 70})
    expect_agreement<float, bf16>(small, {{keys, keys}}, attention_variant{causal{}, watchful{keys}});
}

/// Every logit the same, far below zero.
struct abysmal {
  TENON_HD float operator()(float, int, int, int, int) const { return -1e38f; }
};

TEST(paged_attention_logits, all_far_below_zero_give_the_mean) {
  expect_agreement<bf16>(small, {{2, 40}}, attention_variant{causal{}, abysmal{}});
}

/// Logits that grow with every key: each tile has a new maximum.
struct growing {
  TENON_HD float operator()(float value, int, int, int, int k) const { return value + 20.f * static_cast<float>(k); }
};

TEST(paged_attention_logits, that_grow_key_by_key_are_rescaled) {
  expect_agreement<bf16>(small, {{3, 200}}, attention_variant{causal{}, growing{}});
}

}  // namespace
