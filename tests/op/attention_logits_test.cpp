#include <tenon/op/logits.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using tenon::index_t;

TEST(soft_cap, is_a_hyperbolic_tangent) {
  double worst = 0;
  for (std::uint32_t bits = 0x00800000; bits < 0x7f800000; bits += 1009) {
    float const  x    = tenon::bit_cast<float>(bits);
    double const want = std::tanh(double(x));
    worst             = std::max(worst, std::abs(double(tenon::hyperbolic_tangent(x)) / want - 1));
    ASSERT_EQ(tenon::hyperbolic_tangent(-x), -tenon::hyperbolic_tangent(x)) << x;
  }
  EXPECT_LE(worst, 2e-7);
}

TEST(soft_cap, is_within_4e_7_of_the_cap) {
  for (float const cap : {1e-3f, 1.f, 30.f, 50.f, 1e4f})
    for (float step = -4; step <= 4; step += 1e-3f) {
      float const value = cap * step, got = tenon::soft_cap{cap}(value, 0, 0, 0, 0);
      ASSERT_NEAR(double(got), double(cap) * std::tanh(double(value) / double(cap)), 4e-7 * double(cap)) << value;
    }
}

TEST(soft_cap, of_huge_logits_is_the_cap) {
  float const infinity = std::numeric_limits<float>::infinity();
  for (float const cap : {1e-3f, 30.f, 50.f, 1e4f})
    for (float const huge : {1e30f, 3e38f, infinity}) {
      EXPECT_EQ((tenon::soft_cap{cap}(huge, 0, 0, 0, 0)), cap);
      EXPECT_EQ((tenon::soft_cap{cap}(-huge, 0, 0, 0, 0)), -cap);
    }
  EXPECT_TRUE(std::isnan(tenon::soft_cap{50.f}(std::nanf(""), 0, 0, 0, 0)));
}

// get_slopes of the paper's code, in double precision.
std::vector<double> published_slopes(int heads) {
  auto const power_of_two = [](int n) {
    std::vector<double> r;
    double const        start = std::exp2(-std::exp2(-(std::log2(double(n)) - 3)));
    for (int i = 0; i < n; ++i) r.push_back(start * std::pow(start, i));
    return r;
  };
  int const  p    = 1 << int(std::log2(double(heads)));
  auto       r    = power_of_two(p);
  auto const more = power_of_two(2 * p);
  for (int i = 0; i < heads - p; ++i) r.push_back(more[std::size_t(2 * i)]);
  return r;
}

TEST(alibi, has_the_published_slopes) {
  for (int const heads : {1, 2, 3, 4, 5, 8, 12, 16, 20, 25, 32, 40, 71, 112, 128}) {
    auto const want = published_slopes(heads);
    for (int h = 0; h < heads; ++h)
      ASSERT_NEAR(double(tenon::alibi_slope(h, heads)) / want[std::size_t(h)], 1, 3e-7) << h << " of " << heads;
  }
  for (int h = 0; h < 8; ++h) EXPECT_EQ(tenon::alibi_slope(h, 8), std::ldexp(1.f, -1 - h));
  EXPECT_FLOAT_EQ(tenon::alibi_slope(8, 12), 0.70710678f);  // 2^-0.5, the first of 16 heads
  EXPECT_FLOAT_EQ(tenon::alibi_slope(9, 12), 0.35355339f);
}

TEST(alibi, grows_with_the_distance_either_way) {
  EXPECT_EQ((tenon::alibi{8}(3.f, 0, 1, 10, 6)), 3.f - 4 * 0.25f);
  EXPECT_EQ((tenon::alibi{8}(3.f, 0, 1, 6, 10)), 3.f - 4 * 0.25f);
  std::vector<float> const slope{0.5f, 2.f};
  EXPECT_EQ((tenon::alibi_slopes{tenon::dense(slope.data(), 2)}(3.f, 0, 1, 10, 6)), 3.f - 4 * 2.f);
}

TEST(additive_bias, is_by_head_query_and_key) {
  std::vector<tenon::f16> bias;
  for (int i = 0; i < 2 * 3 * 4; ++i) bias.push_back(tenon::f16(float(i)));
  tenon::additive_bias const f{tenon::dense(bias.data(), 2, 3, 4)};
  EXPECT_EQ(f(0.5f, 7, 1, 2, 3), 23.5f);
  EXPECT_EQ(f(0.5f, 7, 0, 1, 2), 6.5f);
  for (auto const& outside : {std::pair{3, 0}, {0, 4}, {-1, 0}})
    EXPECT_EQ(f(0.5f, 0, 1, outside.first, outside.second), 0.5f);
  auto shared           = f;
  shared.bias.stride[0] = 0;
  EXPECT_EQ(shared(0.f, 0, 1, 2, 3), 11.f);
}

TEST(relative_bias, is_by_distance_and_holds_at_the_ends) {
  std::vector<float> const   bias{-2, -1, 0, 1, 2, 10, 20, 30, 40, 50};
  tenon::relative_bias const f{tenon::dense(bias.data(), 2, 5), 2};
  EXPECT_EQ(f(0.f, 0, 0, 7, 7), 0.f);
  EXPECT_EQ(f(0.f, 0, 0, 7, 8), 1.f);
  EXPECT_EQ(f(0.f, 0, 1, 7, 6), 20.f);
  EXPECT_EQ(f(0.f, 0, 0, 90, 1), -2.f);
  EXPECT_EQ(f(0.f, 0, 1, 1, 90), 50.f);
}

// _relative_position_bucket of the published code, at distances around its edges.
TEST(t5_bucket, is_the_published_one) {
  struct row {
    int distance, bidirectional, causal;
  };
  for (row const& r : {row{0, 0, 0},
                       {-1, 1, 1},
                       {-7, 7, 7},
                       {-8, 8, 8},
                       {-9, 8, 9},
                       {-15, 9, 15},
                       {-16, 10, 16},
                       {-20, 10, 17},
                       {-31, 11, 21},
                       {-32, 12, 21},
                       {-64, 14, 26},
                       {-127, 15, 31},
                       {-128, 15, 31},
                       {-4000, 15, 31},
                       {1, 17, 0},
                       {8, 24, 0},
                       {12, 25, 0},
                       {64, 30, 0},
                       {4000, 31, 0}}) {
    EXPECT_EQ(tenon::t5_bucket(r.distance, true), r.bidirectional) << r.distance;
    EXPECT_EQ(tenon::t5_bucket(r.distance, false), r.causal) << r.distance;
  }
}

TEST(logits, run_in_turn) {
  auto const f = tenon::soft_cap{2.f} | tenon::alibi{8};
  EXPECT_EQ(f(1e9f, 0, 0, 3, 1), 2.f - 2 * 0.5f);
  auto const g = tenon::alibi{8} | tenon::soft_cap{2.f};
  EXPECT_FLOAT_EQ(g(5.f, 0, 0, 3, 1), 2 * std::tanh(2.f));
  auto const three = tenon::soft_cap{2.f} | tenon::alibi{8} | tenon::scaled_logits{};
  EXPECT_EQ(three(1e9f, 0, 0, 3, 1), 1.f);
}

TEST(logits, say_what_they_look_at) {
  static_assert(tenon::same_for_all_pairs<tenon::soft_cap> && tenon::same_for_all_pairs<tenon::scaled_logits>);
  static_assert(!tenon::same_for_all_pairs<tenon::additive_bias<float>>);
  static_assert(!tenon::same_for_all_pairs<tenon::in_turn<tenon::soft_cap, tenon::alibi_slopes>>);
}

}  // namespace
