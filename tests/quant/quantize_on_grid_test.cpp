#include <tenon/quant/quantize_on_grid.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using tenon::bf16, tenon::dense, tenon::errc, tenon::f16, tenon::grid_report, tenon::index_t, tenon::quantize_on_grid,
    tenon::quantized_weight, tenon::weight_code, tenon::weight_format;

/// Codes, scales, and the weights that they stand for, rounded to W.
template <class W>
struct on_grid_weights {
  index_t            rows = 6, columns = 40;
  weight_format      format;
  std::vector<int>   codes;
  std::vector<float> scales;
  std::vector<W>     w;

  explicit on_grid_weights(weight_format f, bool negative = false) : format(f) {
    std::mt19937  engine(7);
    int const     lowest = f.code == weight_code::int4 ? -8 : -128;
    index_t const group = f.group > 0 ? f.group : columns, groups = (columns + group - 1) / group;
    for (index_t n = 0; n < rows * groups; ++n)
      scales.push_back((negative && n % 3 == 0 ? -1.f : 1.f) * (0.001f + 1e-5f * static_cast<float>(engine() % 997)));
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; ++j) {
        codes.push_back(lowest + static_cast<int>(engine() % static_cast<unsigned>(-2 * lowest)));
        w.push_back(W(scales[static_cast<std::size_t>(i * groups + j / group)] * static_cast<float>(codes.back())));
      }
  }
  tenon::tensor_view<W const, 2>     view() const { return dense(w.data(), rows, columns); }
  tenon::tensor_view<float const, 2> scale_view() const {
    return dense(scales.data(), rows, static_cast<index_t>(scales.size()) / rows);
  }
};

template <class W>
class quantize_on_grid_of : public testing::Test {};
using types = testing::Types<float, f16, bf16>;
TYPED_TEST_SUITE(quantize_on_grid_of, types);

// Every code comes back, also from 16 bits, in which a weight is not scale * code but what that was rounded to.
TYPED_TEST(quantize_on_grid_of, codes_are_taken_as_they_are) {
  for (weight_format const f : {weight_format{.code = weight_code::int8},
                                {.code = weight_code::int8, .group = 16},
                                {.code = weight_code::int4, .group = 16},
                                {.code = weight_code::int4}})
    for (bool const negative : {false, true}) {
      SCOPED_TRACE(to_string(f));
      on_grid_weights<TypeParam> const given(f, negative);
      quantized_weight                 q;
      grid_report                      r;
      ASSERT_TRUE(quantize_on_grid(q, r, given.view(), f, given.scale_view()).ok());
      EXPECT_EQ(q.format, f);
      EXPECT_EQ(q.scales, given.scales);
      EXPECT_EQ(q.factor, 1.f);
      for (std::size_t n = 0; n < given.codes.size(); ++n)
        ASSERT_EQ(q.number(static_cast<index_t>(n) / q.columns, static_cast<index_t>(n) % q.columns),
                  static_cast<float>(given.codes[n]));
      EXPECT_EQ(r.weights, 240);
      EXPECT_EQ(r.on_grid, 240);
      EXPECT_EQ(r.saturated, 0);
      // The rounding of the storage, in steps of the largest code: nothing in f32, up to half a step in bf16.
      if (std::is_same_v<TypeParam, float>) EXPECT_LT(r.distance, 2e-5);
      else EXPECT_GT(r.distance, 1e-4);
    }
}

// Weights that were never quantised: two in a thousand lie within a thousandth of a step by chance, and are rounded.
TEST(quantize_on_grid_reports, master_weights) {
  std::mt19937                    engine(3);
  std::normal_distribution<float> normal(0, 1);
  index_t const                   rows = 20, columns = 500;
  std::vector<float>              w, scales(static_cast<std::size_t>(rows), 6.f / 127);
  for (index_t n = 0; n < rows * columns; ++n) w.push_back(normal(engine));
  quantized_weight q;
  grid_report      r;
  ASSERT_TRUE(quantize_on_grid(q, r, dense(w.data(), rows, columns), {.code = weight_code::int8},
                               dense(std::as_const(scales).data(), rows, 1))
                  .ok());
  EXPECT_EQ(r.saturated, 0);
  EXPECT_NEAR(r.on_grid_part(), 2e-3, 1.5e-3);
  EXPECT_NEAR(r.distance, 0.5, 1e-3);
  for (std::size_t n = 0; n < w.size(); ++n)
    ASSERT_EQ(static_cast<double>(static_cast<std::int8_t>(q.codes[n])), std::nearbyint(w[n] / scales[0])) << n;
  // One scale of all rows by a stride of 0: the same.
  quantized_weight                         shared;
  tenon::tensor_view<float const, 2> const one{scales.data(), {rows, 1}, {0, 0}};
  ASSERT_TRUE(quantize_on_grid(shared, r, dense(w.data(), rows, columns), {.code = weight_code::int8}, one).ok());
  EXPECT_EQ(shared.codes, q.codes);
  // Scales of somebody else, eight times too small: what lies beyond 0.75 deviations saturates.
  std::vector<float> const small(static_cast<std::size_t>(rows), 0.75f / 127);
  ASSERT_TRUE(
      quantize_on_grid(q, r, dense(w.data(), rows, columns), {.code = weight_code::int8}, dense(small.data(), rows, 1))
          .ok());
  EXPECT_NEAR(r.saturated_part(), std::erfc(0.75 / std::sqrt(2.)), 0.02);
}

