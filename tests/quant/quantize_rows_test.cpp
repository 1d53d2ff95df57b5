#include <tenon/quant/quantize_rows.hpp>
#include <tenon/quant/quantize_rows_ref.hpp>
#include <tenon/quant/swiglu_quantize.hpp>
#include <tenon/quant/swiglu_quantize_ref.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::e4m3, tenon::errc, tenon::f16, tenon::index_t, tenon::nearest_code, tenon::largest_code,
    tenon::bit_cast;

constexpr float infinity = std::numeric_limits<float>::infinity(), nan_value = std::numeric_limits<float>::quiet_NaN();

template <class Code>
float number(Code c) {
  return static_cast<float>(c);
}

template <class Code>
std::vector<std::uint8_t> bits(std::vector<Code> const& v) {
  std::vector<std::uint8_t> b;
  for (Code const c : v) b.push_back(bit_cast<std::uint8_t>(c));
  return b;
}

/// What the page promises, step by step, each rounded to float.
template <class Code>
struct expected {
  std::vector<Code>  codes;
  std::vector<float> scales;

  expected(std::vector<float> const& x, index_t m, index_t k, int group, float given = 0) {
    index_t const width = group > 0 ? group : k;
    for (index_t i = 0; i < m; ++i)
      for (index_t first = 0; first < k; first += width) {
        index_t const last  = std::min(first + width, k);
        float         scale = given;
        if (given == 0) {
          bool is_nan = false;
          for (index_t j = first; j < last; ++j) {
            float const v = std::abs(x[static_cast<std::size_t>(i * k + j)]);
            scale         = std::max(scale, v);
            is_nan        = is_nan || std::isnan(v);
          }
          scale = is_nan ? nan_value : scale / largest_code<Code>;
          if (scale < std::numeric_limits<float>::min()) scale = 0;
        }
        scales.push_back(scale);
        float const inverse = scale == 0 ? 0 : 1 / scale;
        for (index_t j = first; j < last; ++j) {
          float const v = x[static_cast<std::size_t>(i * k + j)] * inverse;
          if constexpr (std::is_same_v<Code, std::int8_t>)
            codes.push_back(std::isnan(v) ? Code{0} : static_cast<Code>(std::nearbyint(std::clamp(v, -128.f, 127.f))));
          else codes.push_back(std::isnan(v) ? e4m3::from_bits(0x7f) : e4m3(v));
        }
      }
  }
};

/// A NaN has many bit patterns.
void expect_scales(std::vector<float> const& got, std::vector<float> const& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    if (std::isnan(want[i])) EXPECT_TRUE(std::isnan(got[i])) << i;
    else EXPECT_EQ(bit_cast<std::uint32_t>(got[i]), bit_cast<std::uint32_t>(want[i])) << i;
}

TEST(nearest_code, rounds_as_the_types_do) {
  // Every pattern of sign, exponent and the upper fraction bits, and both neighbours of what lies between two codes.
  for (std::uint32_t high = 0; high < 0x10000; ++high)
    for (std::uint32_t const low : {0x0000u, 0x0001u, 0x8000u, 0xffffu}) {
      float const v = bit_cast<float>(high << 16 | low);
      ASSERT_EQ(nearest_code<e4m3>(v).bits, std::isnan(v) ? 0x7f : e4m3(v).bits) << v;
      ASSERT_EQ(nearest_code<std::int8_t>(v), std::isnan(v) ? 0 : std::nearbyint(std::clamp(v, -128.f, 127.f))) << v;
    }
  for (float const tie : {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f})
    EXPECT_EQ(nearest_code<std::int8_t>(tie), std::nearbyint(tie));
}

template <class Code, class X>
struct pair {
  using code  = Code;
  using value = X;
};
template <class T>
class quantize_rows : public testing::Test {};
using types = testing::Types<pair<std::int8_t, bf16>, pair<std::int8_t, float>, pair<e4m3, f16>, pair<e4m3, bf16>>;
TYPED_TEST_SUITE(quantize_rows, types);

struct shape {
  index_t m, k;
  int     group;
};
// Edges first: one element, one below and above a vector and a warp, a prime; then rows that leave the registers. Groups that
// end with the row, that do not, that are not of whole vectors.
constexpr shape shapes[] = {{1, 1, 0},   {3, 7, 0},     {2, 33, 0},   {2, 997, 0},    {2, 1032, 0}, {1, 5000, 0},
                            {1, 1, 128}, {2, 256, 128}, {2, 333, 64}, {2, 1040, 128}, {1, 50, 12}};

