#include <tenon/kv/kv_append.hpp>
#include <tenon/kv/rope_kv_append.hpp>
#include <tenon/kv/rope_kv_append_ref.hpp>
#include <tenon/norm/rms_norm_ref.hpp>
#include <tenon/position/rope_ref.hpp>
#include <tenon/position/rope_table.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "kv_memory.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t, tenon::kv_fp8, tenon::kv_int4, tenon::kv_int8;
using tenon::kv_scales, tenon::paged_kv, tenon::qk_norm, tenon::rope_style;

struct shape {
  index_t tokens, heads, kv_heads, head_dim, value_dim, rotary_dim;
};
// One pair; nothing a vector could move; two rows in a warp; a part that is not turned; a warp's row; more than registers
// hold; no keys; no queries.
constexpr shape   shapes[]  = {{1, 1, 1, 2, 2, 2},    {3, 3, 1, 14, 6, 6},      {4, 2, 2, 64, 64, 64},
                               {4, 5, 1, 80, 48, 32}, {2, 6, 2, 128, 128, 128}, {2, 1, 1, 320, 34, 272},
                               {2, 2, 0, 16, 16, 16}, {3, 0, 2, 32, 32, 32}};
constexpr index_t positions = 9, pages = 3, page_size = 3;
constexpr float   eps = 1e-5f;

/// Inputs of one call: positions out of order, twice the same and outside the table on both sides; one slot of none.
template <class T>
struct inputs {
  shape                         s;
  test::tensor<T, 3>            k, v;
  test::tensor<std::int32_t, 1> at;
  test::tensor<float, 2>        cos_sin;
  test::tensor<std::int64_t, 1> slots;
  test::tensor<float, 1>        q_weight, k_weight;
  std::vector<T>                q0, k0, v0;
  std::vector<std::int32_t>     at0;
  std::vector<float>            table, q_weight0, k_weight0;
  std::vector<std::int64_t>     slots0;

  explicit inputs(shape const& of)
      : s(of),
        k(s.tokens, s.kv_heads, s.head_dim),
        v(s.tokens, s.kv_heads, s.value_dim),
        at(s.tokens),
        cos_sin(positions, s.rotary_dim),
        slots(s.tokens),
        q_weight(s.head_dim),
        k_weight(s.head_dim),
        table(std::size_t(positions * s.rotary_dim)) {
    EXPECT_TRUE(tenon::fill_rope_table(test::over(table, positions, s.rotary_dim), 10000).ok());
    q0 = test::tensor<T, 3>(s.tokens, s.heads, s.head_dim).random(1).values();
    k0 = k.random(2, 3).values(), v0 = v.random(3).values();
    q_weight0 = q_weight.random(4).values(), k_weight0 = k_weight.random(5).values();
    std::int32_t const order[]  = {7, -1, 7, 9};
    std::int64_t const places[] = {4, 8, -1, 0};
    at0.assign(order, order + s.tokens), slots0.assign(places, places + s.tokens);
    at.assign(at0), slots.assign(slots0), cos_sin.assign(table);
  }
  qk_norm<float> norm(bool wanted) const {
    return wanted ? qk_norm<float>{q_weight.view(), k_weight.view()} : qk_norm<float>{};
  }
  qk_norm<float> host_norm(bool wanted) const {
    return wanted ? qk_norm<float>{test::over(q_weight0, s.head_dim), test::over(k_weight0, s.head_dim)}
                  : qk_norm<float>{};
  }
  auto host_table() const { return test::over(table, positions, s.rotary_dim); }
  auto host_q(std::vector<T>& q) const { return test::over(q, s.tokens, s.heads, s.head_dim); }
  auto host_k() const { return test::over(k0, s.tokens, s.kv_heads, s.head_dim); }
  auto host_v() const { return test::over(v0, s.tokens, s.kv_heads, s.value_dim); }
};

