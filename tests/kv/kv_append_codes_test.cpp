#include <tenon/kv/kv_append.hpp>
#include <tenon/kv/kv_append_ref.hpp>

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
using tenon::kv_scales, tenon::paged_kv;

struct shape {
  index_t tokens, kv_heads, head_dim, value_dim, pages, page_size;
};
// A pair; half a group and a part; lanes of two rows in a warp; a group's tail; a warp's row; more than registers hold.
constexpr shape shapes[] = {{1, 1, 2, 2, 1, 1},    {3, 2, 18, 6, 4, 1},    {5, 3, 64, 32, 3, 16},
                            {6, 1, 80, 64, 2, 16}, {3, 2, 128, 256, 5, 3}, {2, 2, 320, 34, 1, 5}};

/// Rows with means and magnitudes of their own; one is constant, one zero, one holds NaN, one an infinity.
template <class T>
std::vector<T> rows_of_all_kinds(index_t rows, index_t width, std::uint64_t seed) {
  test::tensor<T, 2> x(rows, width);
  auto               v = x.random(seed).values();
  for (index_t r = 0; r < rows; ++r)
    for (index_t d = 0; d < width; ++d) {
      T& e = v[std::size_t(r * width + d)];
      if (r % 7 == 1) e = T(0.f);
      else if (r % 7 == 2) e = T(-3.3f);
      else if (r % 7 == 3 && d == width / 2) e = T(-std::numeric_limits<float>::quiet_NaN());
      else if (r % 7 == 4 && d == width - 1) e = T(std::numeric_limits<float>::infinity());
      else e = T(std::ldexp(static_cast<float>(e), int(r % 5) * 3 - 6) + float(r % 3));
    }
  return v;
}

template <class CK, class CV, class T>
void expect_agreement() {
  for (auto const& s : shapes) {
    SCOPED_TRACE(std::to_string(s.tokens) + " tokens of " + std::to_string(s.head_dim));
    test::tensor<T, 3>            k(s.tokens, s.kv_heads, s.head_dim), v(s.tokens, s.kv_heads, s.value_dim);
    test::tensor<std::int64_t, 1> slots(s.tokens);
    auto const                    ks = rows_of_all_kinds<T>(s.tokens * s.kv_heads, s.head_dim, 1);
    auto const                    vs = rows_of_all_kinds<T>(s.tokens * s.kv_heads, s.value_dim, 2);
    k.assign(ks), v.assign(vs), slots.assign(test::scattered_slots(s.tokens, s.pages * s.page_size));
    auto const at = slots.values();
    test::on_every_target([&](tenon::context const& where) {
      test::kv_memory<CK> cache_k({s.pages, s.page_size, s.kv_heads, s.head_dim});
      test::kv_memory<CV> cache_v({s.pages, s.page_size, s.kv_heads, s.value_dim});
      tenon::ref::kv_append(paged_kv<CK, CV>{cache_k.reference(), cache_v.reference()},
                            test::over(ks, s.tokens, s.kv_heads, s.head_dim),
                            test::over(vs, s.tokens, s.kv_heads, s.value_dim), test::over(at, s.tokens));
      for (int run = 0; run < 2; ++run) {
        ASSERT_TRUE(
            tenon::kv_append(where, paged_kv<CK, CV>{cache_k.view(), cache_v.view()}, k.view(), v.view(), slots.view())
                .ok());
        EXPECT_TRUE(cache_k.agrees());  // every code, every scale, and not a byte of what no slot names
        EXPECT_TRUE(cache_v.agrees());
      }
    });
  }
}

TEST(kv_append_codes, int8) { expect_agreement<kv_int8, kv_int8, float>(); }
TEST(kv_append_codes, int4) { expect_agreement<kv_int4, kv_int4, bf16>(); }
TEST(kv_append_codes, fp8_beside_int8) { expect_agreement<kv_fp8, kv_int8, f16>(); }
TEST(kv_append_codes, int4_beside_numbers) { expect_agreement<kv_int4, f16, float>(); }
TEST(kv_append_codes, numbers_beside_fp8) { expect_agreement<bf16, kv_fp8, bf16>(); }