TYPED_TEST(quantize_rows, has_the_bits_that_are_promised) {
  using Code = typename TypeParam::code;
  using X    = typename TypeParam::value;
  for (auto const& s : shapes)
    for (float const given : {0.f, 0.01f}) {
      SCOPED_TRACE(std::to_string(s.m) + " x " + std::to_string(s.k) + ", group " + std::to_string(s.group));
      if (given != 0 && s.group == 64) continue;
      test::tensor<X, 2> x(s.m, s.k);
      x.random(1);
      std::vector<float> values;
      for (X const v : x.values()) values.push_back(static_cast<float>(v));
      expected<Code> const want(values, s.m, s.k, s.group, given);
      test::on_every_target([&](tenon::context const& where) {
        test::tensor<Code, 2>  codes(s.m, s.k);
        test::tensor<float, 2> scales(s.m, tenon::row_scales(s.k, s.group));
        ASSERT_TRUE(tenon::quantize_rows(where, codes.view(), scales.view(), x.view(), {s.group, given}).ok());
        EXPECT_EQ(bits(codes.values()), bits(want.codes));
        expect_scales(scales.values(), want.scales);
      });
    }
}

// The definition in double precision: a value near the middle between two codes may go to the other one.
TYPED_TEST(quantize_rows, agrees_with_the_reference) {
  using Code      = typename TypeParam::code;
  using X         = typename TypeParam::value;
  index_t const m = 3, k = 700;
  for (int const group : {0, 128}) {
    test::tensor<X, 2> x(m, k);
    x.random(2);
    auto const         xs     = x.values();
    index_t const      groups = tenon::row_scales(k, group);
    std::vector<Code>  ref_codes(x.size());
    std::vector<float> ref_scales(static_cast<std::size_t>(m * groups));
    tenon::ref::quantize_rows(test::over(ref_codes, m, k), test::over(ref_scales, m, groups), test::over(xs, m, k),
                              group);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<Code, 2>  codes(m, k);
      test::tensor<float, 2> scales(m, groups);
      ASSERT_TRUE(tenon::quantize_rows(where, codes.view(), scales.view(), x.view(), {.group = group}).ok());
      EXPECT_LE(test::relative_error(scales.values(), ref_scales), 1e-7);
      auto const got = codes.values();
      for (std::size_t i = 0; i < got.size(); ++i) {
        auto const   row = static_cast<index_t>(i) / k, g = group > 0 ? static_cast<index_t>(i) % k / group : 0;
        double const s    = static_cast<double>(ref_scales[static_cast<std::size_t>(row * groups + g)]);
        double const v    = static_cast<double>(static_cast<float>(xs[i]));
        double const mine = std::abs(v - s * static_cast<double>(number(got[i])));
        EXPECT_LE(mine, std::abs(v - s * static_cast<double>(number(ref_codes[i]))) + 3e-7 * std::abs(v)) << i;
      }
    });
  }
}

// Scales are quotients and their inverses correctly rounded, whatever the magnitude: a group for each.
TEST(quantize_rows_range, every_magnitude) {
  int const          group = 8;
  std::vector<float> values;
  std::mt19937       engine(3);
  auto const         add = [&](float v) {
    for (int j = 0; j < group; ++j)
      values.push_back(j == 5 ? v : v * static_cast<float>(static_cast<int>(engine() % 255) - 127) / 130);
  };
  for (float const v :
       {0.f, -0.f, infinity, nan_value, std::numeric_limits<float>::max(), std::numeric_limits<float>::min(),
        std::numeric_limits<float>::denorm_min(), 127 * std::numeric_limits<float>::min(),
        448 * std::numeric_limits<float>::min(), 126 * std::numeric_limits<float>::min()})
    add(v);
  for (int e = -126; e < 128; e += 23) {  // scales whose fraction is all ones, or all zeros
    add(std::ldexp(127 * 0x1.fffffep0f, e - 8)), add(std::ldexp(448 * 0x1.fffffep0f, e - 8));
    add(std::ldexp(127.f, e - 8)), add(std::ldexp(448.f, e - 8));
  }
  while (values.size() < 4096) add(bit_cast<float>(static_cast<std::uint32_t>(engine()) & 0xff7fffffu));
  auto const             k = static_cast<index_t>(values.size());
  test::tensor<float, 2> x(1, k);
  x.assign(values);
  auto const check = [&](auto code) {
    using Code = decltype(code);
    expected<Code> const want(values, 1, k, group);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<Code, 2>  codes(1, k);
      test::tensor<float, 2> scales(1, k / group);
      ASSERT_TRUE(tenon::quantize_rows(where, codes.view(), scales.view(), x.view(), {.group = group}).ok());
      expect_scales(scales.values(), want.scales);
      EXPECT_EQ(bits(codes.values()), bits(want.codes));
    });
  };
  check(std::int8_t{}), check(e4m3{});
}