/// Every written row of k against its definition in double precision: half a step of its format, and fp32's rounding.
template <class CK, class T>
void expect_keys(tenon::kv_pages<CK> const& got, inputs<T> const& x, tenon::rope_kv_append_options const& options,
                 bool normed) {
  for (index_t t = 0; t < x.s.tokens; ++t)
    for (index_t h = 0; h < x.s.kv_heads; ++h) {
      index_t const slot = x.slots0[std::size_t(t)];
      if (slot < 0) continue;
      auto const want    = tenon::ref::turned_head(x.host_k(), t, h, x.host_norm(normed).k, eps, x.host_table(),
                                                   x.at0[std::size_t(t)], options.style);
      double     largest = 0;
      for (double const w : want) largest = std::max(largest, std::abs(w));
      for (index_t d = 0; d < x.s.head_dim; ++d) {
        double const w     = want[std::size_t(d)];
        double const value = double(tenon::kv_value(got, slot / page_size, slot % page_size, h, d));
        double       bound = 4e-7 * largest;
        if constexpr (std::is_same_v<CK, kv_fp8>) {
          bound += std::max(std::abs(w) / 16, largest / 448 * std::ldexp(1., -10)) * 1.001;
        } else if constexpr (tenon::is_kv_codes<CK>) {
          auto const& scale =
              got.scale(slot / page_size, slot % page_size, h, CK::group ? d / std::max(CK::group, 1) : 0);
          bound += double(tenon::kv_scale(scale)) * 0.501;
        } else if constexpr (!std::is_same_v<CK, float>) {
          bound += std::abs(w) / (std::is_same_v<CK, bf16> ? 256 : 2048) * 1.001 + 6e-8;
        }
        ASSERT_LE(std::abs(value - w), bound)
            << "token " << t << " head " << h << " column " << d << ": " << value << " for " << w;
      }
    }
}

template <class CK, class CV, class T>
void expect_agreement() {
  for (auto const& s : shapes)
    for (rope_style const style : {rope_style::half_split, rope_style::interleaved})
      for (bool const normed : {false, true}) {
        SCOPED_TRACE("head_dim " + std::to_string(s.head_dim) + (normed ? " normed" : "") +
                     (style == rope_style::half_split ? " half_split" : " interleaved"));
        inputs<T> const                     x(s);
        tenon::rope_kv_append_options const options{.style = style, .eps = eps};
        test::kv_shape const                of_k{pages, page_size, s.kv_heads, s.head_dim};
        test::kv_shape const                of_v{pages, page_size, s.kv_heads, s.value_dim};
        test::on_every_target([&](tenon::context const& where) {
          test::kv_memory<CK> cache_k(of_k);
          test::kv_memory<CV> cache_v(of_v);
          auto                want_q = x.q0;
          tenon::ref::rope_kv_append(paged_kv<CK, CV>{cache_k.reference(), cache_v.reference()}, x.host_q(want_q),
                                     x.host_k(), x.host_v(), test::over(x.at0, s.tokens), x.host_table(),
                                     test::over(x.slots0, s.tokens), options, x.host_norm(normed));
          std::vector<T>            first;
          std::vector<std::uint8_t> keys;
          for (int run = 0; run < 2; ++run) {
            test::tensor<T, 3> q(s.tokens, s.heads, s.head_dim);
            q.assign(x.q0);
            ASSERT_TRUE(tenon::rope_kv_append(where, paged_kv<CK, CV>{cache_k.view(), cache_v.view()}, q.view(),
                                              x.k.view(), x.v.view(), x.at.view(), x.cos_sin.view(), x.slots.view(),
                                              options, x.norm(normed))
                            .ok());
            EXPECT_LE(test::relative_error(q.values(), want_q), test::tolerance<T>());
            EXPECT_TRUE(cache_v.agrees());  // as kv_append stores it, and nothing else
            auto       bytes = cache_k.copy();
            auto const got   = test::kv_over<CK>(bytes.data(), of_k);
            expect_keys<CK>(got, x, options, normed);
            if (testing::Test::HasFatalFailure()) return;
            if (run == 0) first = q.values(), keys = bytes;
            EXPECT_TRUE(test::same_bits(q.values(), first)) << "two runs differ";
            EXPECT_TRUE(test::same_bits(bytes, keys)) << "two runs differ";
            // What no slot names: equal to the reference once the rows that were written are.
            for (index_t t = 0; t < s.tokens; ++t)
              if (x.slots0[std::size_t(t)] >= 0)
                for (index_t h = 0; h < s.kv_heads; ++h) {
                  index_t const page  = x.slots0[std::size_t(t)] / page_size,
                                place = x.slots0[std::size_t(t)] % page_size;
                  auto const want     = cache_k.reference();
                  if constexpr (tenon::is_kv_codes<CK>) {
                    for (index_t b = 0; b < got.code.extent[3]; ++b)
                      got.code(page, place, h, b) = want.code(page, place, h, b);
                    for (index_t g = 0; g < got.scale.extent[3]; ++g)
                      got.scale(page, place, h, g) = want.scale(page, place, h, g);
                  } else {
                    for (index_t d = 0; d < s.head_dim; ++d) got(page, place, h, d) = want(page, place, h, d);
                  }
                }
            EXPECT_TRUE(test::same_bits(bytes, cache_k.host)) << "wrote where no slot is";
          }
        });
      }
}

