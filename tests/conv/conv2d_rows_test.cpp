// Epilogues that look at more than one value: pairs, and stages along a row.
#include <tenon/conv/conv2d.hpp>
#include <tenon/conv/conv2d_ref.hpp>
#include <tenon/op/epilogue_rows.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "conv2d_problem.hpp"

namespace {

using tenon::bf16, tenon::index_t, test::convolution;
namespace epilogue = tenon::epilogue;

// Gates and ups in one convolution.
TEST(conv2d_rows, are_gates_and_ups) {
  using T = bf16;
  constexpr convolution         c{1, 5, 6, 16, 11, 3, 3, {.padding = {1, 1}}};
  test::convolution_operands<T> o(c, tenon::paired_rows(c.out_channels));
  std::vector<float>            want(static_cast<std::size_t>(c.pixels() * c.out_channels));
  auto const                    x = o.x.values(), w = o.w.values();
  for (index_t i = 0; i < c.pixels(); ++i)  // two dense convolutions of one channel each
    for (index_t j = 0; j < c.out_channels; ++j) {
      double sum[2] = {};
      for (int half = 0; half < 2; ++half) {
        index_t const row = half == 0 ? tenon::gate_row(j) : tenon::up_row(j);
        for (index_t k = 0; k < 9 * c.in_channels; ++k) {
          index_t const y = i / c.width + k / (3 * c.in_channels) - 1, z = i % c.width + k / c.in_channels % 3 - 1;
          if (y < 0 || y >= c.height || z < 0 || z >= c.width) continue;
          sum[half] +=
              double(float(x[static_cast<std::size_t>((y * c.width + z) * c.in_channels + k % c.in_channels)])) *
              double(float(w[static_cast<std::size_t>(row * 9 * c.in_channels + k)]));
        }
      }
      want[static_cast<std::size_t>(i * c.out_channels + j)] =
          static_cast<float>(sum[0] / (1 + std::exp(-sum[0])) * sum[1]);
    }
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 4> y(c.batch, c.height, c.width, c.out_channels);
    ASSERT_TRUE(tenon::conv2d(where, y.view(), o.x.view(), o.w.view(), c.options, epilogue::swiglu()).ok());
    EXPECT_LE(test::relative_error(y.values(), want), test::tolerance<T>());
  });
}

// Codes and scales of 128 channels at a time, a group of the convolution each, wide and by elements.
TEST(conv2d_rows, are_quantised) {
  for (auto const& c : {convolution{1, 3, 4, 16, 256, 2, 2, {.groups = 2}}, convolution{1, 3, 4, 5, 128, 2, 2}}) {
    SCOPED_TRACE(text(c));
    test::convolution_operands<bf16> o(c);
    auto const                       sums = test::expected(o, c);
    index_t const                    out  = c.out_channels;
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<std::int8_t, 4> y(c.batch, c.out_height(), c.out_width(), out);
      test::tensor<float, 2>       scales(c.pixels(), out / 128);
      ASSERT_TRUE(tenon::conv2d(where, y.view(), o.x.view(), o.w.view(), c.options,
                                epilogue::quantize<std::int8_t, 128>(scales.view()))
                      .ok());
      auto const codes = y.values();
      auto const s     = scales.values();
      for (std::size_t g = 0; g < s.size(); ++g) {
        double most = 0;
        for (std::size_t i = 128 * g; i < 128 * g + 128; ++i) most = std::max(most, std::abs(double(sums[i])));
        EXPECT_NEAR(double(s[g]), most / 127, 1e-5 * most);
        for (std::size_t i = 128 * g; i < 128 * g + 128; ++i)
          EXPECT_NEAR(double(codes[i]) * double(s[g]), double(sums[i]), 0.51 * double(s[g]));
      }
    });
  }
}

}  // namespace