// What is not finite makes its row's scale so, and stays in its row.
TEST(quantize_rows_range, not_finite) {
  index_t const      m = 4, k = 1100;
  std::vector<float> values(static_cast<std::size_t>(m * k), 1.f);
  values[static_cast<std::size_t>(1 * k + 1099)] = nan_value;
  values[static_cast<std::size_t>(2 * k + 3)]    = -infinity;
  std::fill(values.begin() + 3 * k, values.end(), 0.f);
  test::tensor<float, 2> x(m, k);
  x.assign(values);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::int8_t, 2> codes(m, k);
    test::tensor<float, 2>       scales(m, 1);
    ASSERT_TRUE(tenon::quantize_rows(where, codes.view(), scales.view(), x.view()).ok());
    auto const s = scales.values();
    EXPECT_EQ(s[0], 1.f / 127);
    EXPECT_TRUE(std::isnan(s[1]));
    EXPECT_EQ(s[2], infinity);
    EXPECT_EQ(s[3], 0.f);
    EXPECT_EQ(bits(codes.values()), bits(expected<std::int8_t>(values, m, k, 0).codes));
  });
}

/// The first `k` columns of a wider tensor, from column `first` on.
template <class T>
tenon::tensor_view<T, 2> columns(test::tensor<T, 2>& wide, index_t k, index_t first = 0) {
  auto v      = wide.view();
  v.extent[1] = k;
  v.data += first;
  return v;
}

// Rows lie apart, with NaN in between: neither read nor overwritten. 48 keeps rows vectorised, 45 and a start at 1 do not.
TEST(quantize_rows_layout, rows_may_lie_apart) {
  index_t const m = 3, k = 37;
  for (int const group : {0, 16})
    for (auto const& at : {std::pair<index_t, index_t>{48, 0}, {45, 0}, {48, 1}}) {
      index_t const          stride = at.first, first = at.second, groups = tenon::row_scales(k, group);
      test::tensor<float, 2> wide(m, stride), dense(m, k);
      dense.random(4);
      auto const         xs     = dense.values();
      std::vector<float> values = std::vector<float>(wide.size(), nan_value);
      for (index_t i = 0; i < m; ++i)
        for (index_t j = 0; j < k; ++j)
          values[static_cast<std::size_t>(i * stride + first + j)] = xs[static_cast<std::size_t>(i * k + j)];
      wide.assign(values);
      expected<std::int8_t> const want(xs, m, k, group);
      test::on_every_target([&](tenon::context const& where) {
        test::tensor<std::int8_t, 2> codes(m, stride);
        test::tensor<float, 2>       scales(groups, m);  // transposed
        codes.fill(99);
        auto scale_view = scales.view();
        std::swap(scale_view.extent[0], scale_view.extent[1]), std::swap(scale_view.stride[0], scale_view.stride[1]);
        ASSERT_TRUE(
            tenon::quantize_rows(where, columns(codes, k, first), scale_view, columns(wide, k, first), {.group = group})
                .ok());
        auto const all = codes.values();
        auto const s   = scales.values();
        for (index_t i = 0; i < m; ++i) {
          for (index_t j = 0; j < stride; ++j) {
            bool const in = j >= first && j < first + k;
            EXPECT_EQ(all[static_cast<std::size_t>(i * stride + j)],
                      in ? want.codes[static_cast<std::size_t>(i * k + j - first)] : 99);
          }
          for (index_t g = 0; g < groups; ++g)
            EXPECT_EQ(s[static_cast<std::size_t>(g * m + i)], want.scales[static_cast<std::size_t>(i * groups + g)]);
        }
      });
    }
}