// What a page is for: (x - value) of every column within half a scale, NaN where a scale's columns held one.
template <class Format>
void expect_covered() {
  index_t const                 tokens = 7, heads = 2, width = 96;
  test::tensor<float, 3>        x(tokens, heads, width);
  test::tensor<std::int64_t, 1> slots(tokens);
  auto const                    xs = rows_of_all_kinds<float>(tokens * heads, width, 3);
  x.assign(xs), slots.assign({3, 1, 0, 5, 6, 2, 4});
  auto const at = slots.values();
  test::on_every_target([&](tenon::context const& where) {
    test::kv_memory<Format> cache({2, 4, heads, width}), other({2, 4, heads, width});
    ASSERT_TRUE(
        tenon::kv_append(where, paged_kv<Format>{cache.view(), other.view()}, x.view(), x.view(), slots.view()).ok());
    auto          bytes = cache.copy();
    auto const    pages = test::kv_over<Format>(bytes.data(), cache.shape);
    index_t const span  = Format::group ? Format::group : width;
    for (index_t t = 0; t < tokens; ++t)
      for (index_t h = 0; h < heads; ++h)
        for (index_t d = 0; d < width; ++d) {
          float const* row    = &xs[std::size_t((t * heads + h) * width)];
          auto const   slot   = at[std::size_t(t)];
          auto const&  scale  = pages.scale(slot / 4, slot % 4, h, d / span);
          float const  value  = tenon::kv_value(pages, slot / 4, slot % 4, h, d);
          bool const   finite = std::all_of(row + d / span * span, row + d / span * span + span,
                                            [](float v) { return std::isfinite(v); });
          ASSERT_EQ(std::isnan(value), !finite) << "token " << t << " head " << h << " column " << d;
          if (finite) {
            ASSERT_LE(std::abs(value - row[d]), tenon::kv_scale(scale) * 0.501f) << value << " for " << row[d];
          }
        }
  });
}
TEST(kv_append_codes, are_within_half_a_scale) {
  expect_covered<kv_int8>();
  expect_covered<kv_int4>();
}

// (pages, kv_heads, page_size, width) in memory, scales in a plane of their own, k and v slices of one tensor. `apart` bytes
// between rows and `shift` before the first decide whether rows may move in vectors.
template <class Format, class T>
void expect_any_strides(index_t apart, index_t shift) {
  index_t const tokens = 3, heads = 2, width = 64, bytes = width * Format::bits / 8 + apart, pages = 2, page_size = 5;
  index_t const groups = tenon::kv_groups<Format>(width), places = pages * heads * page_size;
  using scale_type = typename Format::scale_type;
  auto const over  = [&](std::uint8_t* code, scale_type* scale) {
    return tenon::kv_code_pages<Format>{
        {code + shift,
         {pages, page_size, heads, bytes - apart},
         {heads * page_size * bytes, bytes, page_size * bytes, 1}},
        {scale, {pages, page_size, heads, groups}, {page_size, 1, pages * page_size, places}}};
  };
  test::tensor<T, 3>            kv(tokens, 2 * heads, width);
  test::tensor<std::int64_t, 1> slots(tokens);
  auto const                    values = kv.random(1).values();
  slots.assign({7, 0, 4});
  auto const slices = [&](auto* data) {
    using view = tenon::tensor_view<std::remove_pointer_t<decltype(data)>, 3>;
    return std::pair(view{data, {tokens, heads, width}, {2 * heads * width, width, 1}},
                     view{data + heads * width, {tokens, heads, width}, {2 * heads * width, width, 1}});
  };
  auto const                at = slots.values();
  std::vector<std::uint8_t> want_k(std::size_t(places * bytes + shift), 9), want_v       = want_k;
  std::vector<scale_type>   scale_k(std::size_t(places * groups), scale_type{}), scale_v = scale_k;
  auto const                from = slices(values.data());
  tenon::ref::kv_append(paged_kv<Format>{over(want_k.data(), scale_k.data()), over(want_v.data(), scale_v.data())},
                        from.first, from.second, test::over(at, tokens));
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::uint8_t, 1> code_k(places * bytes + shift), code_v(places * bytes + shift);
    test::tensor<scale_type, 1>   got_k(places * groups), got_v(places * groups);
    code_k.fill(9), code_v.fill(9), got_k.fill(scale_type{}), got_v.fill(scale_type{});
    auto const given = slices(kv.view().data);
    ASSERT_TRUE(tenon::kv_append(where,
                                 paged_kv<Format>{over(code_k.view().data, got_k.view().data),
                                                  over(code_v.view().data, got_v.view().data)},
                                 given.first, given.second, slots.view())
                    .ok());
    EXPECT_TRUE(test::same_bits(code_k.values(), want_k));
    EXPECT_TRUE(test::same_bits(code_v.values(), want_v));
    EXPECT_TRUE(test::same_bits(got_k.values(), scale_k));
    EXPECT_TRUE(test::same_bits(got_v.values(), scale_v));
  });
}
TEST(kv_append_codes, take_any_strides) {
  for (index_t const apart : {0, 3})
    for (index_t const shift : {0, 1}) {
      SCOPED_TRACE(std::to_string(apart) + " bytes between rows, " + std::to_string(shift) + " before");
      expect_any_strides<kv_int8, float>(apart, shift);
      expect_any_strides<kv_int4, bf16>(apart, shift);
      expect_any_strides<kv_fp8, f16>(apart, shift);
    }
}

