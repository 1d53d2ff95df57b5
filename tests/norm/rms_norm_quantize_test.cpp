#include <tenon/norm/add_rms_norm.hpp>
#include <tenon/norm/rms_norm.hpp>
#include <tenon/norm/rms_norm_quantize.hpp>
#include <tenon/norm/rms_norm_quantize_ref.hpp>
#include <tenon/quant/quantize_rows.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::e4m3, tenon::errc, tenon::index_t;

template <class Code, class X>
struct pair {
  using code  = Code;
  using value = X;
};
template <class T>
class rms_norm_quantize : public testing::Test {};
using types = testing::Types<pair<std::int8_t, bf16>, pair<e4m3, float>>;
TYPED_TEST_SUITE(rms_norm_quantize, types);

struct shape {
  index_t tokens, hidden;
  int     group;
};
constexpr shape shapes[] = {{1, 1, 0},    {3, 7, 0},    {2, 33, 0},     {2, 1032, 0},
                            {1, 4104, 0}, {2, 333, 64}, {1, 1040, 128}, {1, 50, 12}};

std::string name(shape const& s) {
  return std::to_string(s.tokens) + " x " + std::to_string(s.hidden) + ", group " + std::to_string(s.group);
}

template <class Code>
std::vector<std::uint8_t> bits(std::vector<Code> const& v) {
  std::vector<std::uint8_t> b;
  for (Code const c : v) b.push_back(tenon::bit_cast<std::uint8_t>(c));
  return b;
}

// The same row in f32, then quantised: the same bits where all operands have rows of whole vectors, as those of 8 n elements.
TYPED_TEST(rms_norm_quantize, has_the_bits_of_its_parts) {
  using Code = typename TypeParam::code;
  using X    = typename TypeParam::value;
  for (auto const& s : shapes)
    for (float const given : {0.f, 0.02f}) {
      if (s.hidden % 8 != 0 || (given != 0 && s.group != 0)) continue;
      SCOPED_TRACE(name(s));
      index_t const      groups = tenon::row_scales(s.hidden, s.group);
      test::tensor<X, 2> x(s.tokens, s.hidden), residual(s.tokens, s.hidden);
      test::tensor<X, 1> weight(s.hidden);
      x.random(1), weight.random(2), residual.random(3);
      test::on_every_target([&](tenon::context const& where) {
        test::tensor<Code, 2>                  codes(s.tokens, s.hidden), want(s.tokens, s.hidden);
        test::tensor<float, 2>                 scales(s.tokens, groups), want_scales(s.tokens, groups);
        test::tensor<float, 2>                 y(s.tokens, s.hidden);
        tenon::rms_norm_quantize_options const options{1e-5f, s.group, given};
        tenon::quantize_rows_options const     rows{s.group, given};
        ASSERT_TRUE(tenon::rms_norm(where, y.view(), x.view(), weight.view(), {.eps = 1e-5f}).ok());
        ASSERT_TRUE(tenon::quantize_rows(where, want.view(), want_scales.view(), y.view(), rows).ok());
        ASSERT_TRUE(
            tenon::rms_norm_quantize(where, codes.view(), scales.view(), x.view(), weight.view(), options).ok());
        EXPECT_EQ(bits(codes.values()), bits(want.values()));
        EXPECT_TRUE(test::same_bits(scales.values(), want_scales.values()));

        test::tensor<X, 2> sum(s.tokens, s.hidden), want_sum(s.tokens, s.hidden);
        sum.assign(residual.values()), want_sum.assign(residual.values());
        ASSERT_TRUE(
            tenon::add_rms_norm(where, y.view(), want_sum.view(), x.view(), weight.view(), {.eps = 1e-5f}).ok());
        ASSERT_TRUE(tenon::quantize_rows(where, want.view(), want_scales.view(), y.view(), rows).ok());
        ASSERT_TRUE(tenon::add_rms_norm_quantize(where, codes.view(), scales.view(), sum.view(), x.view(),
                                                 weight.view(), options)
                        .ok());
        EXPECT_TRUE(test::same_bits(sum.values(), want_sum.values()));
        EXPECT_EQ(bits(codes.values()), bits(want.values()));
        EXPECT_TRUE(test::same_bits(scales.values(), want_scales.values()));
      });
    }
}