// Gate and up, apart and interleaved, against the same values quantised from f32.
TEST(swiglu_quantize, has_the_bits_of_its_parts) {
  struct {
    index_t n;
    int     group;
  } const cases[] = {{1, 0}, {13, 0}, {200, 0}, {1500, 0}, {200, 128}, {77, 16}};
  index_t const m = 2;
  for (auto const& c : cases) {
    SCOPED_TRACE(std::to_string(c.n) + ", group " + std::to_string(c.group));
    index_t const         n = c.n, groups = tenon::row_scales(n, c.group), both = tenon::paired_rows(n);
    test::tensor<bf16, 2> gate(m, n), up(m, n), gate_up(m, both);
    gate.random(5), up.random(6);
    auto const         g = gate.values(), u = up.values();
    std::vector<bf16>  mixed(gate_up.size(), bf16(nan_value));  // the columns of a partial last group are not read
    std::vector<float> y;
    for (index_t i = 0; i < m; ++i)
      for (index_t j = 0; j < n; ++j) {
        auto const at = static_cast<std::size_t>(i * n + j);
        y.push_back(tenon::swiglu_pair{}(static_cast<float>(g[at]), static_cast<float>(u[at]), i, j));
        mixed[static_cast<std::size_t>(i * both + tenon::gate_row(j))] = g[at];
        mixed[static_cast<std::size_t>(i * both + tenon::up_row(j))]   = u[at];
      }
    gate_up.assign(mixed);
    expected<std::int8_t> const want(y, m, n, c.group);
    test::on_every_target([&](tenon::context const& where) {
      for (bool const interleaved : {false, true}) {
        SCOPED_TRACE(interleaved);
        test::tensor<std::int8_t, 2>       codes(m, n);
        test::tensor<float, 2>             scales(m, groups);
        tenon::quantize_rows_options const options{.group = c.group};
        auto const                         s =
            interleaved ? tenon::swiglu_quantize(where, codes.view(), scales.view(), gate_up.view(), options)
                                                : tenon::swiglu_quantize(where, codes.view(), scales.view(), gate.view(), up.view(), options);
        ASSERT_TRUE(s.ok()) << s.subject;
        // On CUDA the compiler fuses other multiply-adds of silu than on the host: a code may be the next one.
        if (TENON_CUDA) {
          EXPECT_LE(test::relative_error(scales.values(), want.scales), 1e-6);
          auto const got = codes.values();
          for (std::size_t i = 0; i < got.size(); ++i) EXPECT_LE(std::abs(got[i] - want.codes[i]), 1) << i;
        } else {
          expect_scales(scales.values(), want.scales);
          EXPECT_EQ(bits(codes.values()), bits(want.codes));
        }
      }
    });
  }
}

TEST(swiglu_quantize, agrees_with_the_reference_for_another_pair) {
  using geglu            = tenon::epilogue::gated_stage<tenon::epilogue::gelu_tanh_stage>;
  index_t const        m = 2, n = 96;
  test::tensor<f16, 2> gate(m, n), up(m, n);
  gate.random(7), up.random(8);
  auto const         g = gate.values(), u = up.values();
  std::vector<e4m3>  ref_codes(gate.size());
  std::vector<float> ref_scales(static_cast<std::size_t>(m));
  tenon::ref::swiglu_quantize(test::over(ref_codes, m, n), test::over(ref_scales, m, 1), test::over(g, m, n),
                              test::over(u, m, n), 0, 0, geglu{});
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<e4m3, 2>  codes(m, n);
    test::tensor<float, 2> scales(m, 1);
    ASSERT_TRUE(tenon::swiglu_quantize(where, codes.view(), scales.view(), gate.view(), up.view(), {}, geglu{}).ok());
    EXPECT_LE(test::relative_error(scales.values(), ref_scales), 1e-6);
    auto const got   = codes.values();
    int        other = 0;
    for (std::size_t i = 0; i < got.size(); ++i) other += number(got[i]) != number(ref_codes[i]);
    EXPECT_LE(other, 2);
  });
}

TEST(quantize_rows_batch, rows_are_independent_and_repeat) {
  index_t const          m = 4, k = 1200;
  test::tensor<float, 2> x(m, k);
  x.random(9);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<e4m3, 2>  codes(m, k), again(m, k), one(1, k);
    test::tensor<float, 2> scales(m, 1), scale(1, 1);
    ASSERT_TRUE(tenon::quantize_rows(where, codes.view(), scales.view(), x.view()).ok());
    ASSERT_TRUE(tenon::quantize_rows(where, again.view(), scales.view(), x.view()).ok());
    ASSERT_TRUE(tenon::quantize_rows(where, one.view(), scale.view(), x.view().slice(2, 1)).ok());
    auto const all = bits(codes.values());
    EXPECT_EQ(all, bits(again.values()));
    EXPECT_EQ(bits(one.values()), std::vector<std::uint8_t>(all.begin() + 2 * k, all.begin() + 3 * k));
  });
}

