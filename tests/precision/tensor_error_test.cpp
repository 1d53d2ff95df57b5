#include <tenon/precision/tensor_error.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::spacing_of, tenon::tensor_error;
using numbers = std::vector<float>;

template <class X, class Y>
tensor_error compare(std::vector<X> const& x, std::vector<Y> const& y,
                     tenon::float_spacing spacing = spacing_of<float>) {
  tensor_error e(spacing);
  EXPECT_TRUE(e.add(std::span<X const>(x), std::span<Y const>(y)).ok());
  return e;
}

using doubles = std::vector<double>;

double one_minus_cosine(doubles const& x, doubles const& y) { return compare(x, y).one_minus_cosine(); }

TEST(float_spacing, is_that_of_the_format) {
  for (double const v : {1., 1.5, 3., -1e-30, 1e30, 1e-40, 0.}) {
    auto const f = static_cast<float>(v);
    EXPECT_EQ(spacing_of<float>.at(v), static_cast<double>(std::nextafter(std::fabs(f), INFINITY)) - std::fabs(f)) << v;
    EXPECT_EQ(spacing_of<double>.at(v), std::nextafter(std::fabs(v), INFINITY) - std::fabs(v)) << v;
  }
  EXPECT_EQ(spacing_of<bf16>.at(1), 1. / 128);
  EXPECT_EQ(spacing_of<f16>.at(1), 1. / 1024);
  EXPECT_EQ(spacing_of<f16>.at(1e-6), 0x1p-24);
}

