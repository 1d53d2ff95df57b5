#include <tenon/quant/import_awq.hpp>
#include <tenon/quant/import_gptq.hpp>
#include <tenon/quant/plausibility.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "random_weight.hpp"

namespace {

using tenon::index_t;
using tenon::quantized_weight;
using tenon::weight_code;
using tenon::weight_plausibility;
using test::expect_ok;

enum class rule { asymmetric, seven, seven_and_a_half, signed_eight };

std::vector<float> normal_weights(index_t rows, index_t columns) {
  std::mt19937               engine(4);
  std::normal_distribution<> normal(0, 0.02);
  std::vector<float>         v;
  for (index_t i = 0; i < rows * columns; ++i) v.push_back(static_cast<float>(normal(engine)));
  return v;
}

/// Normal weights with a deviation of 0.02, quantised to int4 by the rules that writers use.
quantized_weight quantized(index_t rows, index_t columns, int group, rule how) {
  auto const       v = normal_weights(rows, columns);
  quantized_weight w;
  w.format = {.code = weight_code::int4, .group = group, .zero_points = how == rule::asymmetric};
  w.rows = rows, w.columns = columns;
  w.codes.resize(v.size());
  for (index_t i = 0; i < rows; ++i)
    for (index_t g = 0; g < columns / group; ++g) {
      auto const  from = v.begin() + i * columns + g * group;
      float const low = *std::min_element(from, from + group), high = *std::max_element(from, from + group);
      float const largest = std::max(-low, high);
      float       scale = 0, zero = 8;
      switch (how) {
        case rule::asymmetric: scale = (high - low) / 15, zero = std::nearbyint(-low / scale); break;
        case rule::seven: scale = largest / 7; break;
        case rule::seven_and_a_half: scale = largest / 7.5f; break;
        case rule::signed_eight: scale = (high > -low ? high : low) / -8; break;
      }
      w.scales.push_back(scale);
      if (w.format.zero_points) w.zeros.push_back(static_cast<std::uint8_t>(zero));
      for (int e = 0; e < group; ++e)
        w.codes[static_cast<std::size_t>(i * columns + g * group + e)] =
            static_cast<std::uint8_t>(std::clamp(std::nearbyint(from[e] / scale) + zero, 0.f, 15.f));
    }
  return w;
}

TEST(weight_plausibility, finds_nothing_wrong_with_weights) {
  for (auto const how : {rule::asymmetric, rule::seven, rule::seven_and_a_half, rule::signed_eight})
    for (int const group : {16, 32, 128}) {
      auto const r = weight_plausibility(quantized(64, 512, group, how));
      EXPECT_TRUE(r.plausible()) << to_string(r);
      // The median of |w| is 0.674 deviations, the 99th percentile 2.576; codes of 0 are left out of both.
      EXPECT_GT(r.median, 0.0135f);
      EXPECT_LT(r.median, 0.0175f);
      EXPECT_NEAR(r.percentile99, 0.0515, 0.003);
      EXPECT_LT(std::fabs(r.mean_code), 0.05f);
      EXPECT_EQ(r.negative_scales > 0, how == rule::signed_eight);
      EXPECT_EQ(to_string(r).rfind("plausible: median 0.01", 0), 0u) << to_string(r);
    }
}

TEST(weight_plausibility, trap_zero_points_off_by_one) {
  auto const w = quantized(64, 512, 128, rule::asymmetric);
  for (int const by : {-1, 1}) {
    auto off = w;
    for (auto& z : off.zeros) z = static_cast<std::uint8_t>(z + by);
    auto const r = weight_plausibility(off);
    EXPECT_STREQ(r.reason, "codes do not average zero: are the zero points off by one?");
    EXPECT_NEAR(r.mean_code, static_cast<float>(-by), 0.1f);
  }
  // The same through a file: zero points written by one version and read by the other.
  tenon::gptq_checkpoint<float> file;
  expect_ok(tenon::export_gptq(file, w, {.zeros = tenon::gptq_zeros::one_less}));
  file.options.zeros = tenon::gptq_zeros::as_is;
  quantized_weight read;
  expect_ok(tenon::import_gptq(read, file.tensors(), file.options));
  EXPECT_STREQ(weight_plausibility(read).reason, "codes do not average zero: are the zero points off by one?");
}

TEST(weight_plausibility, trap_nibbles_in_another_order) {
  auto const w = quantized(64, 512, 128, rule::asymmetric);
  EXPECT_LT(weight_plausibility(w).group_bias, 1.5f);
  // A writer that packs the codes, but not the zero points, in the order of the outputs.
  tenon::awq_checkpoint<float> file;
  expect_ok(tenon::export_awq(file, w));
  for (auto& word : file.qweight) {
    std::uint32_t in_order = 0;
    for (index_t i = 0; i < 8; ++i)
      in_order |= static_cast<std::uint32_t>(tenon::checkpoint::nibble(word, tenon::checkpoint::awq_gemm_nibble(i)))
                  << (4 * i);
    word = static_cast<std::int32_t>(in_order);
  }
  quantized_weight read;
  expect_ok(tenon::import_awq(read, file.tensors(), file.options));
  auto const r = weight_plausibility(read);
  EXPECT_STREQ(r.reason, "zero points are not those of their groups: is the order of fields another?") << r.group_bias;
}

TEST(weight_plausibility, trap_inverse_scales) {
  auto w = quantized(64, 512, 128, rule::seven);
  for (auto& s : w.scales) s = 1 / s;
  EXPECT_STREQ(weight_plausibility(w).reason, "weights too large: is a scale its own inverse?");
  w        = quantized(64, 512, 128, rule::seven);
  w.factor = 1e-5f;
  EXPECT_STREQ(weight_plausibility(w).reason, "weights too small: is a scale its own inverse?");
}

TEST(weight_plausibility, trap_scales_and_codes_that_are_no_numbers) {
  auto w       = quantized(64, 512, 128, rule::seven);
  w.scales[5]  = std::numeric_limits<float>::quiet_NaN();
  w.scales[77] = -std::numeric_limits<float>::infinity();
  auto r       = weight_plausibility(w);
  EXPECT_STREQ(r.reason, "scales that are NaN or infinite");
  EXPECT_EQ(r.bad_scales, 2);
  w          = test::random_weight(8, 16, {.code = weight_code::fp8}, 1, 0, 0x60);
  w.codes[3] = 0x7f, w.codes[9] = 0xff;
  r = weight_plausibility(w);
  EXPECT_STREQ(r.reason, "codes that are NaN");
  EXPECT_EQ(r.nan_codes, 2);
}

TEST(weight_plausibility, counts_rows_of_zeros) {
  auto w = quantized(64, 512, 128, rule::seven);
  std::fill_n(w.codes.begin(), 512 * 20, std::uint8_t{8});
  std::fill_n(w.scales.begin() + 4 * 20, 4, 0.f);
  auto r = weight_plausibility(w);
  EXPECT_TRUE(r.plausible());
  EXPECT_EQ(r.zero_rows, 21);
  std::fill_n(w.codes.begin(), 512 * 40, std::uint8_t{8});
  r = weight_plausibility(w);
  EXPECT_STREQ(r.reason, "rows of zeros");
  EXPECT_TRUE(weight_plausibility(test::random_int4(8, 0, 0, false, 1)).plausible());
  EXPECT_TRUE(weight_plausibility(test::random_int4(0, 8, 0, true, 1)).plausible());
}

// The scale of a file is what counts; which rule made it is for a writer that wants to make the same.
TEST(weight_plausibility, tells_by_which_rule_scales_were_made) {
  EXPECT_STREQ(weight_plausibility(quantized(64, 512, 128, rule::seven)).grid(), "m / 7 or m / 127");
  EXPECT_STREQ(weight_plausibility(quantized(64, 512, 128, rule::seven_and_a_half)).grid(), "m / 7.5 or m / 127.5");
  EXPECT_STREQ(weight_plausibility(quantized(64, 512, 128, rule::signed_eight)).grid(), "signed");
}

TEST(on_grid_share, is_one_after_fake_quantisation) {
  auto w = quantized(64, 512, 128, rule::seven_and_a_half);
  auto v = w.dequantized();
  EXPECT_EQ(tenon::on_grid_share(w, tenon::dense(v.data(), 64, 512)), 1);
  v = normal_weights(64, 512);
  EXPECT_LT(tenon::on_grid_share(w, tenon::dense(v.data(), 64, 512)), 0.02);  // the largest of each group is
  test::shuffle_order(w, 2);
  v = w.dequantized();
  EXPECT_EQ(tenon::on_grid_share(w, tenon::dense(v.data(), 64, 512)), 1);
}

}  // namespace