// One scale for the tensor, one per head: views with strides of 0 that are read and not written.
TEST(kv_append_codes, given_scales_are_read) {
  index_t const                 tokens = 3, heads = 3, width = 48, pages = 2, page_size = 2;
  test::tensor<f16, 3>          k(tokens, heads, width), v(tokens, heads, width);
  test::tensor<std::int64_t, 1> slots(tokens);
  auto const                    ks = k.random(1, 300).values(), vs = v.random(2).values();  // some of k saturates
  slots.assign({3, 0, 2});
  auto const                     at    = slots.values();
  std::vector<float> const       scale = {0.5f, 0.01f, 0.02f, 0.04f};
  tenon::kv_append_options const given{kv_scales::given, kv_scales::given};
  auto const                     with = [&](auto kv, float* scales, bool per_head) {
    kv.scale.data = scales;
    for (index_t& stride : kv.scale.stride) stride = 0;
    if (per_head) kv.scale.stride[2] = 1;
    return kv;
  };
  test::on_every_target([&](tenon::context const& where) {
    test::kv_memory<kv_fp8> cache_k({pages, page_size, heads, width}), cache_v({pages, page_size, heads, width});
    test::tensor<float, 1>  scales(4);
    scales.assign(scale);
    auto host = scale;
    tenon::ref::kv_append(paged_kv<kv_fp8>{with(cache_k.reference(), host.data(), false),
                                           with(cache_v.reference(), host.data() + 1, true)},
                          test::over(ks, tokens, heads, width), test::over(vs, tokens, heads, width),
                          test::over(at, tokens), given);
    ASSERT_TRUE(tenon::kv_append(where,
                                 paged_kv<kv_fp8>{with(cache_k.view(), scales.view().data, false),
                                                  with(cache_v.view(), scales.view().data + 1, true)},
                                 k.view(), v.view(), slots.view(), given)
                    .ok());
    EXPECT_TRUE(cache_k.agrees());  // the scales inside the pages are not touched
    EXPECT_TRUE(cache_v.agrees());
    EXPECT_TRUE(test::same_bits(scales.values(), scale));
    // A look at one number: code times the given scale.
    auto const    bytes  = cache_v.copy();
    index_t const offset = 1 * tenon::kv_page_bytes<kv_fp8>(page_size, heads, width) + (1 * heads + 2) * width;
    float const   number = tenon::kv_code_number<kv_fp8>(&bytes[std::size_t(offset)], 5);
    EXPECT_NEAR(number * 0.04f, static_cast<float>(vs[2 * 48 + 5]),
                0.07f * std::abs(static_cast<float>(vs[2 * 48 + 5])));
  });
}

TEST(kv_append_codes, of_slots_outside_write_nothing) {
  test::tensor<float, 3>        k(4, 1, 64);
  test::tensor<std::int64_t, 1> slots(4);
  k.random(1);
  slots.assign({-1, 4, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()});
  test::on_every_target([&](tenon::context const& where) {
    test::kv_memory<kv_int4> cache({2, 2, 1, 64});
    ASSERT_TRUE(
        tenon::kv_append(where, paged_kv<kv_int4>{cache.view(), cache.view()}, k.view(), k.view(), slots.view()).ok());
    EXPECT_TRUE(cache.agrees());
  });
}