// Scales as the norm's tolerance allows; a value near the middle between two codes may go to the other one.
TYPED_TEST(rms_norm_quantize, agrees_with_the_reference) {
  using Code = typename TypeParam::code;
  using X    = typename TypeParam::value;
  for (auto const& s : shapes) {
    SCOPED_TRACE(name(s));
    index_t const      groups = tenon::row_scales(s.hidden, s.group);
    test::tensor<X, 2> x(s.tokens, s.hidden), residual(s.tokens, s.hidden);
    test::tensor<X, 1> weight(s.hidden);
    x.random(4), weight.random(5), residual.random(6);
    auto const         xs = x.values(), ws = weight.values();
    auto               rs = residual.values();
    std::vector<Code>  codes_of_x(x.size()), codes_of_sum(x.size());
    std::vector<float> scales_of_x(static_cast<std::size_t>(s.tokens * groups)), scales_of_sum(scales_of_x.size());
    tenon::ref::rms_norm_quantize(test::over(codes_of_x, s.tokens, s.hidden), test::over(scales_of_x, s.tokens, groups),
                                  test::over(xs, s.tokens, s.hidden), test::over(ws, s.hidden), 1e-5f, s.group);
    tenon::ref::add_rms_norm_quantize(test::over(codes_of_sum, s.tokens, s.hidden),
                                      test::over(scales_of_sum, s.tokens, groups), test::over(rs, s.tokens, s.hidden),
                                      test::over(xs, s.tokens, s.hidden), test::over(ws, s.hidden), 1e-5f, s.group);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<Code, 2>                  codes(s.tokens, s.hidden);
      test::tensor<float, 2>                 scales(s.tokens, groups);
      test::tensor<X, 2>                     sum(s.tokens, s.hidden);
      tenon::rms_norm_quantize_options const options{1e-5f, s.group};
      auto const compare = [&](std::vector<Code> const& want, std::vector<float> const& want_scales) {
        EXPECT_LE(test::relative_error(scales.values(), want_scales), test::tolerance<float>());
        auto const  got   = codes.values();
        std::size_t other = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
          float const a = static_cast<float>(got[i]), b = static_cast<float>(want[i]);
          EXPECT_LE(std::abs(a - b), std::max(1.f, std::is_same_v<Code, e4m3> ? std::abs(b) / 7 : 0.f)) << i;
          other += a != b;
        }
        EXPECT_LE(other, 1 + got.size() / 200);
      };
      ASSERT_TRUE(tenon::rms_norm_quantize(where, codes.view(), scales.view(), x.view(), weight.view(), options).ok());
      compare(codes_of_x, scales_of_x);
      sum.assign(residual.values());
      ASSERT_TRUE(
          tenon::add_rms_norm_quantize(where, codes.view(), scales.view(), sum.view(), x.view(), weight.view(), options)
              .ok());
      EXPECT_TRUE(test::same_bits(sum.values(), rs));
      compare(codes_of_sum, scales_of_sum);
    });
  }
}

// Rows lie apart, with NaN in between: neither read nor overwritten. 40 keeps rows vectorised, 37 does not.
TEST(rms_norm_quantize_layout, rows_may_lie_apart) {
  float const nan = std::numeric_limits<float>::quiet_NaN();
  for (index_t const stride : {40, 37}) {
    index_t const          tokens = 3, hidden = 33;
    test::tensor<float, 2> wide(tokens, stride), wide_sum(tokens, stride), dense(tokens, hidden), sum(tokens, hidden);
    test::tensor<float, 1> weight(hidden);
    dense.random(7), weight.random(8);
    auto const         xs = dense.values();
    std::vector<float> values(wide.size(), nan);
    for (index_t t = 0; t < tokens; ++t)
      for (index_t h = 0; h < hidden; ++h)
        values[static_cast<std::size_t>(t * stride + h)] = xs[static_cast<std::size_t>(t * hidden + h)];
    wide.assign(values);
    auto const columns = [&](auto& tensor) {
      auto v      = tensor.view();
      v.extent[1] = hidden;
      return v;
    };
    test::on_every_target([&](tenon::context const& where) {
      wide_sum.assign(values), sum.assign(xs);
      test::tensor<std::int8_t, 2> codes(tokens, stride), want(tokens, hidden);
      test::tensor<float, 2>       scales(tokens, 1), want_scales(tokens, 1);
      codes.fill(99);
      ASSERT_TRUE(tenon::add_rms_norm_quantize(where, columns(codes), scales.view(), columns(wide_sum), columns(wide),
                                               weight.view())
                      .ok());
      ASSERT_TRUE(
          tenon::add_rms_norm_quantize(where, want.view(), want_scales.view(), sum.view(), dense.view(), weight.view())
              .ok());
      EXPECT_LE(test::relative_error(scales.values(), want_scales.values()), test::tolerance<float>());
      auto const got = codes.values(), expected = want.values();
      auto const sums = wide_sum.values(), expected_sums = sum.values();
      for (index_t t = 0; t < tokens; ++t)
        for (index_t h = 0; h < stride; ++h) {
          auto const at = static_cast<std::size_t>(t * stride + h), from = static_cast<std::size_t>(t * hidden + h);
          if (h < hidden) {
            EXPECT_LE(std::abs(got[at] - expected[from]), 1);
            EXPECT_EQ(sums[at], expected_sums[from]);
          } else {
            EXPECT_EQ(got[at], 99);
            EXPECT_TRUE(std::isnan(sums[at]));
          }
        }
    });
  }
}