TEST(rope_kv_append, numbers) { expect_agreement<float, float, float>(); }
TEST(rope_kv_append, int8_and_int4_of_bf16) { expect_agreement<kv_int8, kv_int4, bf16>(); }
TEST(rope_kv_append, fp8_and_numbers_of_f16) { expect_agreement<kv_fp8, f16, f16>(); }
TEST(rope_kv_append, int4_and_fp8) { expect_agreement<kv_int4, kv_fp8, float>(); }
TEST(rope_kv_append, rounds_once_to_the_caches_type) { expect_agreement<bf16, kv_int8, float>(); }

// In f32 the fused operator is the three steps: norm, rope, append.
TEST(rope_kv_append, equals_the_steps_one_after_the_other) {
  shape const s{4, 4, 2, 64, 64, 32};
  for (rope_style const style : {rope_style::half_split, rope_style::interleaved})
    for (bool const normed : {false, true}) {
      inputs<float> const x(s);
      auto                q = x.q0, k = x.k0;
      if (normed)
        for (auto* y : {&q, &k}) {
          auto const rows = test::over(*y, index_t(y->size()) / s.head_dim, s.head_dim);
          tenon::ref::rms_norm(rows, rows, test::over(y == &q ? x.q_weight0 : x.k_weight0, s.head_dim), eps,
                               tenon::identity{});
        }
      for (auto* y : {&q, &k})
        tenon::ref::rope(test::over(*y, s.tokens, y == &q ? s.heads : s.kv_heads, s.head_dim),
                         test::over(x.at0, s.tokens), x.host_table(), style);
      test::on_every_target([&](tenon::context const& where) {
        test::kv_memory<float> cache_k({pages, page_size, s.kv_heads, s.head_dim});
        test::kv_memory<float> cache_v({pages, page_size, s.kv_heads, s.value_dim});
        tenon::ref::kv_append(paged_kv<float>{cache_k.reference(), cache_v.reference()},
                              test::over(k, s.tokens, s.kv_heads, s.head_dim), x.host_v(),
                              test::over(x.slots0, s.tokens));
        test::tensor<float, 3> got_q(s.tokens, s.heads, s.head_dim);
        got_q.assign(x.q0);
        ASSERT_TRUE(tenon::rope_kv_append(where, paged_kv<float>{cache_k.view(), cache_v.view()}, got_q.view(),
                                          x.k.view(), x.v.view(), x.at.view(), x.cos_sin.view(), x.slots.view(),
                                          {.style = style, .eps = eps}, x.norm(normed))
                        .ok());
        EXPECT_LE(test::relative_error(got_q.values(), q), 2e-6);
        EXPECT_TRUE(cache_v.agrees());
        auto       bytes = cache_k.copy();
        auto const got = test::kv_over<float>(bytes.data(), cache_k.shape), want = cache_k.reference();
        for (index_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got.data[i], want.data[i], 1e-5f) << i;
      });
    }
}