TEST(tensor_error, of_the_same_is_nothing) {
  auto const e = compare<float, float>({1, -2, 0, 1e30f}, {1, -2, 0, 1e30f});
  EXPECT_EQ(e.count(), 4);
  EXPECT_EQ(e.max_abs(), 0);
  EXPECT_EQ(e.rel_l2(), 0);
  EXPECT_EQ(e.one_minus_cosine(), 0);
  EXPECT_EQ(e.sqnr(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(e.max_ulp(), 0);
  EXPECT_EQ(e.worst().index, -1);
  EXPECT_EQ(e.ulp_histogram(), (std::array<std::int64_t, 5>{4, 0, 0, 0, 0}));
  EXPECT_EQ(tensor_error().mean_abs(), 0);
  EXPECT_EQ(tensor_error().ulp_quantile(.99), 0);
}

TEST(tensor_error, has_the_measures_of_a_naive_loop) {
  std::mt19937                    random(3);
  std::normal_distribution<float> normal;
  numbers                         x(1000), y(1000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = normal(random), y[i] = x[i] + .01f * normal(random);
  auto const e  = compare(x, y);
  double     xx = 0, yy = 0, xy = 0, ee = 0, abs = 0, most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const a = x[i], b = y[i];
    xx += a * a, yy += b * b, xy += a * b, ee += (b - a) * (b - a), abs += std::fabs(b - a);
    most = std::max(most, std::fabs(b - a));
  }
  EXPECT_DOUBLE_EQ(e.max_abs(), most);
  EXPECT_NEAR(e.mean_abs(), abs / 1000, 1e-12);
  EXPECT_NEAR(e.rel_l2(), std::sqrt(ee / xx), 1e-12);
  EXPECT_NEAR(e.sqnr(), 10 * std::log10(xx / ee), 1e-9);
  EXPECT_NEAR(e.one_minus_cosine(), 1 - xy / std::sqrt(xx * yy), 1e-13);
  double const ref = x[static_cast<std::size_t>(e.worst().index)], got = y[static_cast<std::size_t>(e.worst().index)];
  EXPECT_EQ(std::fabs(got - ref), most);
  EXPECT_EQ(e.worst().reference, ref);
  EXPECT_EQ(e.worst().tested, got);
}

// In pieces it is the same, but for the floor of the ulp, which is that of a piece.
TEST(tensor_error, comes_in_pieces) {
  numbers const x{1, 2, 3, 4, 5, 6}, y{1, 2.5f, 3, 4, 5.25f, 6};
  tensor_error  pieces;
  ASSERT_TRUE(pieces.add(std::span(x).first(2), std::span(y).first(2)).ok());
  ASSERT_TRUE(pieces.add(std::span(x).subspan(2), std::span(y).subspan(2)).ok());
  auto const whole = compare(x, y);
  EXPECT_EQ(pieces.rel_l2(), whole.rel_l2());
  EXPECT_EQ(pieces.one_minus_cosine(), whole.one_minus_cosine());
  EXPECT_EQ(pieces.worst().index, 1);
  EXPECT_EQ(pieces.count(), 6);
}

// 1 - 0.99999999999 is not 0: vectors that are almost parallel.
TEST(tensor_error, small_angles_are_not_rounded_away) {
  std::vector<double> const x{1, 0}, y{1, 1e-9};
  EXPECT_NEAR(compare(x, y, spacing_of<double>).one_minus_cosine(), .5e-18, 1e-24);
  std::vector<double> const longer{2, 0};
  EXPECT_LT(compare(x, longer, spacing_of<double>).one_minus_cosine(), 1e-16);
  EXPECT_NEAR((one_minus_cosine({1, 0}, {0, 3})), 1, 1e-15);
  EXPECT_NEAR((one_minus_cosine({1, 0}, {-3, 0})), 2, 1e-15);
  EXPECT_EQ((one_minus_cosine({0, 0}, {0, 3})), 1);
}

TEST(tensor_error, counts_ulp_of_the_tested_format) {
  auto const e =
      compare<float, float>({1, 1, 1, 1, 1}, {1, 1 + 1 / 128.f, 1 + 3 / 128.f, 1 - 5 / 128.f, 2}, spacing_of<bf16>);
  EXPECT_EQ(e.ulp_histogram(), (std::array<std::int64_t, 5>{1, 1, 1, 1, 1}));
  EXPECT_EQ(e.max_ulp(), 128);
  EXPECT_EQ(e.ulp_quantile(.2), 0);
  EXPECT_EQ(e.ulp_quantile(.6), 3);
  EXPECT_EQ(e.ulp_quantile(1), 128);
}

// A zero that became 1e-6 is many ulp of itself, and none among numbers around 1.
TEST(tensor_error, elements_near_zero_do_not_stand_for_all) {
  auto const e = compare<float, float>({1, 1, 1, 0}, {1, 1, 1, 1e-8f});
  EXPECT_EQ(e.max_ulp(), 0);
  EXPECT_GT(e.max_ulp_near_zero(), 1'000'000);
}

TEST(tensor_error, quantiles_of_many_ulp_are_an_eighth_too_much_at_most) {
  numbers x(1000, 1.f), y(1000);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = 1 + static_cast<float>(i) * 0x1p-23f;
  auto const e = compare(x, y);
  for (double const q : {.1, .5, .9, .99}) {
    EXPECT_GE(e.ulp_quantile(q), std::ceil(q * 1000) - 1) << q;
    EXPECT_LE(e.ulp_quantile(q), 9 * q * 1000 / 8 + 1) << q;
  }
  EXPECT_EQ(e.ulp_quantile(1), 999);
}

TEST(tensor_error, what_is_not_finite_is_counted_apart) {
  float const inf = INFINITY, nan = NAN;
  auto const  e = compare<float, float>({1, inf, nan, 2, inf, 1}, {1, inf, nan, nan, -inf, 1.5f});
  EXPECT_EQ(e.count(), 6);
  EXPECT_EQ(e.broken(), 2);
  EXPECT_EQ(e.worst().index, 3) << "the first that broke is worse than any number";
  EXPECT_EQ(e.max_abs(), .5);
  EXPECT_TRUE(std::isfinite(e.rel_l2()));
  EXPECT_EQ(e.mean_abs(), .25);
}

TEST(tensor_error, of_a_reference_of_zeros_is_infinite) {
  auto const e = compare<float, float>({0, 0}, {0, 1});
  EXPECT_EQ(e.rel_l2(), INFINITY);
  EXPECT_EQ(compare(numbers(2), numbers(2)).rel_l2(), 0);
}

TEST(tensor_error, takes_any_formats) {
  auto const narrow = compare<double, bf16>({1, 2}, {bf16(1.f), bf16(2.f)}, spacing_of<bf16>);
  EXPECT_EQ(narrow.max_ulp(), 0);
  auto const wide = compare<f16, float>({f16(1.f)}, {1.f});
  EXPECT_EQ(wide.max_abs(), 0);
}

TEST(tensor_error, refuses_tensors_of_different_sizes) {
  tensor_error  e;
  numbers const x(3), y(4);
  auto const    s = e.add(std::span(x), std::span(y));
  EXPECT_EQ(s.code, errc::shape_mismatch);
  EXPECT_STREQ(s.subject, "tested");
  EXPECT_EQ(s.got, 4);
  EXPECT_EQ(s.want, 3);
  EXPECT_EQ(e.count(), 0);
}

}  // namespace