TEST(rms_norm_quantize_batch, rows_are_independent_and_a_nan_stays_in_its_row) {
  index_t const          tokens = 3, hidden = 1200;
  test::tensor<float, 2> x(tokens, hidden);
  test::tensor<float, 1> weight(hidden);
  x.random(9), weight.random(10);
  auto values                                           = x.values();
  values[static_cast<std::size_t>(hidden + hidden - 1)] = std::numeric_limits<float>::quiet_NaN();
  x.assign(values);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::int8_t, 2> codes(tokens, hidden), one(1, hidden);
    test::tensor<float, 2>       scales(tokens, 1), scale(1, 1);
    ASSERT_TRUE(tenon::rms_norm_quantize(where, codes.view(), scales.view(), x.view(), weight.view()).ok());
    ASSERT_TRUE(tenon::rms_norm_quantize(where, one.view(), scale.view(), x.view().slice(2, 1), weight.view()).ok());
    auto const all = codes.values();
    auto const s   = scales.values();
    EXPECT_EQ(one.values(), std::vector<std::int8_t>(all.begin() + 2 * hidden, all.end()));
    EXPECT_EQ(scale.values()[0], s[2]);
    EXPECT_TRUE(std::isfinite(s[0]) && std::isnan(s[1]) && std::isfinite(s[2]));
  });
}

TEST(rms_norm_quantize_contract, names_what_is_wrong) {
  test::tensor<bf16, 2>        x(2, 16), residual(2, 16);
  test::tensor<bf16, 1>        weight(16), short_weight(15);
  test::tensor<std::int8_t, 2> codes(2, 16), narrow(2, 8);
  test::tensor<float, 2>       scales(2, 1);
  char const*                  primitive = "rms_norm_quantize";
  auto const                   is        = [&](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, primitive);
  };
  tenon::context const where;
  auto const           c = codes.view();
  auto const           s = scales.view();
  is(tenon::rms_norm_quantize(where, c, s, x.view(), short_weight.view()), errc::shape_mismatch, "hidden");
  is(tenon::rms_norm_quantize(where, narrow.view(), s, x.view(), weight.view()), errc::shape_mismatch, "hidden");
  is(tenon::rms_norm_quantize(where, c, s, x.view().slice(0, 1), weight.view()), errc::shape_mismatch, "tokens");
  is(tenon::rms_norm_quantize(where, c, s, x.view(), weight.view(), {.group = 8}), errc::shape_mismatch, "groups");
  is(tenon::rms_norm_quantize(where, c, s, x.view(), weight.view(), {.eps = 0}), errc::out_of_range, "eps");
  is(tenon::rms_norm_quantize(where, c, s, x.view(), weight.view(), {.scale = -1}), errc::out_of_range, "scale");
  auto sparse      = weight.view();
  sparse.stride[0] = 2;
  is(tenon::rms_norm_quantize(where, c, s, x.view(), sparse), errc::bad_stride, "weight");
  primitive     = "add_rms_norm_quantize";
  auto far      = residual.view();
  far.stride[1] = 2;
  is(tenon::add_rms_norm_quantize(where, c, s, far, x.view(), weight.view()), errc::bad_stride, "residual");
  is(tenon::add_rms_norm_quantize(where, c, s, residual.view().slice(0, 1), x.view(), weight.view()),
     errc::shape_mismatch, "tokens");
}

TEST(rms_norm_quantize_contract, nothing_to_do_is_fine) {
  test::tensor<bf16, 2>        none(0, 8), narrow(3, 0);
  test::tensor<bf16, 1>        weight(8), empty(0);
  test::tensor<std::int8_t, 2> no_codes(0, 8), narrow_codes(3, 0);
  test::tensor<float, 2>       no_scales(0, 1), scales(3, 1);
  tenon::context const         where;
  EXPECT_TRUE(tenon::rms_norm_quantize(where, no_codes.view(), no_scales.view(), none.view(), weight.view()).ok());
  EXPECT_TRUE(tenon::add_rms_norm_quantize(where, narrow_codes.view(), scales.view(), narrow.view(), narrow.view(),
                                           empty.view())
                  .ok());
}

TEST(rms_norm_quantize_policy, is_in_the_menu_and_has_the_norms_threads) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (index_t const hidden : {1, 1024, 1025, 4096, 4097, 100000})
      for (bool const vectorised : {false, true}) {
        auto const a = tenon::choose_rms_norm_quantize_policy({arch}, hidden, vectorised);
        auto const b = tenon::choose_add_rms_norm_quantize_policy({arch}, hidden, vectorised);
        EXPECT_EQ(std::count(std::begin(tenon::rms_norm_quantize_menu), std::end(tenon::rms_norm_quantize_menu), a), 1);
        EXPECT_EQ(
            std::count(std::begin(tenon::add_rms_norm_quantize_menu), std::end(tenon::add_rms_norm_quantize_menu), b),
            1);
        EXPECT_EQ(a.threads_per_block, tenon::choose_rms_norm_policy({arch}, hidden, vectorised).threads_per_block);
        EXPECT_EQ(b.threads_per_block, tenon::choose_add_rms_norm_policy({arch}, hidden, vectorised).threads_per_block);
        EXPECT_EQ(a.on_host(), arch == 0);
        EXPECT_EQ(b.on_host(), arch == 0);
      }
}

}  // namespace