// q, k and v are columns of one (tokens, heads + 2 kv_heads, head_dim) tensor; `apart` decides whether rows may move in
// vectors. k and v stay as they are.
TEST(rope_kv_append_layout, takes_slices_of_one_tensor) {
  shape const s{3, 3, 1, 32, 32, 32};
  for (index_t const apart : {index_t{5 * 32}, index_t{5 * 32 + 3}}) {
    inputs<float> const x(s);
    std::vector<float>  fused(std::size_t(s.tokens * apart), 7.f);
    for (index_t t = 0; t < s.tokens; ++t)
      for (index_t i = 0; i < 5 * 32; ++i)
        fused[std::size_t(t * apart + i)] = i < 96    ? x.q0[std::size_t(t * 96 + i)]
                                            : i < 128 ? x.k0[std::size_t(t * 32 + i - 96)]
                                                      : x.v0[std::size_t(t * 32 + i - 128)];
    auto const slice = [&](float* data, index_t first, index_t heads) {
      return tenon::tensor_view<float, 3>{data + first * 32, {s.tokens, heads, 32}, {apart, 32, 1}};
    };
    auto want = fused;
    test::on_every_target([&](tenon::context const& where) {
      test::kv_memory<kv_int8> cache_k({pages, page_size, 1, 32}), cache_v({pages, page_size, 1, 32});
      want = fused;
      tenon::ref::rope_kv_append(paged_kv<kv_int8>{cache_k.reference(), cache_v.reference()}, slice(want.data(), 0, 3),
                                 slice(want.data(), 3, 1), slice(want.data(), 4, 1), test::over(x.at0, s.tokens),
                                 x.host_table(), test::over(x.slots0, s.tokens));
      test::tensor<float, 1> buffer(s.tokens * apart);
      buffer.assign(fused);
      float* const at = buffer.view().data;
      ASSERT_TRUE(tenon::rope_kv_append(where, paged_kv<kv_int8>{cache_k.view(), cache_v.view()}, slice(at, 0, 3),
                                        slice(at, 3, 1), slice(at, 4, 1), x.at.view(), x.cos_sin.view(), x.slots.view())
                      .ok());
      auto const got = buffer.values();
      for (index_t i = 0; i < index_t(got.size()); ++i) {
        if (i % apart < 96) ASSERT_NEAR(got[std::size_t(i)], want[std::size_t(i)], 2e-6f) << i;
        else ASSERT_EQ(got[std::size_t(i)], want[std::size_t(i)]) << i;
      }
      EXPECT_TRUE(cache_v.agrees());
      auto       bytes = cache_k.copy();
      auto const keys  = test::kv_over<kv_int8>(bytes.data(), cache_k.shape);
      expect_keys<kv_int8>(keys, x, {}, false);
    });
  }
}

TEST(rope_kv_append, keeps_nan_to_its_row) {
  shape const s{3, 2, 2, 64, 64, 32};
  inputs<f16> x(s);
  auto const  nan = f16(std::numeric_limits<float>::quiet_NaN());
  x.slots.assign({0, 1, 2});
  x.q0[64 + 3]  = nan;  // token 0 head 1: a turned column
  x.k0[128 + 5] = nan;  // token 1 head 0
  x.v0[256 + 9] = nan;  // token 2 head 0
  x.k.assign(x.k0), x.v.assign(x.v0), x.at.assign({1, 2, 3});
  for (bool const normed : {false, true})
    test::on_every_target([&](tenon::context const& where) {
      test::kv_memory<kv_int8> cache_k({pages, page_size, 2, 64}), cache_v({pages, page_size, 2, 64});
      test::tensor<f16, 3>     q(s.tokens, s.heads, s.head_dim);
      q.assign(x.q0);
      ASSERT_TRUE(tenon::rope_kv_append(where, paged_kv<kv_int8>{cache_k.view(), cache_v.view()}, q.view(), x.k.view(),
                                        x.v.view(), x.at.view(), x.cos_sin.view(), x.slots.view(), {}, x.norm(normed))
                      .ok());
      auto const got = q.values();
      for (std::size_t i = 0; i < got.size(); ++i) {
        bool const bad = normed ? i / 64 == 1 : i == 64 + 3 || i == 64 + 3 + 16;  // all of a head, or its pair
        ASSERT_EQ(std::isnan(static_cast<float>(got[i])), bad) << i;
      }
      auto       k_bytes = cache_k.copy(), v_bytes = cache_v.copy();
      auto const ks = test::kv_over<kv_int8>(k_bytes.data(), cache_k.shape);
      auto const vs = test::kv_over<kv_int8>(v_bytes.data(), cache_v.shape);
      for (index_t t = 0; t < 3; ++t)
        for (index_t h = 0; h < 2; ++h)
          for (index_t d = 0; d < 64; ++d) {
            ASSERT_EQ(std::isnan(tenon::kv_value(ks, 0, t, h, d)), t == 1 && h == 0);
            ASSERT_EQ(std::isnan(tenon::kv_value(vs, 0, t, h, d)), t == 2 && h == 0);
          }
    });
}

