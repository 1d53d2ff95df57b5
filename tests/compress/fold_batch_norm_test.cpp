#include <compress/naive_layers.hpp>
#include <tenon/compress/fold_batch_norm.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::bf16, tenon::dense, tenon::errc, tenon::f16, tenon::fold_batch_norm, tenon::fold_leading_batch_norm,
    tenon::index_t, tenon::no_bias;
using test::as, test::linear, test::normal, test::over, test::worst;

template <class T>
constexpr double bound = sizeof(T) == 4 ? 1e-5 : 1e-13;

template <class T>
class fold_batch_norm_of : public testing::Test {};
using both = testing::Types<float, double>;
TYPED_TEST_SUITE(fold_batch_norm_of, both);

TYPED_TEST(fold_batch_norm_of, linear_with_and_without_bias) {
  using T               = TypeParam;
  std::size_t const out = 23, in = 37, tokens = 5;
  auto const        w = normal<T>(out * in, 1, 0.3), b = normal<T>(out, 2), x = normal<T>(tokens * in, 3);
  for (bool const with_bias : {true, false}) {
    for (double const eps : {1e-5, 1e-3, 0.}) {
      test::norm_values<T> norm(out, 4);
      norm.eps        = eps;
      auto const bias = with_bias ? b : std::vector<T>{};
      auto const want = norm(linear(as<double>(x), as<double>(w), as<double>(bias), in));
      auto       w2   = std::vector<T>(w.size());
      auto       b2   = std::vector<T>(out);
      ASSERT_TRUE(fold_batch_norm(dense(w2.data(), out, in), over(b2), dense(w.data(), out, in),
                                  dense(bias.data(), bias.size()), view(norm))
                      .ok());
      EXPECT_LE(worst(linear(x, w2, b2, in), want), bound<T>) << "bias " << with_bias << ", eps " << eps;
      // In place.
      auto w3 = w, b3 = with_bias ? b : std::vector<T>(out);
      ASSERT_TRUE(
          fold_batch_norm(dense(w3.data(), out, in), over(b3), dense(w3.data(), out, in), over(b3), view(norm)).ok());
      EXPECT_EQ(w3, w2);
      EXPECT_EQ(b3, b2);
    }
  }
}

TYPED_TEST(fold_batch_norm_of, convolution_in_both_layouts_with_groups) {
  using T = TypeParam;
  for (int const groups : {1, 2, 6}) {
    test::convolution const conv{
        .in = 6, .out = 12, .size = 7, .kernel = 3, .groups = groups, .stride = 2, .padding = 1};
    index_t const        out = conv.out, ins = conv.in / groups, k = conv.kernel;
    auto const           n = static_cast<std::size_t>(out * ins * k * k);
    auto const           w = normal<T>(n, 11, 0.3), b = normal<T>(12, 12), x = normal<T>(6 * 49, 13);
    test::norm_values<T> norm(12, 14);
    auto const           pixels = static_cast<std::size_t>(conv.outputs() * conv.outputs());
    auto const           want   = norm(conv(as<double>(x), as<double>(w), as<double>(b)), pixels);
    std::vector<T>       w2(n), b2(12);
    ASSERT_TRUE(fold_batch_norm(dense(w2.data(), out, ins, k, k), over(b2), dense(w.data(), out, ins, k, k),
                                dense(b.data(), 12), view(norm))
                    .ok());
    EXPECT_LE(worst(conv(x, w2, b2), want), bound<T>) << groups;
    // OHWI: the same numbers elsewhere.
    std::vector<T> ohwi(n), b3(12);
    auto const     at = [&](index_t o, index_t i, index_t r, index_t c) {
      return static_cast<std::size_t>(((o * k + r) * k + c) * ins + i);
    };
    auto const oihw = dense(w.data(), out, ins, k, k), folded = dense<T const>(w2.data(), out, ins, k, k);
    for (index_t o = 0; o < out; ++o)
      for (index_t i = 0; i < ins; ++i)
        for (index_t r = 0; r < k; ++r)
          for (index_t c = 0; c < k; ++c) ohwi[at(o, i, r, c)] = oihw(o, i, r, c);
    auto const four = dense(ohwi.data(), out, k, k, ins);
    ASSERT_TRUE(fold_batch_norm(four, over(b3), four, dense(b.data(), 12), view(norm)).ok());
    for (index_t o = 0; o < out; ++o)
      for (index_t i = 0; i < ins; ++i)
        for (index_t r = 0; r < k; ++r)
          for (index_t c = 0; c < k; ++c) ASSERT_EQ(ohwi[at(o, i, r, c)], folded(o, i, r, c));
    EXPECT_EQ(b3, b2);
  }
}

