//  What attention kernels are known to get wrong, one test each.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include <cmath>

#include "variant_agreement.hpp"

namespace {

using tenon::attention_variant, tenon::bf16;
using test::batch_shape, test::ragged_batch, test::request;

batch_shape const small{.heads = 3, .kv_heads = 1, .head_dim = 16, .value_dim = 24, .page_size = 4};

template <class T>
std::vector<T> run(tenon::context const& where, ragged_batch<T>& batch) {
  test::tensor<T, 3> o(batch.tokens, batch.shape.heads, batch.shape.value_dim);
  EXPECT_TRUE(batch.run(where, o).ok());
  return o.values();
}

TEST(paged_attention_requests, without_queries_or_keys_are_skipped) {
  ragged_batch<float> batch(small, {{0, 9}, {2, 5}, {0, 0}, {1, 1}, {0, 3}});
  auto const          expected = batch.expect();
  test::on_every_target([&](tenon::context const& where) {
    EXPECT_LE(test::relative_error(run(where, batch), expected.o), test::tolerance<float>());
  });
}

TEST(paged_attention_requests, none_at_all_is_ok) {
  ragged_batch<float> batch(small, {});
  test::on_every_target([&](tenon::context const& where) { EXPECT_TRUE(run(where, batch).empty()); });
}

TEST(paged_attention_requests, tokens_of_none_are_left_alone) {
  ragged_batch<float> batch(small, {{2, 5}, {3, 4}});
  batch.starts = {0, 2, 3};  // the last two tokens are nobody's
  batch.upload();
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> o(batch.tokens, 3, 24);
    o.fill(7.f);
    ASSERT_TRUE(batch.run(where, o).ok());
    for (float const v : test::token_rows(o.values(), 3 * 24, 3, 2)) ASSERT_EQ(v, 7.f);
  });
}

TEST(paged_attention_requests, with_more_queries_than_keys_have_rows_of_zeros) {
  test::expect_agreement<float, bf16>(small, {{7, 3}, {2, 0}}, attention_variant{});
  ragged_batch<float> batch(small, {{7, 3}, {2, 0}});
  test::on_every_target([&](tenon::context const& where) {
    auto const o = run(where, batch);
    for (float const v : test::token_rows(o, 3 * 24, 0, 4)) ASSERT_EQ(v, 0.f);
    for (float const v : test::token_rows(o, 3 * 24, 7, 2)) ASSERT_EQ(v, 0.f);
    for (float const v : test::token_rows(o, 3 * 24, 4, 1)) ASSERT_NE(v, 0.f);
  });
}

TEST(paged_attention_requests, of_very_uneven_length_agree) {
  test::expect_agreement<float, bf16>(small, {{1, 300}, {1, 1}, {1, 1}, {1, 2}, {1, 1}, {1, 1}}, attention_variant{});
}

template <class T>
class paged_attention_bits : public testing::Test {};
using types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(paged_attention_bits, types);

TYPED_TEST(paged_attention_bits, follow_neither_order_nor_size_of_pages) {
  std::vector<request> const requests{{3, 70}, {1, 33}};
  test::on_every_target([&](tenon::context const& where) {
    ragged_batch<TypeParam> batch(small, requests);
    auto const              first = run(where, batch);
    for (int const page_size : {1, 3, 16, 64}) {
      auto shape      = small;
      shape.page_size = page_size, shape.page_seed = 99;
      ragged_batch<TypeParam> other(shape, requests);
      EXPECT_TRUE(test::same_bits(run(where, other), first)) << "page size " << page_size;
    }
  });
}

TYPED_TEST(paged_attention_bits, follow_no_neighbour) {
  test::on_every_target([&](tenon::context const& where) {
    tenon::context invariant  = where;
    invariant.batch_invariant = true;
    ragged_batch<TypeParam> alone(small, {{5, 70, 42}});
    ragged_batch<TypeParam> among(small, {{1, 9}, {0, 5}, {5, 70, 42}, {30, 31}});
    EXPECT_TRUE(test::same_bits(test::token_rows(run(invariant, among), 3 * 24, 1, 5), run(invariant, alone)));
  });
}

