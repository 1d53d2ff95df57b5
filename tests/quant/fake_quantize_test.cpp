#include <tenon/quant/dequantize_ref.hpp>
#include <tenon/quant/fake_quantize.hpp>
#include <tenon/quant/fake_quantize_ref.hpp>
#include <tenon/quant/quantize_rows.hpp>
#include <tenon/quant/quantize_weight.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::e4m3, tenon::errc, tenon::f16, tenon::index_t, tenon::row_rounding, tenon::weight_code,
    tenon::weight_rounding;

constexpr float infinity = std::numeric_limits<float>::infinity(), nan_value = std::numeric_limits<float>::quiet_NaN();

/// What quantising and dequantising leave, by the operators that do it.
template <class T>
struct expected {
  std::vector<T>     y;
  std::vector<float> scales;
  float              factor = 1;
};

template <class T, class Code>
expected<T> by_operators(row_rounding<Code>, std::vector<T> const& x, index_t m, index_t k, int group,
                         float given = 0) {
  index_t const          groups = tenon::row_scales(k, group);
  test::tensor<T, 2>     in(m, k);
  test::tensor<Code, 2>  codes(m, k);
  test::tensor<float, 2> scales(m, groups);
  in.assign(x);
  tenon::context where;
#if TENON_CUDA
  where.arch = tenon::arch::built_for();
#endif
  EXPECT_TRUE(tenon::quantize_rows(where, codes.view(), scales.view(), in.view(), {group, given}).ok());
  expected<T> e{{}, scales.values()};
  auto const  code = codes.values();
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < k; ++j) {
      float const s = e.scales[static_cast<std::size_t>(i * groups + (group > 0 ? j / group : 0))];
      e.y.push_back(T(s * static_cast<float>(code[static_cast<std::size_t>(i * k + j)])));
    }
  return e;
}

template <class T, weight_code Code>
expected<T> by_operators(weight_rounding<Code>, std::vector<T> const& x, index_t m, index_t k, int group) {
  tenon::quantized_weight q;
  EXPECT_TRUE(tenon::quantize_weight(q, test::over(x, m, k), {.code = Code, .group = group}).ok());
  expected<T> e{std::vector<T>(x.size()), q.scales, q.factor};
  for (float& s : e.scales) s *= q.factor;
  tenon::ref::dequantize(test::over(e.y, m, k), q);
  return e;
}

template <class Rounding>
Rounding with_factor(Rounding r, float factor) {
  if constexpr (requires { r.factor; }) r.factor = factor;
  return r;
}

template <class Rounding, class T>
struct pair {
  using rounding = Rounding;
  using value    = T;
};
template <class T>
class fake_quantize : public testing::Test {};
using types =
    testing::Types<pair<row_rounding<std::int8_t>, float>, pair<row_rounding<e4m3>, bf16>,
                   pair<weight_rounding<weight_code::int4>, f16>, pair<weight_rounding<weight_code::int8>, bf16>,
                   pair<weight_rounding<weight_code::fp8>, float>>;
TYPED_TEST_SUITE(fake_quantize, types);

struct shape {
  index_t m, k;
  int     group;
};
// One element, one more than a vector, one more than a block's vectors; groups that end with the row, that do not, that
// are not of whole vectors.
constexpr shape shapes[] = {{1, 1, 0}, {3, 33, 0}, {2, 2049, 0}, {1, 1, 32}, {2, 256, 32}, {2, 333, 64}, {2, 50, 12}};

TYPED_TEST(fake_quantize, has_the_bits_of_quantising_and_dequantising) {
  using T = typename TypeParam::value;
  for (auto const& s : shapes) {
    SCOPED_TRACE(std::to_string(s.m) + " x " + std::to_string(s.k) + ", group " + std::to_string(s.group));
    test::tensor<T, 2> x(s.m, s.k);
    x.random(static_cast<std::uint64_t>(s.k));
    auto const want = by_operators(typename TypeParam::rounding{}, x.values(), s.m, s.k, s.group);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<T, 2>     y(s.m, s.k);
      test::tensor<float, 2> scales(s.m, tenon::row_scales(s.k, s.group));
      auto const             rounding = with_factor(typename TypeParam::rounding{}, want.factor);
      ASSERT_TRUE(tenon::fake_quantize(where, y.view(), scales.view(), x.view(), {s.group}, rounding).ok());
      EXPECT_TRUE(test::same_bits(y.values(), want.y));
      EXPECT_TRUE(test::same_bits(scales.values(), want.scales));
      // The same scales, given; then in place.
      ASSERT_TRUE(tenon::fake_quantize(where, y.view(), as_const(scales.view()), x.view(), {s.group}, rounding).ok());
      EXPECT_TRUE(test::same_bits(y.values(), want.y));
      test::tensor<T, 2> both(s.m, s.k);
      both.assign(x.values());
      ASSERT_TRUE(tenon::fake_quantize(where, both.view(), scales.view(), both.view(), {s.group}, rounding).ok());
      EXPECT_TRUE(test::same_bits(both.values(), want.y));
    });
  }
}