TYPED_TEST(fold_batch_norm_of, transposed_convolution_scales_axis_1) {
  using T = TypeParam;
  // A transposed convolution scatters: y[g outs + o, 2 p + r] += w[g ins + i, o, r] x[g ins + i, p].
  index_t const        groups = 2, ins = 3, outs = 4, k = 3, size = 5, length = 2 * (size - 1) + k;
  auto const           w = normal<T>(6 * 4 * 3, 21), b = normal<T>(8, 22), x = normal<T>(6 * 5, 23);
  test::norm_values<T> norm(8, 24);
  auto const run = [&]<class V>(std::vector<V> const& xs, std::vector<V> const& ws, std::vector<V> const& bs) {
    std::vector<V> y(static_cast<std::size_t>(groups * outs * length));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = bs[i / static_cast<std::size_t>(length)];
    for (index_t in = 0; in < groups * ins; ++in)
      for (index_t o = 0; o < outs; ++o)
        for (index_t p = 0; p < size; ++p)
          for (index_t r = 0; r < k; ++r)
            y[static_cast<std::size_t>((in / ins * outs + o) * length + 2 * p + r)] +=
                ws[static_cast<std::size_t>((in * outs + o) * k + r)] * xs[static_cast<std::size_t>(in * size + p)];
    return y;
  };
  auto const     want = norm(run(as<double>(x), as<double>(w), as<double>(b)), static_cast<std::size_t>(length));
  std::vector<T> w2(w.size()), b2(8);
  ASSERT_TRUE(fold_batch_norm(dense(w2.data(), 6, 4, 3), over(b2), dense(w.data(), 6, 4, 3), dense(b.data(), 8),
                              view(norm), {.transposed = true, .groups = groups})
                  .ok());
  EXPECT_LE(worst(run(x, w2, b2), want), bound<T>);
}

TYPED_TEST(fold_batch_norm_of, norm_in_front_of_a_linear) {
  using T                  = TypeParam;
  std::size_t const    out = 19, in = 41, tokens = 4;
  auto const           w = normal<T>(out * in, 31, 0.3), b = normal<T>(out, 32), x = normal<T>(tokens * in, 33);
  test::norm_values<T> norm(in, 34);
  for (bool const with_bias : {true, false}) {
    auto const bias = with_bias ? b : std::vector<T>{};
    auto const want = linear(norm(as<double>(x)), as<double>(w), as<double>(bias), in);
    auto       w2   = w;
    auto       b2   = std::vector<T>(out);
    ASSERT_TRUE(fold_leading_batch_norm(dense(w2.data(), out, in), over(b2), dense(w2.data(), out, in),
                                        dense(bias.data(), bias.size()), view(norm))
                    .ok());
    EXPECT_LE(worst(linear(x, w2, b2, in), want), bound<T>) << with_bias;
  }
}

// The commonest mistake: without a bias of the convolution, mean and beta still make one; with one, it is scaled too.
TEST(fold_batch_norm, a_bias_comes_out_whether_or_not_one_went_in) {
  float const w[] = {3.f}, gamma[] = {2.f}, beta[] = {5.f}, mean[] = {1.f}, variance[] = {0.25f}, b[] = {7.f};
  tenon::batch_norm<> const norm{dense(gamma, 1), dense(beta, 1), dense(mean, 1), dense(variance, 1), 0.};
  float                     w2[1], b2[1];
  ASSERT_TRUE(fold_batch_norm(dense(w2, 1, 1), dense(b2, 1), dense(w, 1, 1), no_bias, norm).ok());
  EXPECT_EQ(w2[0], 12.f);
  EXPECT_EQ(b2[0], 1.f);  // 5 - 4
  ASSERT_TRUE(fold_batch_norm(dense(w2, 1, 1), dense(b2, 1), dense(w, 1, 1), dense(b, 1), norm).ok());
  EXPECT_EQ(b2[0], 29.f);  // 5 + 4 (7 - 1)
}

