//  What attention kernels are known to get wrong, one test each.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include <cmath>
#if !TENON_CUDA && !TENON_CHECKED
#  include <sys/mman.h>
#endif

#include "variant_agreement.hpp"

namespace {

using tenon::attention_variant, tenon::bf16, tenon::index_t;
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

/// Keys of the first 20 positions, and says so.
struct first_half {
  TENON_HD tenon::coverage classify(int, int, int, int, int k_first, int k_last) const {
    return k_first >= 20 ? tenon::coverage::empty : k_last < 20 ? tenon::coverage::full : tenon::coverage::partial;
  }
  TENON_HD bool keep(int, int, int, int k) const { return k < 20; }
  TENON_HD tenon::key_span span(int, int, int) const { return {0, 20}; }
};

// Matrix units: keys that no query of the request's chunk may see are not multiplied at all.
TEST(paged_attention_bits, follow_no_nan_behind_the_last_query) {
  ragged_batch<bf16> batch(small, {{6, 40}});
  for (int k = 20; k < 40; ++k) {
    for (int d = 0; d < 16; ++d) batch.key(0, k, 0)[d] = bf16(std::nanf(""));
    for (int d = 0; d < 24; ++d) batch.value(0, k, 0)[d] = bf16(std::nanf(""));
  }
  batch.upload();
  auto const expected = batch.expect(0, attention_variant{first_half{}});
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 3> o(6, 3, 24);
    ASSERT_TRUE(batch.run(where, o, {}, attention_variant{first_half{}}).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<bf16>());
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

TEST(paged_attention_logits, may_all_be_very_low) {  // a maximum of -1e30 is not "no key was seen"
  ragged_batch<float> batch(small, {{1, 40}});
  for (int d = 0; d < 16; ++d) {
    for (int h = 0; h < 3; ++h) batch.q_values[static_cast<std::size_t>(16 * h + d)] = 1e15f;
    for (int k = 0; k < 40; ++k) batch.key(0, k, 0)[d] = -1e15f;
  }
  batch.upload();
  auto const expected = batch.expect();
  EXPECT_LT(expected.lse[0], -1e30);
  test::on_every_target([&](tenon::context const& where) {
    EXPECT_LE(test::relative_error(run(where, batch), expected.o), test::tolerance<float>());
  });
}

// What a captured graph does: the same launch over lengths that have changed.
TEST(paged_attention_launch, serves_other_lengths) {
  ragged_batch<bf16>     long_one(small, {{1, 90}, {1, 70}}), short_one(small, {{1, 33, 0}, {1, 1, 1}});
  test::tensor<float, 1> memory(1 << 18);
  test::tensor<int, 1>   counters(512);
  counters.fill(0);
  long_one.lengths = {33, 1};
  long_one.kv_length->assign(long_one.lengths);  // the pages stay, so does the plan
  long_one.q->assign(short_one.q_values);
  auto const expected = short_one.expect();
  test::on_every_target([&](tenon::context where) {
    where.batch_invariant = false;
    where.multiprocessors = 2;
    where.workspace       = {reinterpret_cast<std::byte*>(memory.view().data), std::size_t{1} << 20};
    where.counters        = {reinterpret_cast<unsigned*>(counters.view().data), 512};
    test::tensor<bf16, 3> o(2, 3, 24);
    ASSERT_TRUE(long_one.run(where, o, {.max_query_length = 1}).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<bf16>());
  });
}

#if !TENON_CUDA && !TENON_CHECKED
// Offsets are 64-bit: a page whose elements lie beyond 2^31. Only what is touched is there.
TEST(paged_attention_pages, may_lie_beyond_two_gigabytes) {
  ragged_batch<bf16> batch(small, {{2, 7}});
  auto const         expected = batch.expect();
  index_t const      stride = 4 * 1 * 24, far = (index_t{1} << 31) / stride + 1000;
  std::size_t const  bytes = static_cast<std::size_t>((far + batch.pages) * stride) * sizeof(bf16);
  auto* const        k     = static_cast<bf16*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  auto* const v = static_cast<bf16*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (k == MAP_FAILED || v == MAP_FAILED) GTEST_SKIP() << "no address space for " << 2 * bytes << " bytes";
  tenon::tensor_view<bf16, 4> const ks{k, {far + batch.pages, 4, 1, 16}, {stride, 24, 24, 1}};
  tenon::tensor_view<bf16, 4> const vs{v, {far + batch.pages, 4, 1, 24}, {stride, 24, 24, 1}};
  for (int page = 0; page < batch.pages; ++page)
    for (int place = 0; place < 4; ++place) {
      for (int d = 0; d < 16; ++d)
        ks(far + page, place, 0, d) = batch.k_values[static_cast<std::size_t>((page * 4 + place) * 16 + d)];
      for (int d = 0; d < 24; ++d)
        vs(far + page, place, 0, d) = batch.v_values[static_cast<std::size_t>((page * 4 + place) * 24 + d)];
    }
  for (auto& page : batch.table)
    if (page >= 0 && page < batch.pages) page += static_cast<std::int32_t>(far);
  batch.block_table->assign(batch.table);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 3> o(2, 3, 24);
    ASSERT_TRUE(tenon::paged_attention(where, o.view(), batch.q->view(), tenon::paged_kv{ks, vs},
                                       batch.block_table->view(), batch.query_start->view(), batch.kv_length->view())
                    .ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<bf16>());
  });
  munmap(k, bytes), munmap(v, bytes);
}
#endif

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