// The definition in double precision: what lies near the middle between two numbers may go to the other one.
TYPED_TEST(fake_quantize, agrees_with_the_reference) {
  using T          = typename TypeParam::value;
  using R          = typename TypeParam::rounding;
  index_t const  m = 3, k = 700;
  constexpr bool fp8  = std::is_same_v<R, row_rounding<e4m3>> || std::is_same_v<R, weight_rounding<weight_code::fp8>>;
  constexpr bool int4 = std::is_same_v<R, weight_rounding<weight_code::int4>>;  // scales are f16
  double const   largest = fp8 ? 448 : int4 ? 7 : 127;
  test::tensor<T, 2> x(m, k);
  x.random(2);
  auto const         xs = x.values();
  std::vector<T>     want(x.size());
  std::vector<float> want_scales(static_cast<std::size_t>(m));
  tenon::ref::fake_quantize<std::conditional_t<fp8, e4m3, std::int8_t>>(
      test::over(want, m, k), test::over(want_scales, m, 1), test::over(xs, m, k), largest);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 2>     y(m, k);
    test::tensor<float, 2> scales(m, 1);
    ASSERT_TRUE(tenon::fake_quantize(where, y.view(), scales.view(), x.view(), {}, R{}).ok());
    EXPECT_LE(test::relative_error(scales.values(), want_scales), int4 ? 5e-4 : 1e-7);
    auto const got = y.values();
    for (std::size_t i = 0; i < got.size(); ++i) {
      auto const   wide  = [](T t) { return static_cast<double>(static_cast<float>(t)); };
      double const slack = (2 * test::tolerance<T>() + (int4 ? 1e-3 : 1e-6)) * std::abs(wide(xs[i]));
      EXPECT_LE(std::abs(wide(xs[i]) - wide(got[i])), std::abs(wide(xs[i]) - wide(want[i])) + slack) << i;
    }
    // It is a projection: what is on the grid stays there.
    test::tensor<T, 2> again(m, k);
    ASSERT_TRUE(tenon::fake_quantize(where, again.view(), as_const(scales.view()), y.view(), {}, R{}).ok());
    EXPECT_TRUE(test::same_bits(again.values(), y.values()));
  });
}

// One scale of all by strides of 0, with rows apart and values beyond the range: the bits of quantize_rows with that
// scale.
TEST(fake_quantize_given, one_scale_of_all) {
  index_t const          m = 3, k = 300, apart = 304;
  test::tensor<float, 2> x(m, k), wide(m, apart);
  x.random(5);
  float const            scale = 0.01f;  // 1.27 at most: about a fifth saturates
  auto const             want  = by_operators(row_rounding<std::int8_t>{}, x.values(), m, k, 0, scale);
  test::tensor<float, 2> one(1, 1);
  one.fill(scale);
  tenon::tensor_view<float const, 2> const shared{one.view().data, {m, 1}, {0, 0}};
  test::on_every_target([&](tenon::context const& where) {
    wide.fill(7);
    auto y      = wide.view();
    y.extent[1] = k;
    ASSERT_TRUE(tenon::fake_quantize(where, y, shared, x.view()).ok());
    auto const got = wide.values();
    for (index_t i = 0; i < m; ++i)
      for (index_t j = 0; j < apart; ++j)
        ASSERT_EQ(got[static_cast<std::size_t>(i * apart + j)],
                  j < k ? want.y[static_cast<std::size_t>(i * k + j)] : 7.f);
  });
}

// Somebody else's scales: negative ones, the code that two's complement has more, a scale of 0, values that are not
// finite.
TEST(fake_quantize_given, weights_on_any_scale) {
  index_t const            k = 8;
  test::tensor<float, 2>   x(3, k), scales(3, 1);
  std::vector<float> const rows = {-4.2f, -4, -3.75f, 3.75f, 3.4f, 0.25f, 0.75f, -0.25f};
  std::vector<float>       all  = rows;
  all.insert(all.end(), rows.begin(), rows.end());
  all.insert(all.end(), rows.begin(), rows.end());
  all[3] = nan_value, all[4] = infinity;
  x.assign(all), scales.assign({0.5f, -0.5f, 0.f});
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 2> y(3, k);
    ASSERT_TRUE(tenon::fake_quantize(where, y.view(), as_const(scales.view()), x.view(), {},
                                     weight_rounding<weight_code::int4>{})
                    .ok());
    auto const got = y.values();
    // Ties to even: 0.25 / 0.5 and -0.25 / 0.5 become 0, 0.75 / 0.5 two, -3.75 / 0.5 = -7.5 eight.
    std::vector<float> const first = {-4, -4, -4, 0, 3.5f, 0, 1, 0}, second = {-3.5f, -3.5f, -3.5f, 4, 3.5f, 0, 1, 0};
    for (std::size_t j = 0; j < 8; ++j) {
      if (j == 3) EXPECT_TRUE(std::isnan(got[j]));
      else EXPECT_EQ(got[j], first[j]) << j;
      EXPECT_EQ(got[8 + j], second[j]) << j;
      EXPECT_EQ(got[16 + j], 0.f) << j;
    }
  });
}

