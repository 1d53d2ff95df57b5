#include <tenon/position/rope.hpp>
#include <tenon/position/rope_ref.hpp>
#include <tenon/position/rope_table.hpp>

#include <gtest/gtest.h>

#include "../support/npy.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t, tenon::rope_style;

constexpr rope_style styles[] = {rope_style::half_split, rope_style::interleaved};

std::vector<float> table_of(index_t positions, index_t rotary_dim) {
  std::vector<float> t(static_cast<std::size_t>(positions * rotary_dim));
  EXPECT_TRUE(tenon::fill_rope_table(test::over(t, positions, rotary_dim), 10000).ok());
  return t;
}

struct shape {
  index_t tokens, heads, kv_heads, head_dim, rotary_dim;
};
// One pair; odd halves; partial; a vector and more; no keys; a real model.
constexpr shape shapes[] = {{1, 1, 1, 2, 2},   {3, 3, 1, 7, 6},   {2, 2, 2, 24, 16},
                            {4, 3, 1, 64, 64}, {2, 5, 0, 48, 32}, {3, 32, 8, 16, 16}};

template <class T>
class rope : public testing::Test {};
using types = testing::Types<float, f16, bf16>;
TYPED_TEST_SUITE(rope, types);

// Positions out of order, twice the same, and outside the table on both sides: those tokens stay as they are.
TYPED_TEST(rope, agrees_with_the_reference) {
  using T                   = TypeParam;
  index_t const      length = 9;
  std::int32_t const at[]   = {7, -1, 7, 9};
  for (auto const& s : shapes)
    for (rope_style const style : styles) {
      SCOPED_TRACE("head_dim " + std::to_string(s.head_dim) + " rotary_dim " + std::to_string(s.rotary_dim) +
                   (style == rope_style::half_split ? " half_split" : " interleaved"));
      test::tensor<T, 3>            q0(s.tokens, s.heads, s.head_dim), k0(s.tokens, s.kv_heads, s.head_dim);
      test::tensor<std::int32_t, 1> positions(s.tokens);
      test::tensor<float, 2>        cos_sin(length, s.rotary_dim);
      auto const                    table = table_of(length, s.rotary_dim);
      std::vector<std::int32_t>     where_at(at, at + s.tokens);
      q0.random(1), k0.random(2), positions.assign(where_at), cos_sin.assign(table);
      auto q = q0.values(), k = k0.values();
      for (auto* x : {&q, &k})
        tenon::ref::rope(test::over(*x, s.tokens, x == &q ? s.heads : s.kv_heads, s.head_dim),
                         test::over(where_at, s.tokens), test::over(table, length, s.rotary_dim), style);
      test::on_every_target([&](tenon::context const& where) {
        std::vector<T> first;
        for (int run = 0; run < 2; ++run) {
          test::tensor<T, 3> q1(s.tokens, s.heads, s.head_dim), k1(s.tokens, s.kv_heads, s.head_dim);
          q1.assign(q0.values()), k1.assign(k0.values());
          ASSERT_TRUE(
              tenon::rope(where, q1.view(), k1.view(), positions.view(), cos_sin.view(), {.style = style}).ok());
          EXPECT_LE(test::relative_error(q1.values(), q), test::tolerance<T>());
          EXPECT_LE(test::relative_error(k1.values(), k), test::tolerance<T>());
          if (run == 0) first = q1.values();
          EXPECT_TRUE(test::same_bits(q1.values(), first)) << "two runs differ";
        }
      });
    }
}

// q and k are columns of one (tokens, heads + 2 kv_heads, head_dim) buffer, heads in another order in memory than tokens,
// v and the unrotated columns hold NaN: nothing but the rotary part is read or written.
TEST(rope_layout, q_and_k_may_be_slices_of_one_buffer) {
  index_t const tokens = 3, heads = 3, kv_heads = 1, head_dim = 24, rotary = 16, all = heads + 2 * kv_heads;
  for (index_t const apart : {all * head_dim, all * head_dim + 5}) {
    test::tensor<float, 2>        dense(tokens * (heads + kv_heads), head_dim);
    test::tensor<std::int32_t, 1> positions(tokens);
    test::tensor<float, 2>        cos_sin(8, rotary);
    auto const                    table = table_of(8, rotary);
    dense.random(1), positions.assign({5, 0, 2}), cos_sin.assign(table);
    auto const         values = dense.values();
    std::vector<float> fused(static_cast<std::size_t>(tokens * apart), std::numeric_limits<float>::quiet_NaN());
    for (index_t t = 0; t < tokens; ++t)
      for (index_t h = 0; h < heads + kv_heads; ++h)
        for (index_t d = 0; d < rotary; ++d)
          fused[static_cast<std::size_t>(t * apart + h * head_dim + d)] =
              values[static_cast<std::size_t>((t * (heads + kv_heads) + h) * head_dim + d)];
    auto const slices = [&](float* data) {
      return std::pair(
          tenon::tensor_view<float, 3>{data, {tokens, heads, head_dim}, {apart, head_dim, 1}},
          tenon::tensor_view<float, 3>{data + heads * head_dim, {tokens, kv_heads, head_dim}, {apart, head_dim, 1}});
    };
    auto                            expected = fused;
    auto const                      views    = slices(expected.data());
    std::vector<std::int32_t> const at       = positions.values();
    for (auto const& v : {views.first, views.second})
      tenon::ref::rope(v, test::over(at, tokens), test::over(table, 8, rotary), rope_style::half_split);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 1> buffer(tokens * apart);
      buffer.assign(fused);
      auto const given = slices(buffer.view().data);
      ASSERT_TRUE(tenon::rope(where, given.first, given.second, positions.view(), cos_sin.view()).ok());
      auto const got = buffer.values();
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(std::isnan(got[i]), std::isnan(expected[i])) << i;
        if (std::isnan(got[i])) continue;
        EXPECT_NEAR(got[i], expected[i], 1e-6f) << i;
      }
    });
  }
}

