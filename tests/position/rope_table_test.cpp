#include <tenon/position/rope_table.hpp>

#include <gtest/gtest.h>

#include "../support/npy.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::errc, tenon::index_t, tenon::rope_scaling, tenon::rope_scaling_kind;

std::vector<float> table_of(index_t positions, index_t rotary_dim, double theta, rope_scaling const& scaling = {},
                            index_t first = 0) {
  std::vector<float> t(static_cast<std::size_t>(positions * rotary_dim));
  EXPECT_TRUE(tenon::fill_rope_table(test::over(t, positions, rotary_dim), theta, scaling, first).ok());
  return t;
}

TEST(rope_table, is_cos_and_sin_of_position_times_frequency) {
  auto const t = table_of(40, 6, 10000);
  for (int p = 0; p < 40; ++p)
    for (int i = 0; i < 3; ++i) {
      long double const angle = p * std::pow(10000.0L, -2.0L * i / 6);
      EXPECT_EQ(t[static_cast<std::size_t>(p * 6 + i)], static_cast<float>(std::cos(angle)));
      EXPECT_EQ(t[static_cast<std::size_t>(p * 6 + 3 + i)], static_cast<float>(std::sin(angle)));
    }
}

// A fp32 angle is off by up to 0.008 radians at position 131,071; this one is not.
TEST(rope_table, is_exact_at_far_positions) {
  auto const t = table_of(1, 128, 500000, {}, 131071);
  for (int i = 0; i < 64; ++i) {
    long double const angle = 131071 * std::pow(500000.0L, -2.0L * i / 128);
    EXPECT_NEAR(t[static_cast<std::size_t>(i)], static_cast<double>(std::cos(angle)), 1e-7) << i;
  }
}

TEST(rope_table, begins_where_it_is_told) {
  auto const all = table_of(9, 8, 10000), part = table_of(4, 8, 10000, {}, 5);
  EXPECT_TRUE(test::same_bits(part, std::vector<float>(all.begin() + 5 * 8, all.end())));
}

// Dividing frequencies is dividing positions.
TEST(rope_table, linear_scaling_stretches_positions) {
  auto const stretched = table_of(17, 8, 10000, {.kind = rope_scaling_kind::linear, .factor = 4});
  auto const plain     = table_of(5, 8, 10000);
  for (std::size_t p = 0; p < 5; ++p)
    for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(stretched[p * 4 * 8 + i], plain[p * 8 + i], 1e-6);
}