// The narrower the storage, the more of them lie there by chance: many codes have but one or two numbers of bf16
// between them. int8, scales from the largest magnitude of 1024; docs/operators/quantize_weight.md has the figures.
TYPED_TEST(quantize_on_grid_of, master_weights_lie_there_by_chance) {
  std::mt19937                    engine(3);
  std::normal_distribution<float> normal(0, 1);
  index_t const                   rows = 20, columns = 1024;
  std::vector<TypeParam>          w;
  std::vector<float>              scales;
  for (index_t i = 0; i < rows; ++i) {
    float largest = 0;
    for (index_t j = 0; j < columns; ++j) {
      w.push_back(TypeParam(normal(engine)));
      largest = std::fmax(largest, std::fabs(static_cast<float>(w.back())));
    }
    scales.push_back(largest / 127);
  }
  quantized_weight q;
  grid_report      r;
  ASSERT_TRUE(quantize_on_grid(q, r, dense(std::as_const(w).data(), rows, columns), {.code = weight_code::int8},
                               dense(std::as_const(scales).data(), rows, 1))
                  .ok());
  double const part = std::is_same_v<TypeParam, float> ? 0.002 : std::is_same_v<TypeParam, f16> ? 0.02 : 0.16;
  EXPECT_NEAR(r.on_grid_part(), part, 0.3 * part);
  EXPECT_EQ(r.saturated, 0);
}

// The ends: -8 is a code, what lies half a step beyond 7 still counts as 7; scales of 0; merged reports.
TEST(quantize_on_grid_reports, ends_and_zeros) {
  std::vector<float> const w = {-8, -8.4f, 7.4f, 7.6f, 0.25f, 0, 1, 0, 0, 0, 0, 0}, scales = {1, 0};
  quantized_weight         q;
  grid_report              r;
  ASSERT_TRUE(
      quantize_on_grid(q, r, dense(w.data(), 2, 6), {.code = weight_code::int4}, dense(scales.data(), 2, 1)).ok());
  EXPECT_EQ(q.codes, (std::vector<std::uint8_t>{0, 0, 15, 15, 8, 8, 8, 8, 8, 8, 8, 8}));
  EXPECT_EQ(r.weights, 12);
  EXPECT_EQ(r.on_grid, 7);    // -8, 0, and five zeros
  EXPECT_EQ(r.saturated, 2);  // 7.6, and 1 under a scale of 0
  EXPECT_NEAR(r.distance, 0.4, 1e-6);
  grid_report all;
  EXPECT_EQ(all.on_grid_part(), 1);
  all.merge(r), all.merge(r);
  EXPECT_EQ(all.weights, 24);
  EXPECT_EQ(all.on_grid, 14);
}

// fp8: every finite e4m3 is on its own grid, a value in the middle between two is half a step away.
TEST(quantize_on_grid_reports, fp8) {
  std::vector<float> w;
  for (int bits = 0; bits < 256; ++bits)
    if ((bits & 0x7f) != 0x7f)
      w.push_back(0.5f * static_cast<float>(tenon::e4m3::from_bits(static_cast<std::uint8_t>(bits))));
  auto const       n     = static_cast<index_t>(w.size());
  float const      scale = 0.5f;
  quantized_weight q;
  grid_report      r;
  auto const       once = [&] {
    return quantize_on_grid(q, r, dense(std::as_const(w).data(), 1, n), {.code = weight_code::fp8},
                                  dense(&scale, 1, 1));
  };
  ASSERT_TRUE(once().ok());
  EXPECT_EQ(r.on_grid, n);
  EXPECT_EQ(r.distance, 0);
  EXPECT_EQ(q.dequantized(), w);
  w.assign({0.5f * 1.0625f, 0.5f * 0x1p-10f, 230.f, 300.f});  // middles; 460 / 448; beyond
  auto const few =
      quantize_on_grid(q, r, dense(std::as_const(w).data(), 1, 4), {.code = weight_code::fp8}, dense(&scale, 1, 1));
  ASSERT_TRUE(few.ok());
  EXPECT_EQ(r.on_grid, 0);
  EXPECT_EQ(r.saturated, 1);
  EXPECT_EQ(r.distance, 0.5);
}

TEST(quantize_on_grid_contract, names_what_is_wrong) {
  std::vector<float>  w(8, 1.f);
  std::vector<float>  scales(2, 1.f);
  quantized_weight    q;
  grid_report         r;
  weight_format const int8{.code = weight_code::int8};
  auto const          run = [&](weight_format f, index_t rows = 2, index_t groups = 1, double threshold = 1e-3) {
    return quantize_on_grid(q, r, dense(std::as_const(w).data(), 2, 4), f,
                                     dense(std::as_const(scales).data(), rows, groups), {threshold});
  };
  auto const is = [&](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_TRUE(q.codes.empty());
    EXPECT_EQ(r.weights, 0);
  };
  is(run(int8, 1), errc::shape_mismatch, "rows");
  is(run({.code = weight_code::int8, .group = 2}), errc::shape_mismatch, "groups");
  is(run({.code = weight_code::fp4}), errc::unsupported, "code");
  is(run({.code = weight_code::int4, .zero_points = true}), errc::unsupported, "zero_points");
  is(run({.code = weight_code::int8, .block_rows = 2}), errc::out_of_range, "block_rows");
  is(run({.code = weight_code::int8, .group = -1}), errc::out_of_range, "group");
  is(run(int8, 2, 1, 0.5), errc::out_of_range, "threshold");
  scales[1] = -1;
  is(run({.code = weight_code::fp8}), errc::out_of_range, "scales");
  scales[1] = std::numeric_limits<float>::quiet_NaN();
  is(run(int8), errc::out_of_range, "scales");
  scales[1] = 1, w[5] = std::numeric_limits<float>::infinity();
  auto const s = run(int8);
  is(s, errc::out_of_range, "w");
  EXPECT_EQ(s.got, 1);
  EXPECT_EQ(s.want, 1);
}

}  // namespace