// What the embedding is for: a query's product with a key depends on the distance of their positions alone.
TEST(rope_property, products_depend_on_the_distance) {
  index_t const                 head_dim = 16, pairs = 6;
  test::tensor<std::int32_t, 1> q_at(pairs), k_at(pairs), zeros(pairs);
  test::tensor<float, 2>        cos_sin(64, head_dim);
  test::tensor<float, 1>        one(2 * head_dim);
  q_at.assign({7, 12, 30, 47, 60, 7}), k_at.assign({0, 5, 23, 40, 53, 7});  // five at distance 7, one at 0
  cos_sin.assign(table_of(64, head_dim)), one.random(1);
  auto const         v = one.values();
  std::vector<float> q0, k0;
  for (index_t t = 0; t < pairs; ++t)
    q0.insert(q0.end(), v.begin(), v.begin() + head_dim), k0.insert(k0.end(), v.begin() + head_dim, v.end());
  for (rope_style const style : styles)
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 3> q(pairs, 1, head_dim), k(pairs, 1, head_dim), none(pairs, 0, head_dim);
      q.assign(q0), k.assign(k0);
      ASSERT_TRUE(tenon::rope(where, q.view(), none.view(), q_at.view(), cos_sin.view(), {.style = style}).ok());
      ASSERT_TRUE(tenon::rope(where, none.view(), k.view(), k_at.view(), cos_sin.view(), {.style = style}).ok());
      auto const a = q.values(), b = k.values();
      double     product[6] = {};
      for (std::size_t t = 0; t < 6; ++t)
        for (std::size_t d = 0; d < 16; ++d) product[t] += double(a[t * 16 + d]) * double(b[t * 16 + d]);
      for (int t = 1; t < 5; ++t) EXPECT_NEAR(product[t], product[0], 1e-5);
      EXPECT_GT(std::abs(product[5] - product[0]), 1e-2);
    });
}

TEST(rope_contract, names_what_is_wrong) {
  test::tensor<float, 3>        q(2, 3, 8), k(2, 1, 8), narrow(2, 1, 6), fewer(1, 1, 8), none(0, 3, 8), no_k(0, 1, 8);
  test::tensor<std::int32_t, 1> positions(2), three(3), nowhere(0);
  test::tensor<float, 2>        cos_sin(4, 8), odd(4, 7), wide(4, 10);
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "rope");
  };
  tenon::context const where;
  is(tenon::rope(where, q.view(), narrow.view(), positions.view(), cos_sin.view()), errc::shape_mismatch, "head_dim");
  is(tenon::rope(where, q.view(), fewer.view(), positions.view(), cos_sin.view()), errc::shape_mismatch, "tokens");
  is(tenon::rope(where, q.view(), k.view(), three.view(), cos_sin.view()), errc::shape_mismatch, "tokens");
  is(tenon::rope(where, q.view(), k.view(), positions.view(), odd.view()), errc::out_of_range, "rotary_dim");
  is(tenon::rope(where, q.view(), k.view(), positions.view(), wide.view()), errc::out_of_range, "rotary_dim");
  auto sparse      = q.view();
  sparse.stride[2] = 2;
  is(tenon::rope(where, sparse, k.view(), positions.view(), cos_sin.view()), errc::bad_stride, "q");
  auto gaps      = k.view();
  gaps.stride[2] = 2;
  is(tenon::rope(where, q.view(), gaps, positions.view(), cos_sin.view()), errc::bad_stride, "k");
  auto flipped      = cos_sin.view();
  flipped.stride[1] = 4;
  is(tenon::rope(where, q.view(), k.view(), positions.view(), flipped), errc::bad_stride, "cos_sin");
  auto crooked = q.view();
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 2);
  is(tenon::rope(where, crooked, k.view(), positions.view(), cos_sin.view()), errc::misaligned, "q");
  auto many = q.view(), much = k.view();
  auto all       = positions.view();
  many.extent[0] = much.extent[0] = all.extent[0] = index_t{1} << 31;
  is(tenon::rope(where, many, much, all, cos_sin.view()), errc::out_of_range, "tokens");
  auto heads      = q.view();
  heads.extent[1] = index_t{1} << 30;
  is(tenon::rope(where, heads, k.view(), positions.view(), cos_sin.view()), errc::out_of_range, "heads");
  EXPECT_TRUE(tenon::rope(where, none.view(), no_k.view(), nowhere.view(), cos_sin.view()).ok());
}

