// f16, and int8 by int8, whose sums are exact.
#include <tenon/conv/conv2d.hpp>
#include <tenon/conv/conv2d_ref.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "conv2d_problem.hpp"

namespace {

using tenon::f16, tenon::index_t;
namespace epilogue = tenon::epilogue;

TEST(conv2d_elements, f16_agrees_with_the_reference) {
  for (auto const& c : test::convolutions) test::expect_reference<f16, f16>(c);
}
TEST(conv2d_elements, int8_is_exact) {
  for (auto const& c : test::convolutions) test::expect_reference<float, std::int8_t>(c);
}
TEST(conv2d_elements, have_the_same_bits_under_every_policy) {
  constexpr test::convolution c{2, 7, 6, 32, 9, 3, 3, {.stride = {2, 1}, .padding = {1, 1}}};
  test::expect_same_bits_under_every_policy<f16, f16>(c);
  test::expect_same_bits_under_every_policy<float, std::int8_t>(c);
}

// The extremes of int8 over the largest depth: 2^31 - 2^14 in magnitude, which 32 bits just hold.
TEST(conv2d_elements, int8_sums_do_not_overflow) {
  constexpr index_t            channels = 131071;
  test::tensor<std::int8_t, 4> x(1, 1, 1, channels), w(2, 1, 1, channels);
  std::vector<std::int8_t>     ws(2 * channels, std::int8_t{-128});
  for (index_t c = 0; c < channels; ++c) ws[static_cast<std::size_t>(channels + c)] = 127;
  x.fill(-128), w.assign(ws);
  tenon::context         where;  // the host's kernel: the others add the same integers
  test::tensor<float, 4> y(1, 1, 1, 2);
#if !TENON_CUDA
  where.arch = 0;
#else
  where.arch = tenon::arch::built_for();
  if (where.arch == 0) GTEST_SKIP() << "no CUDA device";
#endif
  ASSERT_TRUE(tenon::conv2d(where, y.view(), x.view(), w.view()).ok());
  EXPECT_EQ(y.values(), (std::vector<float>{131071.f * 16384.f, -131071.f * 16256.f}));

  test::tensor<std::int8_t, 4> more(1, 1, 1, channels + 1), weights(2, 1, 1, channels + 1);
  auto const                   status = tenon::conv2d(where, y.view(), more.view(), weights.view());
  EXPECT_EQ(status.code, tenon::errc::out_of_range);
  EXPECT_STREQ(status.subject, "elements of a row of w");
  EXPECT_EQ(status.got, channels + 1);
  EXPECT_EQ(status.want, channels);
}

// A layer of a quantised network: codes in, codes out.
TEST(conv2d_elements, int8_is_requantised) {
  constexpr test::convolution             c{1, 6, 5, 16, 10, 3, 3, {.stride = {1, 2}, .padding = {1, 1}}};
  test::convolution_operands<std::int8_t> o(c);
  test::tensor<float, 1>                  scales(c.out_channels), bias(c.out_channels);
  bias.random(3, 20.f);
  std::vector<float> s;
  for (index_t j = 0; j < c.out_channels; ++j) s.push_back(1e-4f * static_cast<float>(j + 1));
  scales.assign(s);
  auto const biases = bias.values(), sums = test::expected(o, c);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::int8_t, 4> y(c.batch, c.out_height(), c.out_width(), c.out_channels);
    ASSERT_TRUE(tenon::conv2d(where, y.view(), o.x.view(), o.w.view(), c.options,
                              epilogue::scale_columns(scales.view()) | epilogue::bias(bias.view()) | epilogue::relu())
                    .ok());
    auto const got       = y.values();
    int        saturated = 0, zero = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      std::size_t const j = i % static_cast<std::size_t>(c.out_channels);
      double const      v = static_cast<double>(sums[i]) * static_cast<double>(s[j]) + static_cast<double>(biases[j]);
      double const      code = v < 0 ? 0 : v > 127 ? 127 : v;
      EXPECT_NEAR(static_cast<double>(got[i]), code, 0.501) << i;
      saturated += got[i] == 127, zero += got[i] == 0;
    }
    EXPECT_GT(saturated, 0);
    EXPECT_GT(zero, 0);
  });
}

}  // namespace
