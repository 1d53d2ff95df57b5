#include <tenon/conv/conv2d.hpp>
#include <tenon/conv/conv2d_ref.hpp>

#include <gtest/gtest.h>

#include <vector>

#include "conv2d_problem.hpp"

namespace {

using tenon::bf16, tenon::index_t, test::convolution;
namespace epilogue = tenon::epilogue;

template <class T>
class conv2d_epilogue : public testing::Test {};
using types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(conv2d_epilogue, types);

// What follows a convolution in a residual network: batch norm, the residual, which y itself holds, ReLU. Rows are pixels,
// columns are channels of all groups.
TYPED_TEST(conv2d_epilogue, is_batch_norm_residual_and_relu) {
  using T = TypeParam;
  for (auto const& c : {convolution{2, 5, 6, 16, 12, 3, 3, {.padding = {1, 1}}},
                        convolution{2, 5, 6, 16, 12, 3, 3, {.stride = {2, 1}, .padding = {1, 1}, .groups = 2}},
                        convolution{1, 4, 4, 24, 9, 1, 1}}) {
    SCOPED_TRACE(text(c));
    test::convolution_operands<T> o(c);
    index_t const                 pixels = c.pixels(), out = c.out_channels;
    test::tensor<float, 1>        factors(out), shifts(out), rows(pixels);
    test::tensor<T, 4>            y(c.batch, c.out_height(), c.out_width(), out);
    factors.random(3), shifts.random(4), rows.random(5);
    y.random(6, 5.f);
    auto const         before = y.values();
    auto const         sums = test::expected(o, c), f = factors.values(), s = shifts.values(), r = rows.values();
    std::vector<float> want;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      std::size_t const j = i % static_cast<std::size_t>(out), row = i / static_cast<std::size_t>(out);
      double const      v = double(sums[i]) * double(f[j]) + double(s[j]) + double(r[row]) + double(float(before[i]));
      want.push_back(static_cast<float>(v > 0 ? v : 0));
    }
    test::on_every_target([&](tenon::context const& where) {
      y.assign(before);
      auto const residual = epilogue::residual(tenon::dense(y.view().data, pixels, out));
      ASSERT_TRUE(tenon::conv2d(where, y.view(), o.x.view(), o.w.view(), c.options,
                                epilogue::scale_shift_columns(factors.view(), shifts.view()) |
                                    epilogue::add_rows(rows.view()) | residual | epilogue::relu())
                      .ok());
      EXPECT_LE(test::relative_error(y.values(), want), test::tolerance<T>());
    });
  }
}

}  // namespace