// 1e-3 in one framework, 1e-5 in the other: no default is right, and the difference shows where variances are small.
TEST(fold_batch_norm, eps_is_to_be_given) {
  float const         w[] = {1.f}, zero[] = {0.f}, variance[] = {1e-3f};
  tenon::batch_norm<> norm{{}, {}, dense(zero, 1), dense(variance, 1)};
  float               w2[1] = {42.f}, b2[1] = {42.f};
  auto const          s = fold_batch_norm(dense(w2, 1, 1), dense(b2, 1), dense(w, 1, 1), no_bias, norm);
  EXPECT_EQ(s.code, errc::out_of_range);
  EXPECT_STREQ(s.subject, "eps");
  EXPECT_EQ(w2[0], 42.f);
  for (double const eps : {1e-3, 1e-5}) {
    norm.eps = eps;
    ASSERT_TRUE(fold_batch_norm(dense(w2, 1, 1), dense(b2, 1), dense(w, 1, 1), no_bias, norm).ok());
    EXPECT_NEAR(w2[0], 1 / std::sqrt(1e-3 + eps), 2e-6);
  }
  norm.eps = std::nan("");
  EXPECT_STREQ(fold_batch_norm(dense(w2, 1, 1), dense(b2, 1), dense(w, 1, 1), no_bias, norm).subject, "eps");
}

TEST(fold_batch_norm, names_the_channel_of_a_bad_variance) {
  float const nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (float const bad : {-1e-6f, -1.f, nan, infinity, 0.f}) {
    std::vector<float>       w(12, 1.f), w2(12, 42.f), b2(4, 42.f);
    test::norm_values<float> norm(4, 41);
    norm.variance[2] = bad;
    norm.eps         = bad == 0.f ? 0. : 1e-5;  // a zero is fine with an eps
    auto const s     = fold_batch_norm(dense(w2.data(), 4, 3), over(b2), dense(w.data(), 4, 3), no_bias, view(norm));
    EXPECT_EQ(s.code, errc::out_of_range) << bad;
    EXPECT_STREQ(s.subject, "variance") << bad;
    EXPECT_EQ(s.got, 2) << bad;
    EXPECT_EQ(w2, std::vector<float>(12, 42.f));
    EXPECT_EQ(b2, std::vector<float>(4, 42.f));
    norm.variance[2] = 0.f, norm.eps = 1e-5;
    EXPECT_TRUE(fold_batch_norm(dense(w2.data(), 4, 3), over(b2), dense(w.data(), 4, 3), no_bias, view(norm)).ok());
  }
}

TEST(fold_batch_norm, names_what_does_not_fit) {
  std::vector<float>             w(12, 1.f), w2(12), b2(4), five(5);
  test::norm_values<float> const norm(4, 51);
  auto const                     good = view(norm);
  auto const                     run  = [&](auto to, auto bias_to, auto bias, tenon::batch_norm<> const& n,
                       tenon::fold_batch_norm_options const& options = {}) {
    auto const s = fold_batch_norm(to, bias_to, dense(w.data(), 4, 3), bias, n, options);
    return std::string(s.subject) + " " + std::to_string(s.got) + " " + std::to_string(s.want);
  };
  auto const to = dense(w2.data(), 4, 3);
  EXPECT_EQ(run(dense(w2.data(), 3, 4), over(b2), no_bias, good), "w_out 3 4");
  EXPECT_EQ(run(to, over(five), no_bias, good), "bias_out 5 4");
  EXPECT_EQ(run(to, over(b2), over(five), good), "bias 5 4");
  auto other = good;
  other.mean = dense<float const>(five.data(), 5);
  EXPECT_EQ(run(to, over(b2), no_bias, other), "mean 5 4");
  other.mean = {};
  EXPECT_EQ(run(to, over(b2), no_bias, other), "mean 0 4");
  EXPECT_EQ(run(to, over(b2), no_bias, good, {.groups = 0}), "groups 0 1");
  EXPECT_EQ(run(to, over(b2), no_bias, good, {.transposed = true, .groups = 3}), "groups 4 3");
  w[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run(to, over(b2), no_bias, good), "w 2 1");
}

TEST(fold_batch_norm, refuses_what_its_storage_cannot_hold) {
  float const w[] = {1.f, 300.f}, one[] = {1.f}, zero[] = {0.f}, variance[] = {1e-6f};
  f16         w2[2] = {f16(4.f), f16(4.f)}, b2[1] = {f16(4.f)};
  auto const  s = fold_batch_norm(dense(w2, 1, 2), dense(b2, 1), dense(w, 1, 2), no_bias,
                                  tenon::batch_norm<>{dense(one, 1), {}, dense(zero, 1), dense(variance, 1), 0.});
  EXPECT_EQ(s.code, errc::out_of_range);
  EXPECT_STREQ(s.subject, "w");
  EXPECT_EQ(s.want, 1);
  EXPECT_EQ(static_cast<float>(w2[0]), 4.f);
}

