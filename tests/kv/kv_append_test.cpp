#include <tenon/kv/kv_append.hpp>
#include <tenon/kv/kv_append_ref.hpp>

#include <gtest/gtest.h>

#include <limits>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "kv_memory.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t;

struct shape {
  index_t tokens, kv_heads, head_dim, value_dim, pages, page_size;
};
constexpr shape shapes[] = {
    {1, 1, 8, 8, 1, 1}, {3, 2, 7, 5, 4, 1}, {5, 4, 8, 16, 3, 16}, {9, 3, 64, 64, 5, 3}, {2, 1, 256, 8, 1, 64}};

template <class CK, class CV, class T>
void expect_agreement() {
  for (auto const& s : shapes) {
    SCOPED_TRACE(std::to_string(s.tokens) + " tokens of " + std::to_string(s.head_dim));
    test::tensor<T, 3>            k(s.tokens, s.kv_heads, s.head_dim), v(s.tokens, s.kv_heads, s.value_dim);
    test::tensor<std::int64_t, 1> slots(s.tokens);
    k.random(1), v.random(2), slots.assign(test::scattered_slots(s.tokens, s.pages * s.page_size));
    std::vector<CK> want_k(std::size_t(s.pages * s.page_size * s.kv_heads * s.head_dim), CK(9.f));
    std::vector<CV> want_v(std::size_t(s.pages * s.page_size * s.kv_heads * s.value_dim), CV(9.f));
    auto const      ks = k.values(), vs = v.values();
    auto const      at = slots.values();
    tenon::ref::kv_append(tenon::paged_kv{test::over(want_k, s.pages, s.page_size, s.kv_heads, s.head_dim),
                                          test::over(want_v, s.pages, s.page_size, s.kv_heads, s.value_dim)},
                          test::over(ks, s.tokens, s.kv_heads, s.head_dim),
                          test::over(vs, s.tokens, s.kv_heads, s.value_dim), test::over(at, s.tokens));
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<CK, 4> cache_k(s.pages, s.page_size, s.kv_heads, s.head_dim);
      test::tensor<CV, 4> cache_v(s.pages, s.page_size, s.kv_heads, s.value_dim);
      cache_k.fill(CK(9.f)), cache_v.fill(CV(9.f));
      ASSERT_TRUE(
          tenon::kv_append(where, tenon::paged_kv{cache_k.view(), cache_v.view()}, k.view(), v.view(), slots.view())
              .ok());
      EXPECT_TRUE(test::same_bits(cache_k.values(), want_k));  // what no slot names keeps its 9
      EXPECT_TRUE(test::same_bits(cache_v.values(), want_v));
    });
  }
}

TEST(kv_append, writes_the_slots_and_nothing_else) {
  expect_agreement<float, float, float>();
  expect_agreement<bf16, bf16, bf16>();
}

TEST(kv_append, rounds_to_the_caches_types) {
  expect_agreement<bf16, f16, float>();
  expect_agreement<f16, float, bf16>();
}

TEST(kv_append, keeps_every_bit_of_its_own_type) {
  std::vector<bf16> pattern;
  for (int i = 0; i < 1024; ++i)
    pattern.push_back(bf16::from_bits(static_cast<std::uint16_t>(i * 64 + 1)));  // NaNs too
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 3>         k(16, 1, 64);
    test::tensor<bf16, 4>         cache_k(4, 4, 1, 64), cache_v(4, 4, 1, 64);
    test::tensor<std::int64_t, 1> slots(16);
    k.assign(pattern), slots.assign({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    ASSERT_TRUE(
        tenon::kv_append(where, tenon::paged_kv{cache_k.view(), cache_v.view()}, k.view(), k.view(), slots.view())
            .ok());
    EXPECT_TRUE(test::same_bits(cache_k.values(), pattern));
    EXPECT_TRUE(test::same_bits(cache_v.values(), pattern));
  });
}