TYPED_TEST(paged_attention_bits, are_those_of_decoding_token_by_token) {
  int const keys = 70, queries = 8;
  test::on_every_target([&](tenon::context const& where) {
    ragged_batch<TypeParam> whole(small, {{queries, keys, 42}});
    auto const              prefilled = run(where, whole);
    for (int i = 0; i < queries; i += 3) {
      ragged_batch<TypeParam>    one(small, {{1, keys - queries + i + 1, 42}});
      test::tensor<TypeParam, 3> o(1, 3, 24);
      ASSERT_TRUE(one.run(where, o, {.max_query_length = 1}).ok());
      EXPECT_TRUE(test::same_bits(o.values(), test::token_rows(prefilled, 3 * 24, i, 1))) << "query " << i;
    }
  });
}

TYPED_TEST(paged_attention_bits, are_those_of_the_last_run) {
  ragged_batch<TypeParam> batch(small, {{5, 70}, {1, 40}});
  test::on_every_target(
      [&](tenon::context const& where) { EXPECT_TRUE(test::same_bits(run(where, batch), run(where, batch))); });
}

TYPED_TEST(paged_attention_bits, follow_no_later_key) {
  ragged_batch<TypeParam> batch(small, {{6, 40}}), changed(small, {{6, 40}});
  for (int d = 0; d < 16; ++d) changed.key(0, 39, 0)[d] = TypeParam(1e4f);
  for (int d = 0; d < 24; ++d) changed.value(0, 39, 0)[d] = TypeParam(-3e4f);
  changed.upload();
  test::on_every_target([&](tenon::context const& where) {
    auto const a = run(where, batch), b = run(where, changed);
    EXPECT_TRUE(test::same_bits(test::token_rows(a, 3 * 24, 0, 5), test::token_rows(b, 3 * 24, 0, 5)));
    EXPECT_FALSE(test::same_bits(a, b));
  });
}

// Only f32: a matrix unit multiplies a masked key's weight of 0 by its value, and 0 * NaN is NaN.
TEST(paged_attention_bits, follow_no_later_nan) {
  ragged_batch<float> batch(small, {{6, 40}}), changed(small, {{6, 40}});
  for (int d = 0; d < 16; ++d) changed.key(0, 39, 0)[d] = std::numeric_limits<float>::quiet_NaN();
  for (int d = 0; d < 24; ++d) changed.value(0, 39, 0)[d] = std::numeric_limits<float>::quiet_NaN();
  changed.upload();
  test::on_every_target([&](tenon::context const& where) {
    auto const a = run(where, batch), b = run(where, changed);
    EXPECT_TRUE(test::same_bits(test::token_rows(a, 3 * 24, 0, 5), test::token_rows(b, 3 * 24, 0, 5)));
    EXPECT_TRUE(std::isnan(b.back()));  // the last query sees it, and says so
  });
}

TEST(paged_attention_pages, may_appear_twice_in_a_table) {
  ragged_batch<float> batch(small, {{2, 12}, {1, 10}});
  batch.table[2]                                         = batch.table[0];
  batch.table[static_cast<std::size_t>(batch.max_pages)] = batch.table[1];
  batch.upload();
  auto const expected = batch.expect();
  test::on_every_target([&](tenon::context const& where) {
    EXPECT_LE(test::relative_error(run(where, batch), expected.o), test::tolerance<float>());
  });
}

TEST(paged_attention_scale, is_the_callers) {
  ragged_batch<float> batch(small, {{3, 40}});
  auto const          expected = batch.expect(0.7);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> o(batch.tokens, 3, 24);
    ASSERT_TRUE(batch.run(where, o, {.scale = 0.7f}).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<float>());
  });
}

}  // namespace