// Powers of two go through every storage without a rounding.
TEST(fold_batch_norm, powers_of_two_are_exact) {
  std::size_t const  n = 64;
  auto const         w = normal<bf16>(n * 3, 61), b = normal<bf16>(n, 62);
  std::vector<float> gamma(n), mean(n, 0.f), variance(n);
  for (std::size_t i = 0; i < n; ++i)
    gamma[i] = std::ldexp(1.f, static_cast<int>(i % 7) - 3), variance[i] = std::ldexp(1.f, 2 * static_cast<int>(i % 3));
  std::vector<bf16> w2(w.size()), b2(n);
  ASSERT_TRUE(fold_batch_norm(dense(w2.data(), n, 3), over(b2), dense(w.data(), n, 3), dense(b.data(), n),
                              tenon::batch_norm<>{dense<float const>(gamma.data(), n),
                                                  {},
                                                  dense<float const>(mean.data(), n),
                                                  dense<float const>(variance.data(), n),
                                                  0.})
                  .ok());
  for (std::size_t i = 0; i < n; ++i) {
    float const s = gamma[i] / std::sqrt(variance[i]);
    EXPECT_EQ(static_cast<float>(b2[i]), s * static_cast<float>(b[i]));
    for (std::size_t j = 3 * i; j < 3 * i + 3; ++j) EXPECT_EQ(static_cast<float>(w2[j]), s * static_cast<float>(w[j]));
  }
}

TEST(fold_batch_norm, takes_empty_layers) {
  float                          none[1] = {};
  test::norm_values<float> const norm(3, 71), empty(0, 72);
  float                          b2[3];
  EXPECT_TRUE(fold_batch_norm(dense(none, 0, 5), dense(none, 0), dense(none, 0, 5), no_bias, view(empty)).ok());
  EXPECT_TRUE(fold_batch_norm(dense(none, 3, 0), dense(b2, 3), dense(none, 3, 0), no_bias, view(norm)).ok());
  EXPECT_TRUE(fold_leading_batch_norm(dense(none, 3, 0), dense(b2, 3), dense(none, 3, 0), no_bias, view(empty)).ok());
  EXPECT_EQ(b2[1], 0.f);
}

// One rounding: a double just above the middle of two f16 numbers is on the middle as an f32, and would go to the even
// one.
TEST(fold_storage, rounds_once) {
  EXPECT_EQ(tenon::fold::rounded<f16>(1 + 0x1p-11 + 0x1p-40).bits, f16(1 + 0x1p-10f).bits);
  EXPECT_EQ(tenon::fold::rounded<f16>(1 + 0x1p-11).bits, f16(1.f).bits);
  EXPECT_EQ(tenon::fold::rounded<f16>(1 + 3 * 0x1p-11 - 0x1p-40).bits, f16(1 + 0x1p-10f).bits);
  EXPECT_EQ(tenon::fold::rounded<bf16>(-1 - 0x1p-8 - 0x1p-50).bits, bf16(-1 - 0x1p-7f).bits);
  EXPECT_EQ(tenon::fold::rounded<bf16>(-1 - 0x1p-8 + 0x1p-50).bits, bf16(-1.f).bits);
  EXPECT_EQ(tenon::fold::rounded<f16>(1e300).bits, 0x7c00);
  EXPECT_EQ(tenon::fold::rounded<f16>(-65519.9999999).bits, f16(-65504.f).bits);
  EXPECT_EQ(tenon::fold::rounded<f16>(0x1p-25 + 0x1p-70).bits, 1);
  EXPECT_EQ(tenon::fold::rounded<f16>(0x1p-25).bits, 0);
  EXPECT_EQ(tenon::fold::rounded<bf16>(1e-300).bits, 0);
  EXPECT_EQ(tenon::fold::rounded<f16>(-0.).bits, 0x8000);
  EXPECT_TRUE(std::isnan(static_cast<float>(tenon::fold::rounded<bf16>(std::nan("")))));
  EXPECT_EQ(tenon::fold::rounded<float>(1 + 0x1p-24 + 0x1p-50), 1 + 0x1p-23f);
}

}  // namespace