TEST(kv_append_codes, of_nothing_are_ok) {
  test::tensor<float, 3>        none(0, 1, 8), no_heads(2, 0, 8), narrow(2, 1, 0), k(2, 1, 8);
  test::tensor<std::int64_t, 1> nowhere(0), slots(2);
  slots.assign({0, 1});
  test::on_every_target([&](tenon::context const& where) {
    auto const append = [&](test::kv_shape const& of, auto& x, auto& at) {
      test::kv_memory<kv_int8> cache(of);
      return tenon::kv_append(where, paged_kv<kv_int8>{cache.view(), cache.view()}, x.view(), x.view(), at.view()).ok();
    };
    EXPECT_TRUE(append({2, 2, 1, 8}, none, nowhere));
    EXPECT_TRUE(append({2, 2, 0, 8}, no_heads, slots));
    EXPECT_TRUE(append({2, 2, 1, 0}, narrow, slots));
    EXPECT_TRUE(append({0, 2, 1, 8}, k, slots));
  });
}

TEST(kv_append_codes_contract, names_what_is_wrong) {
  test::tensor<float, 3>        k(2, 1, 8), wide(2, 1, 16), odd(2, 1, 7);
  test::tensor<std::int64_t, 1> slots(2), few(1);
  test::kv_memory<kv_int8>      eight({2, 2, 1, 8});
  test::kv_memory<kv_int4>      four({2, 2, 1, 8});
  test::kv_memory<kv_fp8>       floating({2, 2, 1, 8});
  tenon::context const          where{};
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "kv_append");
  };
  paged_kv<kv_int8, kv_int4> const kv{eight.view(), four.view()};
  is(tenon::kv_append(where, kv, k.view(), k.view(), few.view()), errc::shape_mismatch, "tokens");
  is(tenon::kv_append(where, kv, wide.view(), k.view(), slots.view()), errc::shape_mismatch, "head_dim");
  is(tenon::kv_append(where, kv, k.view(), odd.view(), slots.view()), errc::shape_mismatch, "value_dim");
  auto flipped             = kv;
  flipped.v.code.stride[3] = 2;
  is(tenon::kv_append(where, flipped, k.view(), k.view(), slots.view()), errc::bad_stride, "cache.v");
  auto fewer             = kv;
  fewer.v.code.extent[1] = 1;
  is(tenon::kv_append(where, fewer, k.view(), k.view(), slots.view()), errc::shape_mismatch, "page_size");
  auto scaleless              = kv;
  scaleless.k.scale.extent[3] = 2;
  is(tenon::kv_append(where, scaleless, k.view(), k.view(), slots.view()), errc::shape_mismatch, "groups");
  auto nowhere         = kv;
  nowhere.k.scale.data = nullptr;
  is(tenon::kv_append(where, nowhere, k.view(), k.view(), slots.view()), errc::out_of_range, "cache.k");
  auto shared              = kv;
  shared.v.scale.stride[1] = 0;
  is(tenon::kv_append(where, shared, k.view(), k.view(), slots.view()), errc::bad_stride, "v_scales");
  is(tenon::kv_append(where, kv, k.view(), k.view(), slots.view(), {.k_scales = kv_scales::given}), errc::unsupported,
     "k_scales");
  paged_kv<kv_fp8, kv_fp8> const  fp8{floating.view(), floating.view()};
  paged_kv<kv_fp8, kv_int4> const mixed{floating.view(), four.view()};
  is(tenon::kv_append(where, mixed, k.view(), k.view(), slots.view(), {.v_scales = kv_scales::given}),
     errc::unsupported, "v_scales");
  auto crooked         = fp8;
  crooked.k.scale.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.k.scale.data) + 2);
  is(tenon::kv_append(where, crooked, k.view(), k.view(), slots.view()), errc::misaligned, "cache.k");
}

TEST(kv_rows_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (bool const vectorised : {false, true})
      for (index_t const width : {2, 64, 65, 128, 576}) {
        auto const chosen = tenon::choose_kv_rows_policy({arch}, width, vectorised);
        EXPECT_EQ(std::count(std::begin(tenon::kv_rows_menu), std::end(tenon::kv_rows_menu), chosen), 1);
        EXPECT_EQ(chosen.on_host(), arch == 0);
      }
}

}  // namespace