TEST(rope_kv_append, given_scales_are_read) {
  shape const        s{2, 1, 2, 64, 64, 64};
  inputs<bf16> const x(s);
  std::vector<float> scale{0.03f, 0.01f};
  test::on_every_target([&](tenon::context const& where) {
    test::kv_memory<kv_fp8> cache_k({pages, page_size, 2, 64}), cache_v({pages, page_size, 2, 64});
    test::tensor<float, 1>  scales(2);
    test::tensor<bf16, 3>   q(s.tokens, s.heads, s.head_dim);
    scales.assign(scale), q.assign(x.q0);
    auto const with = [](tenon::kv_code_pages<kv_fp8> kv, float* data) {
      kv.scale.data = data;
      for (index_t& stride : kv.scale.stride) stride = 0;
      return kv;
    };
    tenon::rope_kv_append_options const given{.k_scales = kv_scales::given, .v_scales = kv_scales::given};
    auto                                want_q = x.q0;
    tenon::ref::rope_kv_append(
        paged_kv<kv_fp8>{with(cache_k.reference(), scale.data()), with(cache_v.reference(), scale.data() + 1)},
        x.host_q(want_q), x.host_k(), x.host_v(), test::over(x.at0, s.tokens), x.host_table(),
        test::over(x.slots0, s.tokens), given);
    ASSERT_TRUE(
        tenon::rope_kv_append(
            where,
            paged_kv<kv_fp8>{with(cache_k.view(), scales.view().data), with(cache_v.view(), scales.view().data + 1)},
            q.view(), x.k.view(), x.v.view(), x.at.view(), x.cos_sin.view(), x.slots.view(), given)
            .ok());
    EXPECT_TRUE(cache_v.agrees());
    EXPECT_TRUE(test::same_bits(scales.values(), scale));
    // Codes of k: those of the reference, or one beside where fp32 rounded a turned value the other way.
    auto const got = cache_k.copy();
    int        off = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_LE(std::abs(int(got[i]) - int(cache_k.host[i])), 1) << i;
      off += got[i] != cache_k.host[i];
    }
    EXPECT_LE(off, 2);
  });
}

TEST(rope_kv_append, of_nothing_is_ok) {
  test::tensor<float, 3>        none(0, 1, 8), q(2, 2, 8), no_heads(2, 0, 8);
  test::tensor<std::int64_t, 1> nowhere(0), slots(2);
  test::tensor<std::int32_t, 1> no_position(0), at(2);
  test::tensor<float, 2>        cos_sin(4, 8), empty(0, 8), unturned(4, 0);
  q.random(1), slots.assign({0, 1}), at.assign({1, 2}), cos_sin.fill(0.5f);
  auto const before = q.values();
  test::on_every_target([&](tenon::context const& where) {
    test::kv_memory<kv_int8> cache({2, 2, 1, 8}), headless({2, 2, 0, 8}), pageless({0, 2, 1, 8});
    auto const               on = [](auto& c) { return paged_kv<kv_int8>{c.view(), c.view()}; };
    EXPECT_TRUE(tenon::rope_kv_append(where, on(cache), none.view(), none.view(), none.view(), no_position.view(),
                                      cos_sin.view(), nowhere.view())
                    .ok());
    EXPECT_TRUE(tenon::rope_kv_append(where, on(headless), no_heads.view(), no_heads.view(), no_heads.view(), at.view(),
                                      cos_sin.view(), slots.view())
                    .ok());
    // Nothing to turn by: q keeps its bits.
    for (auto* table : {&empty, &unturned}) {
      EXPECT_TRUE(tenon::rope_kv_append(where, on(headless), q.view(), no_heads.view(), no_heads.view(), at.view(),
                                        table->view(), slots.view())
                      .ok());
      EXPECT_TRUE(test::same_bits(q.values(), before));
    }
    // A cache without pages takes nothing, q is turned all the same.
    test::tensor<float, 3> turned(2, 1, 8);
    turned.fill(1.f);
    EXPECT_TRUE(tenon::rope_kv_append(where, on(pageless), turned.view(), turned.view(), turned.view(), at.view(),
                                      cos_sin.view(), slots.view())
                    .ok());
    EXPECT_EQ(turned.values()[0], 0.f);
    EXPECT_EQ(turned.values()[4], 1.f);
  });
}