TEST(kv_append, ignores_slots_outside_the_cache) {
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3>        k(4, 1, 8);
    test::tensor<float, 4>        cache(2, 2, 1, 8);
    test::tensor<std::int64_t, 1> slots(4);
    k.random(1), cache.fill(9.f);
    slots.assign({-1, 4, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()});
    ASSERT_TRUE(
        tenon::kv_append(where, tenon::paged_kv{cache.view(), cache.view()}, k.view(), k.view(), slots.view()).ok());
    for (float const v : cache.values()) ASSERT_EQ(v, 9.f);
  });
}

// (pages, kv_heads, page_size, head_dim) in memory; k and v are slices of one (tokens, 2 * kv_heads, head_dim) tensor.
TEST(kv_append, takes_any_strides) {
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3>        qkv(3, 4, 8);
    test::tensor<float, 4>        k(2, 2, 5, 8), v(2, 2, 5, 8);
    test::tensor<std::int64_t, 1> slots(3);
    qkv.random(1), k.fill(0.f), v.fill(0.f), slots.assign({7, 0, 4});
    auto const turned = [](tenon::tensor_view<float, 4> x) {
      return tenon::tensor_view<float, 4>{x.data, {2, 5, 2, 8}, {80, 8, 40, 1}};
    };
    tenon::tensor_view<float, 3> k_new{qkv.view().data, {3, 2, 8}, {32, 8, 1}}, v_new = k_new;
    v_new.data += 16;
    ASSERT_TRUE(
        tenon::kv_append(where, tenon::paged_kv{turned(k.view()), turned(v.view())}, k_new, v_new, slots.view()).ok());
    auto const         from = qkv.values(), ks = k.values(), vs = v.values();
    std::int64_t const at[] = {7, 0, 4};
    for (int t = 0; t < 3; ++t)
      for (int h = 0; h < 2; ++h)
        for (int d = 0; d < 8; ++d) {
          auto const to = std::size_t((at[t] / 5 * 2 + h) * 40 + at[t] % 5 * 8 + d);
          EXPECT_EQ(ks[to], from[std::size_t(t * 32 + h * 8 + d)]);
          EXPECT_EQ(vs[to], from[std::size_t(t * 32 + 16 + h * 8 + d)]);
        }
  });
}

TEST(kv_append, of_nothing_is_ok) {
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3>        k(0, 1, 8);
    test::tensor<float, 4>        cache(2, 2, 1, 8);
    test::tensor<std::int64_t, 1> slots(0);
    EXPECT_TRUE(
        tenon::kv_append(where, tenon::paged_kv{cache.view(), cache.view()}, k.view(), k.view(), slots.view()).ok());
  });
}

TEST(kv_append_contract, names_what_is_wrong) {
  test::tensor<float, 3>        k(2, 1, 8), wide(2, 1, 16);
  test::tensor<float, 4>        cache(2, 2, 1, 8);
  test::tensor<std::int64_t, 1> slots(2), few(1);
  tenon::paged_kv const         kv{cache.view(), cache.view()};
  auto const                    expect = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
  };
  tenon::context const where{};
  expect(tenon::kv_append(where, kv, k.view(), k.view(), few.view()), errc::shape_mismatch, "tokens");
  expect(tenon::kv_append(where, kv, wide.view(), k.view(), slots.view()), errc::shape_mismatch, "head_dim");
  expect(tenon::kv_append(where, kv, k.view(), wide.view(), slots.view()), errc::shape_mismatch, "value_dim");
  auto strided        = kv;
  strided.k.stride[3] = 2;
  expect(tenon::kv_append(where, strided, k.view(), k.view(), slots.view()), errc::bad_stride, "cache.k");
  auto other        = kv;
  other.v.extent[1] = 1;
  expect(tenon::kv_append(where, other, k.view(), k.view(), slots.view()), errc::shape_mismatch, "page_size");
  auto odd = k.view();
  odd.data = reinterpret_cast<float*>(reinterpret_cast<char*>(odd.data) + 2);
  expect(tenon::kv_append(where, kv, odd, k.view(), slots.view()), errc::misaligned, "k");
}

}  // namespace