TEST(rope_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (bool const vectorised : {false, true}) {
      auto const chosen = tenon::choose_rope_policy({arch}, vectorised);
      EXPECT_EQ(std::count(std::begin(tenon::rope_menu), std::end(tenon::rope_menu), chosen), 1);
      EXPECT_EQ(chosen.on_host(), arch == 0);
    }
}

/// Runs one of vLLM's cases with a table that has the rows of its positions alone.
template <class T>
void agrees_with_vllm(char const* name, index_t heads, index_t kv_heads, index_t head_dim, index_t rotary_dim,
                      rope_style style, tenon::rope_scaling const& scaling, double atol, double rtol) {
  SCOPED_TRACE(name);
  auto const         vectors = *test::kernel_vectors(name);
  auto const         at      = vectors.values<std::int64_t>("positions");
  auto const         tokens  = static_cast<index_t>(at.size());
  std::vector<float> table(static_cast<std::size_t>(tokens * rotary_dim));
  auto const         rows = test::over(table, tokens, rotary_dim);
  for (index_t t = 0; t < tokens; ++t)
    ASSERT_TRUE(tenon::fill_rope_table(rows.slice(t, 1), 10000, scaling, at[static_cast<std::size_t>(t)]).ok());
  std::vector<std::int32_t> order;
  for (index_t t = 0; t < tokens; ++t) order.push_back(static_cast<std::int32_t>(t));
  test::tensor<std::int32_t, 1> positions(tokens);
  test::tensor<float, 2>        cos_sin(tokens, rotary_dim);
  test::tensor<T, 3>            q(tokens, heads, head_dim), k(tokens, kv_heads, head_dim);
  positions.assign(order), cos_sin.assign(table);
  test::on_every_target([&](tenon::context const& where) {
    q.assign(vectors.values<T>("q_in")), k.assign(vectors.values<T>("k_in"));
    ASSERT_TRUE(tenon::rope(where, q.view(), k.view(), positions.view(), cos_sin.view(), {.style = style}).ok());
    EXPECT_LE(test::excess(q.values(), vectors.values<float>("q_out"), atol, rtol), 0);
    EXPECT_LE(test::excess(k.values(), vectors.values<float>("k_out"), atol, rtol), 0);
  });
}

TEST(rope_vectors, agrees_with_vllm) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  auto const          half = rope_style::half_split, pairs = rope_style::interleaved;
  tenon::rope_scaling llama3{.kind = tenon::rope_scaling_kind::llama3, .factor = 4, .original_max_position = 32};
  tenon::rope_scaling yarn{.kind = tenon::rope_scaling_kind::yarn, .factor = 4, .original_max_position = 32};
  agrees_with_vllm<float>("rope_f32_pos_short", 4, 2, 64, 32, half, {}, 1e-5, 1e-5);
  agrees_with_vllm<float>("rope_f32_pos_131k", 4, 2, 64, 32, half, {}, 2e-2, 0);
  agrees_with_vllm<float>("long_rope_llama3_neox_f32_bands", 2, 1, 24, 16, half, llama3, 1e-5, 1e-5);
  agrees_with_vllm<bf16>("long_rope_llama3_gptj_bf16_bands", 2, 1, 24, 16, pairs, llama3, 1e-2, 1.6e-2);
  llama3.low_freq_factor = llama3.high_freq_factor = 2;
  agrees_with_vllm<float>("long_rope_llama3_neox_f32_equal_factors", 2, 1, 24, 16, half, llama3, 1e-5, 1e-5);
  agrees_with_vllm<float>("long_rope_yarn_neox_f32_truncate", 2, 1, 16, 8, half, yarn, 1e-5, 1e-5);
  yarn.attention_factor = 1.1 * (0.1 * std::log(4.0) + 1);
  agrees_with_vllm<bf16>("long_rope_yarn_neox_bf16", 2, 1, 16, 8, half, yarn, 1e-2, 1.6e-2);
  yarn.beta_fast = 16, yarn.beta_slow = 2, yarn.attention_factor = 0.8, yarn.extrapolation_factor = 0.75;
  yarn.truncate = false;
  agrees_with_vllm<float>("long_rope_yarn_gptj_f32_untruncated_no_mscale", 2, 1, 16, 8, pairs, yarn, 1e-5, 1e-5);
}

}  // namespace