TEST(rope_kv_append_contract, names_what_is_wrong) {
  test::tensor<float, 3>        q(2, 3, 8), k(2, 1, 8), narrow(2, 1, 6), fewer(1, 1, 8);
  test::tensor<std::int64_t, 1> slots(2), few(1);
  test::tensor<std::int32_t, 1> at(2), three(3);
  test::tensor<float, 2>        cos_sin(4, 8), odd(4, 7), wide(4, 10);
  test::tensor<float, 1>        weight(8), short_weight(6);
  test::kv_memory<kv_int8>      eight({2, 2, 1, 8});
  tenon::context const          where{};
  paged_kv<kv_int8> const       kv{eight.view(), eight.view()};
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "rope_kv_append");
  };
  auto const call = [&](auto const& q_, auto const& k_, auto const& v_, auto const& at_, auto const& table,
                        auto const& slots_, tenon::rope_kv_append_options o = {}, qk_norm<float> n = {}) {
    return tenon::rope_kv_append(where, kv, q_, k_, v_, at_, table, slots_, o, n);
  };
  auto const Q = q.view(), K = k.view();
  is(call(Q, narrow.view(), K, at.view(), cos_sin.view(), slots.view()), errc::shape_mismatch, "head_dim");
  is(call(Q, fewer.view(), K, at.view(), cos_sin.view(), slots.view()), errc::shape_mismatch, "tokens");
  is(call(Q, K, narrow.view(), at.view(), cos_sin.view(), slots.view()), errc::shape_mismatch, "value_dim");
  is(call(Q, K, Q, at.view(), cos_sin.view(), slots.view()), errc::shape_mismatch, "kv_heads");
  is(call(Q, K, K, three.view(), cos_sin.view(), slots.view()), errc::shape_mismatch, "tokens");
  is(call(Q, K, K, at.view(), cos_sin.view(), few.view()), errc::shape_mismatch, "tokens");
  is(call(Q, K, K, at.view(), odd.view(), slots.view()), errc::out_of_range, "rotary_dim");
  is(call(Q, K, K, at.view(), wide.view(), slots.view()), errc::out_of_range, "rotary_dim");
  is(call(Q, K, K, at.view(), cos_sin.view(), slots.view(), {.v_scales = kv_scales::given}), errc::unsupported,
     "v_scales");
  is(call(Q, K, K, at.view(), cos_sin.view(), slots.view(), {}, {short_weight.view(), weight.view()}),
     errc::shape_mismatch, "q_norm");
  is(call(Q, K, K, at.view(), cos_sin.view(), slots.view(), {}, {weight.view(), short_weight.view()}),
     errc::shape_mismatch, "k_norm");
  is(call(Q, K, K, at.view(), cos_sin.view(), slots.view(), {.eps = 0}, {weight.view(), {}}), errc::out_of_range,
     "eps");
  auto sparse      = Q;
  sparse.stride[2] = 2;
  is(call(sparse, K, K, at.view(), cos_sin.view(), slots.view()), errc::bad_stride, "q");
  auto crooked = K;
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 2);
  is(call(Q, crooked, K, at.view(), cos_sin.view(), slots.view()), errc::misaligned, "k");
  auto flipped      = cos_sin.view();
  flipped.stride[1] = 4;
  is(call(Q, K, K, at.view(), flipped, slots.view()), errc::bad_stride, "cos_sin");
}

}  // namespace