TEST(rope_table, llama3_keeps_short_waves_and_stretches_long_ones) {
  rope_scaling const s{.kind                  = rope_scaling_kind::llama3,
                       .factor                = 8,
                       .low_freq_factor       = 1,
                       .high_freq_factor      = 4,
                       .original_max_position = 8192};
  double const       pi   = std::acos(-1.0);
  double             last = 2;
  int                kept = 0, stretched = 0;
  for (index_t i = 0; i < 64; ++i) {
    double const plain = tenon::rope_frequency(i, 128, 500000, {}), f = tenon::rope_frequency(i, 128, 500000, s);
    double const wave = 2 * pi / plain;
    EXPECT_LT(f, last) << "frequencies fall";
    last = f;
    if (wave < 8192.0 / 4) {
      EXPECT_EQ(f, plain);
      ++kept;
    } else if (wave > 8192.0) {
      EXPECT_EQ(f, plain / 8);
      ++stretched;
    } else {
      EXPECT_GT(f, plain / 8);
      EXPECT_LT(f, plain);
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(stretched, 0);
  EXPECT_LT(kept + stretched, 64);
}

TEST(rope_table, yarn_ramps_between_both_ends_and_scales_attention) {
  rope_scaling s{.kind = rope_scaling_kind::yarn, .factor = 16, .original_max_position = 4096};
  EXPECT_EQ(tenon::rope_frequency(0, 128, 10000, s), tenon::rope_frequency(0, 128, 10000, {}));
  EXPECT_DOUBLE_EQ(tenon::rope_frequency(63, 128, 10000, s), tenon::rope_frequency(63, 128, 10000, {}) / 16);
  EXPECT_DOUBLE_EQ(tenon::rope_attention_factor(s), 0.1 * std::log(16.0) + 1);
  EXPECT_NEAR(table_of(1, 8, 10000, s)[0], 0.1 * std::log(16.0) + 1, 1e-6);

  s.mscale = 0.707, s.mscale_all_dim = 0.707;  // deepseek: they cancel
  EXPECT_DOUBLE_EQ(tenon::rope_attention_factor(s), 1);
  s.mscale_all_dim = 1.0;
  EXPECT_DOUBLE_EQ(tenon::rope_attention_factor(s), (0.0707 * std::log(16.0) + 1) / (0.1 * std::log(16.0) + 1));
  s.attention_factor = 1.25;
  EXPECT_EQ(tenon::rope_attention_factor(s), 1.25);
  EXPECT_EQ(tenon::rope_attention_factor({.kind = rope_scaling_kind::yarn, .factor = 0.5}), 1);
}

TEST(rope_table_contract, names_what_is_wrong) {
  std::vector<float> t(100);
  auto const         is = [](tenon::status const& s, char const* subject) {
    EXPECT_EQ(s.code, errc::out_of_range) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "fill_rope_table");
  };
  is(tenon::fill_rope_table(test::over(t, 4, 7), 10000), "rotary_dim");
  is(tenon::fill_rope_table(test::over(t, 4, 8), 1), "theta");
  is(tenon::fill_rope_table(test::over(t, 4, 8), std::numeric_limits<double>::quiet_NaN()), "theta");
  is(tenon::fill_rope_table(test::over(t, 4, 8), 10000, {.kind = rope_scaling_kind::linear, .factor = 0}), "factor");
  is(tenon::fill_rope_table(test::over(t, 4, 8), 10000,
                            {.kind = rope_scaling_kind::llama3, .original_max_position = 0}),
     "original_max_position");
  is(tenon::fill_rope_table(test::over(t, 4, 8), 10000, {.kind = rope_scaling_kind::yarn, .beta_fast = 0}),
     "beta_fast");
  is(tenon::fill_rope_table(test::over(t, 4, 8), 10000, {.kind = rope_scaling_kind::yarn, .beta_slow = -1}),
     "beta_slow");
  EXPECT_TRUE(tenon::fill_rope_table(test::over(t, 0, 8), 10000).ok());
  EXPECT_TRUE(tenon::fill_rope_table(test::over(t, 4, 0), 10000).ok());
}

// vLLM's own tables.
TEST(rope_table_vectors, agrees_with_vllm) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  double const       m = 0.1 * std::log(4.0) + 1;
  rope_scaling const llama3{.kind = rope_scaling_kind::llama3, .factor = 4, .original_max_position = 32};
  rope_scaling       equal = llama3;
  equal.low_freq_factor = equal.high_freq_factor = 2;
  rope_scaling const yarn{.kind = rope_scaling_kind::yarn, .factor = 4, .original_max_position = 32};
  rope_scaling       boosted = yarn;
  boosted.attention_factor   = 1.1 * m;
  rope_scaling smooth        = yarn;
  smooth.beta_fast = 16, smooth.beta_slow = 2, smooth.attention_factor = 0.8, smooth.extrapolation_factor = 0.75;
  smooth.truncate = false;
  struct {
    char const*  name;
    rope_scaling scaling;
    index_t      rotary_dim;
    double       atol, rtol;
  } const cases[] = {{"long_rope_llama3_neox_f32_bands", llama3, 16, 1e-5, 1e-5},
                     {"long_rope_llama3_neox_f32_equal_factors", equal, 16, 1e-5, 1e-5},
                     {"long_rope_llama3_gptj_bf16_bands", llama3, 16, 1e-2, 1.6e-2},
                     {"long_rope_yarn_neox_f32_truncate", yarn, 8, 1e-5, 1e-5},
                     {"long_rope_yarn_gptj_f32_untruncated_no_mscale", smooth, 8, 1e-5, 1e-5},
                     {"long_rope_yarn_neox_bf16", boosted, 8, 1e-2, 1.6e-2}};
  for (auto const& c : cases)
    EXPECT_LE(test::excess(table_of(128, c.rotary_dim, 10000, c.scaling),
                           test::kernel_vectors(c.name)->values<float>("cos_sin_cache"), c.atol, c.rtol),
              0)
        << c.name;
}

}  // namespace
