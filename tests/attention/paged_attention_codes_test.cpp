// Attention over caches of codes, K and V of every format, against the reference over the same codes.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "coded_cache.hpp"

namespace {

using tenon::bf16, tenon::f16, tenon::kv_fp8, tenon::kv_int4, tenon::kv_int8;
using test::batch_shape, test::coded_batch, test::request;

template <class K, class V>
struct formats {
  using k = K;
  using v = V;
};
template <class Formats>
class paged_attention_codes : public testing::Test {};
using all = testing::Types<formats<kv_fp8, kv_fp8>, formats<kv_int8, kv_int4>, formats<kv_int4, kv_int8>>;
TYPED_TEST_SUITE(paged_attention_codes, all);

template <class T, class K, class V>
void expect_agreement(batch_shape const& shape, std::vector<request> const& requests, bool hints = false) {
  SCOPED_TRACE("head_dim " + std::to_string(shape.head_dim) + (std::is_same_v<T, f16> ? ", f16" : ""));
  coded_batch<T, K, V> batch(shape, requests);
  auto const           expected = batch.expect();
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 3>     o(batch.tokens, shape.heads, shape.value_dim);
    test::tensor<float, 2> lse(batch.tokens, shape.heads);
    auto const s = batch.run(where, o, {.max_query_length = hints ? 1 : 0}, tenon::attention_variant<>{}, &lse);
    ASSERT_TRUE(s.ok()) << s.subject;
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<T>());
    auto const logs = lse.values();
    for (std::size_t i = 0; i < logs.size(); ++i) ASSERT_NEAR(double(logs[i]), expected.lse[i], 1e-4) << "row " << i;
  });
}

TYPED_TEST(paged_attention_codes, agree_with_the_reference) {
  using K = typename TypeParam::k;
  using V = typename TypeParam::v;
  expect_agreement<float, K, V>({.heads = 4, .kv_heads = 2, .head_dim = 8, .value_dim = 16, .page_size = 3},
                                {{1, 40}, {5, 9}});
  expect_agreement<float, K, V>({.heads = 3, .kv_heads = 1, .head_dim = 128, .value_dim = 72}, {{3, 70}});
  expect_agreement<bf16, K, V>({.heads = 5, .kv_heads = 1, .head_dim = 64, .value_dim = 64, .page_size = 5},
                               {{19, 80}, {1, 33}});
  expect_agreement<bf16, K, V>({.heads = 2, .kv_heads = 1, .head_dim = 96, .value_dim = 128}, {{2, 130}, {1, 1}}, true);
  expect_agreement<bf16, K, V>({.heads = 4, .kv_heads = 2, .head_dim = 128, .value_dim = 128, .page_size = 64},
                               {{1, 200}, {1, 65}}, true);
}

TYPED_TEST(paged_attention_codes, agree_at_256_columns) {
  expect_agreement<bf16, typename TypeParam::k, typename TypeParam::v>(
      {.heads = 2, .kv_heads = 1, .head_dim = 256, .value_dim = 256}, {{3, 70}, {1, 40}});
}

TEST(paged_attention_codes_and_numbers, may_be_k_and_v) {
  expect_agreement<bf16, bf16, kv_int8>({.heads = 4, .kv_heads = 1, .head_dim = 64, .value_dim = 64}, {{2, 70}});
  expect_agreement<f16, kv_int8, kv_int8>({.heads = 4, .kv_heads = 2, .head_dim = 128, .value_dim = 128}, {{2, 170}});
  expect_agreement<bf16, kv_fp8, bf16>({.heads = 4, .kv_heads = 1, .head_dim = 64, .value_dim = 64}, {{2, 70}});
}

// Small values, whose codes have scales far below 1, in an f16 product of weights and codes.
TEST(paged_attention_codes_and_numbers, of_small_values_keep_their_accuracy) {
  coded_batch<f16, kv_int8, kv_int8> batch(
      {.heads = 2, .kv_heads = 1, .head_dim = 64, .value_dim = 64, .deviation = 0.1f}, {{1, 300}});
  for (auto& v : batch.v_values) v = f16(1e-3f * float(v));
  batch.v_pages       = test::coded_pages<kv_int8>(batch, batch.v_values, 64);
  auto const expected = batch.expect();
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> o(1, 2, 64);  // f16 would round such outputs to subnormal numbers
    ASSERT_TRUE(batch.run(where, o).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<f16>());
  });
}

}  // namespace