TEST(quantize_rows_contract, names_what_is_wrong) {
  test::tensor<bf16, 2>        x(2, 16), transposed(16, 2);
  test::tensor<std::int8_t, 2> codes(2, 16), short_codes(1, 16), narrow(2, 8);
  test::tensor<float, 2>       scales(2, 1), many(2, 2);
  auto const is = [](tenon::status const& s, errc code, char const* subject, char const* primitive = "quantize_rows") {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, primitive);
  };
  tenon::context const where;
  is(tenon::quantize_rows(where, short_codes.view(), scales.view(), x.view()), errc::shape_mismatch, "m");
  is(tenon::quantize_rows(where, narrow.view(), scales.view(), x.view()), errc::shape_mismatch, "k");
  is(tenon::quantize_rows(where, codes.view(), many.view(), x.view()), errc::shape_mismatch, "groups");
  is(tenon::quantize_rows(where, codes.view(), scales.view(), x.view(), {.group = 8}), errc::shape_mismatch, "groups");
  is(tenon::quantize_rows(where, codes.view(), scales.view(), x.view(), {.group = -1}), errc::out_of_range, "group");
  for (float const bad : {-1.f, nan_value, infinity, 1e-40f})
    is(tenon::quantize_rows(where, codes.view(), scales.view(), x.view(), {.scale = bad}), errc::out_of_range, "scale");
  auto flipped = transposed.view();
  std::swap(flipped.extent[0], flipped.extent[1]), std::swap(flipped.stride[0], flipped.stride[1]);
  is(tenon::quantize_rows(where, codes.view(), scales.view(), flipped), errc::bad_stride, "x");
  auto sparse      = codes.view();
  sparse.stride[1] = 2;
  is(tenon::quantize_rows(where, sparse, scales.view(), x.view()), errc::bad_stride, "codes");
  auto crooked = x.view();
  crooked.data = reinterpret_cast<bf16*>(reinterpret_cast<char*>(crooked.data) + 1);
  is(tenon::quantize_rows(where, codes.view(), scales.view(), crooked), errc::misaligned, "x");
  auto absent = scales.view();
  absent.data = nullptr;
  is(tenon::quantize_rows(where, codes.view(), absent, x.view()), errc::out_of_range, "scales");
  auto tall        = x.view();
  auto tall_codes  = codes.view();
  auto tall_scales = scales.view();
  tall.extent[0] = tall_codes.extent[0] = tall_scales.extent[0] = index_t{1} << 31;
  is(tenon::quantize_rows(where, tall_codes, tall_scales, tall), errc::out_of_range, "m");
  auto wide       = x.view();
  auto wide_codes = codes.view();
  wide.extent[1] = wide_codes.extent[1] = (index_t{1} << 30) + 1;
  is(tenon::quantize_rows(where, wide_codes, scales.view(), wide), errc::out_of_range, "k");

  char const* const gated = "swiglu_quantize";
  is(tenon::swiglu_quantize(where, narrow.view(), scales.view(), x.view(), x.view()), errc::shape_mismatch, "n", gated);
  is(tenon::swiglu_quantize(where, codes.view(), scales.view(), x.view()), errc::shape_mismatch, "gate_up", gated);
  is(tenon::swiglu_quantize(where, codes.view(), scales.view(), x.view(), flipped), errc::bad_stride, "up", gated);
  test::tensor<float, 2> two(2, 2);
  is(tenon::swiglu_quantize(where, narrow.view(), two.view(), x.view(), {.group = 4}), errc::unsupported, "group",
     gated);
}

TEST(quantize_rows_contract, nothing_to_do_is_fine) {
  test::tensor<bf16, 2>        none(0, 8), narrow(3, 0);
  test::tensor<std::int8_t, 2> no_codes(0, 8), narrow_codes(3, 0);
  test::tensor<float, 2>       no_scales(0, 1), scales(3, 1), no_groups(3, 0);
  tenon::context const         where;
  EXPECT_TRUE(tenon::quantize_rows(where, no_codes.view(), no_scales.view(), none.view()).ok());
  EXPECT_TRUE(tenon::quantize_rows(where, narrow_codes.view(), scales.view(), narrow.view()).ok());
  EXPECT_TRUE(tenon::quantize_rows(where, narrow_codes.view(), no_groups.view(), narrow.view(), {.group = 128}).ok());
  EXPECT_TRUE(tenon::swiglu_quantize(where, narrow_codes.view(), scales.view(), narrow.view()).ok());
}

TEST(quantize_rows_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (index_t const k : {1, 1024, 1025, 4096, 4097, 100000})
      for (bool const vectorised : {false, true}) {
        auto const chosen = tenon::choose_quantize_rows_policy({arch}, k, vectorised);
        EXPECT_EQ(std::count(std::begin(tenon::quantize_rows_menu), std::end(tenon::quantize_rows_menu), chosen), 1);
        EXPECT_EQ(chosen.on_host(), arch == 0);
        EXPECT_TRUE(vectorised || arch == 0 || chosen.vector == 1);
      }
}

}  // namespace