// Found scales: rows of zeros, too small ones, and what is not finite, which spoils its row alone.
TYPED_TEST(fake_quantize, zeros_and_what_is_not_finite) {
  using T          = typename TypeParam::value;
  index_t const  m = 4, k = 40;
  std::vector<T> values(static_cast<std::size_t>(m * k), T(1.f));
  std::fill(values.begin(), values.begin() + k, T(0.f));
  std::fill(values.begin() + k, values.begin() + 2 * k, T(std::numeric_limits<float>::denorm_min()));
  values[static_cast<std::size_t>(2 * k + 3)] = T(nan_value);
  test::tensor<T, 2> x(m, k);
  x.assign(values);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 2>     y(m, k);
    test::tensor<float, 2> scales(m, 1);
    ASSERT_TRUE(
        tenon::fake_quantize(where, y.view(), scales.view(), x.view(), {}, typename TypeParam::rounding{}).ok());
    auto const s = scales.values();
    auto const v = y.values();
    EXPECT_EQ(s[0], 0.f);
    EXPECT_EQ(s[1], 0.f);
    EXPECT_TRUE(std::isnan(s[2]));
    for (index_t j = 0; j < k; ++j) {
      EXPECT_EQ(static_cast<float>(v[static_cast<std::size_t>(j)]), 0.f);
      EXPECT_EQ(static_cast<float>(v[static_cast<std::size_t>(k + j)]), 0.f);
      EXPECT_TRUE(std::isnan(static_cast<float>(v[static_cast<std::size_t>(2 * k + j)])));
      EXPECT_NEAR(static_cast<float>(v[static_cast<std::size_t>(3 * k + j)]), 1.f, 5e-3f);
    }
  });
}

// A matrix whose scales leave f16's range keeps a power of two apart; the factor of quantize_weight is the one to give.
TEST(fake_quantize_weights, factors) {
  index_t const m = 2, k = 96;
  for (float const size : {1e-20f, 1e9f}) {
    test::tensor<float, 2> x(m, k);
    x.random(6, size);
    auto const want = by_operators(weight_rounding<weight_code::int4>{}, x.values(), m, k, 32);
    EXPECT_NE(want.factor, 1.f);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 2>                   y(m, k), scales(m, 3);
      weight_rounding<weight_code::int4> const rounding{want.factor};
      ASSERT_TRUE(tenon::fake_quantize(where, y.view(), scales.view(), x.view(), {32}, rounding).ok());
      EXPECT_TRUE(test::same_bits(y.values(), want.y));
    });
  }
}

TEST(fake_quantize_contract, names_what_is_wrong) {
  test::tensor<float, 2> x(2, 16), y(2, 16), narrow(2, 8), scales(2, 1), many(2, 2);
  auto const             is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "fake_quantize");
  };
  tenon::context const where;
  is(tenon::fake_quantize(where, narrow.view(), scales.view(), x.view()), errc::shape_mismatch, "k");
  is(tenon::fake_quantize(where, y.view(), scales.view(), x.view().slice(0, 1)), errc::shape_mismatch, "m");
  is(tenon::fake_quantize(where, y.view(), many.view(), x.view()), errc::shape_mismatch, "groups");
  is(tenon::fake_quantize(where, y.view(), scales.view(), x.view(), {8}), errc::shape_mismatch, "groups");
  is(tenon::fake_quantize(where, y.view(), scales.view(), x.view(), {-1}), errc::out_of_range, "group");
  for (float const bad : {0.f, -1.f, nan_value, infinity})
    is(tenon::fake_quantize(where, y.view(), scales.view(), x.view(), {}, weight_rounding<weight_code::int8>{bad}),
       errc::out_of_range, "factor");
  auto sparse      = narrow.view();
  sparse.stride[1] = 2;
  is(tenon::fake_quantize(where, narrow.view(), scales.view(), sparse), errc::bad_stride, "x");
  auto absent = scales.view();
  absent.data = nullptr;
  is(tenon::fake_quantize(where, y.view(), absent, x.view()), errc::out_of_range, "scales");
  test::tensor<float, 2> none(0, 8), no_scales(0, 1), flat(3, 0), flat_scales(3, 1);
  EXPECT_TRUE(tenon::fake_quantize(where, none.view(), no_scales.view(), none.view()).ok());
  EXPECT_TRUE(tenon::fake_quantize(where, flat.view(), flat_scales.view(), flat.view()).ok());
}

TEST(fake_quantize_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (bool const vectorised : {false, true}) {
      auto const chosen = tenon::choose_fake_quantize_policy({arch}, vectorised);
      EXPECT_EQ(std::count(std::begin(tenon::fake_quantize_menu), std::end(tenon::fake_quantize_menu), chosen), 1);
      EXPECT_EQ(chosen.on_host(), arch == 0);
    }
}

}  // namespace
