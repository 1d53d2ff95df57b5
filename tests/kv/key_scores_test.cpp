#include <tenon/kv/key_scores.hpp>
#include <tenon/kv/key_scores_ref.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "key_cache.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::index_t, tenon::kv_int4, tenon::kv_int8;

constexpr float untouched = -77;

template <class K, class Measure>
void expect_agreement(test::cache_shape const& s, std::vector<std::int32_t> const& lengths, Measure const& measure) {
  SCOPED_TRACE("head_dim " + std::to_string(s.head_dim) + (s.own_pages ? ", own pages" : ""));
  test::key_cache<K> cache(s, lengths, 11);
  std::vector<float> want(std::size_t(cache.requests * s.kv_heads * cache.max_tokens()), untouched);
  tenon::ref::key_scores(test::over(want, cache.requests, s.kv_heads, cache.max_tokens()), cache.reference(),
                         cache.reference_sequences(), measure);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> scores(cache.requests, s.kv_heads, cache.max_tokens());
    scores.fill(untouched);
    auto const status = tenon::key_scores(where, scores.view(), cache.view(), cache.sequences(), measure);
    ASSERT_TRUE(status.ok()) << status.subject;
    auto const got = scores.values();
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], want[i], 1e-5f * std::fmax(1.f, std::fabs(want[i]))) << "score " << i;
    ASSERT_TRUE(tenon::key_scores(where, scores.view(), cache.view(), cache.sequences(), measure).ok());
    EXPECT_TRUE(test::same_bits(scores.values(), got));
  });
}

std::vector<std::int32_t> const lengths{1, 40, 17, 0};

TEST(key_scores, of_numbers) {
  expect_agreement<float>({5, 2, 18}, lengths, tenon::key_diff{});
  expect_agreement<float>({5, 1, 256, true}, lengths, tenon::key_diff{});
  expect_agreement<bf16>({16, 3, 64, true}, lengths, tenon::knorm{});
}
TEST(key_scores, of_codes) {
  expect_agreement<kv_int8>({16, 2, 40}, lengths, tenon::key_diff{});
  expect_agreement<kv_int4>({8, 2, 64, true}, lengths, tenon::row_norm{});
}

// Three keys along one axis and one across: by hand.
TEST(key_scores, the_key_unlike_the_others_is_kept) {
  test::index_table<3> const table({0}, 1, 1, 1);
  test::index_table<2> const length({4}, 1, 1);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 4> k(1, 4, 1, 2);
    test::tensor<float, 3> scores(1, 1, 4);
    k.assign({3, 0, 0, 4, 1, 0, 2, 0});  // mean direction (3/4, 1/4)
    auto const run = [&](auto const& measure) {
      EXPECT_TRUE(tenon::key_scores(where, scores.view(), k.view(), {table.view(), length.view()}, measure).ok());
      return scores.values();
    };
    auto const  difference = run(tenon::key_diff{});
    float const along = -3 / std::sqrt(10.f), across = -1 / std::sqrt(10.f);
    float const want[] = {along, across, along, along};
    for (std::size_t t = 0; t < 4; ++t) EXPECT_NEAR(difference[t], want[t], 1e-6);
    auto const  norm    = run(tenon::row_norm{});
    float const norms[] = {3, 4, 1, 2};
    for (std::size_t t = 0; t < 4; ++t) EXPECT_NEAR(norm[t], norms[t], 1e-6);
    k.fill(0);  // keys without a direction
    EXPECT_EQ(run(tenon::key_diff{}), std::vector<float>(4, 0));
    EXPECT_EQ(run(tenon::row_norm{}), std::vector<float>(4, 0));
  });
}

TEST(key_scores_contract, names_what_is_wrong) {
  test::key_cache<float> cache({4, 2, 8}, {9}, 5);
  test::tensor<float, 3> scores(1, 2, cache.max_tokens()), narrow(1, 1, cache.max_tokens());
  tenon::context const   where{};
  auto const             is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "key_scores");
  };
  is(tenon::key_scores(where, narrow.view(), cache.view(), cache.sequences(), tenon::knorm{}), errc::shape_mismatch,
     "kv_heads");
  auto wide      = cache.view();
  wide.extent[3] = 257;
  is(tenon::key_scores(where, scores.view(), wide, cache.sequences(), tenon::knorm{}), errc::unsupported, "head_dim");
  auto nowhere = scores.view();
  nowhere.data = nullptr;
  is(tenon::key_scores(where, nowhere, cache.view(), cache.sequences(), tenon::knorm{}), errc::out_of_range, "scores");
  auto nothing        = cache.sequences();
  nothing.length.data = nullptr;
  is(tenon::key_scores(where, scores.view(), cache.view(), nothing, tenon::knorm{}), errc::out_of_range, "length");
}

TEST(key_scores_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (bool const vectorised : {false, true}) {
      auto const chosen = tenon::choose_key_scores_policy({arch}, vectorised);
      EXPECT_EQ(std::count(std::begin(tenon::key_scores_menu), std::end(tenon::key_scores_menu), chosen), 1);
      EXPECT_EQ(chosen.on_host(), arch == 0);
    }
}

}  // namespace
