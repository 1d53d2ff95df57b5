#include <tenon/conv/conv2d.hpp>
#include <tenon/conv/conv2d_ref.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "conv2d_problem.hpp"

namespace {

using tenon::bf16, tenon::index_t, test::convolution;

template <class Types>
class conv2d : public testing::Test {};
using all = testing::Types<test::conv2d_types<float, float>, test::conv2d_types<bf16, bf16>>;
TYPED_TEST_SUITE(conv2d, all);

TYPED_TEST(conv2d, agrees_with_the_reference) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  for (auto const& c : test::convolutions) test::expect_reference<D, T>(c);
}

// Every policy gives every element the same bits, and those of each image alone.
TYPED_TEST(conv2d, has_the_same_bits_under_every_policy) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  test::expect_same_bits_under_every_policy<D, T>({2, 7, 6, 16, 9, 3, 3, {.stride = {2, 1}, .padding = {1, 1}}});
  test::expect_same_bits_under_every_policy<D, T>({2, 4, 4, 16, 12, 2, 2, {.padding = {1, 1}, .groups = 2}});
}

/// A view with these steps.
template <class T>
tenon::tensor_view<T, 4> strided(T* data, std::array<index_t, 4> const& e, std::array<index_t, 4> const& s) {
  return {data, {e[0], e[1], e[2], e[3]}, {s[0], s[1], s[2], s[3]}};
}

// What is beside x, w and y in memory is neither read nor written: NaN stands there.
template <class D, class T>
void expect_inside_its_views(index_t in, index_t pad, bool wide) {
  constexpr index_t b = 2, h = 4, w = 5, out = 5;
  convolution const c{b, h, w, in, out, 3, 3, {.padding = {1, 1}}};
  SCOPED_TRACE(text(c));
  float const    nan   = std::numeric_limits<float>::quiet_NaN();
  auto const     value = [](index_t i) { return T(static_cast<float>(i * 7 % 11) - 5.f); };
  auto const     at    = [](index_t i) { return static_cast<std::size_t>(i); };
  index_t const  line = w * (in + pad) + pad, image = h * line + pad, row = 9 * in + pad;
  std::vector<T> xs(at(b * image), T(nan)), ws(at(out * row), T(nan));
  for (index_t i = 0; i < b * h * w * in; ++i)
    xs[at(i / (h * w * in) * image + i / (w * in) % h * line + i / in % w * (in + pad) + i % in)] = value(i);
  for (index_t i = 0; i < out * 9 * in; ++i) ws[at(i / (9 * in) * row + i % (9 * in))] = value(i + 3);
  std::vector<D> const         ys(at(b * h * w * (out + pad)), D(nan));
  std::vector<float>           want(at(b * h * w * out));
  std::array<index_t, 4> const x_extents{b, h, w, in}, w_extents{out, 3, 3, in}, y_extents{b, h, w, out};
  std::array<index_t, 4> const x_steps{image, line, in + pad, 1}, w_steps{row, 3 * in, in, 1};
  std::array<index_t, 4> const y_steps{h * w * (out + pad), w * (out + pad), out + pad, 1};
  tenon::ref::conv2d(test::over(want, b, h, w, out), strided(xs.data(), x_extents, x_steps),
                     strided(ws.data(), w_extents, w_steps), c.options);

  test::tensor<T, 1> x(static_cast<index_t>(xs.size())), weight(static_cast<index_t>(ws.size()));
  x.assign(xs), weight.assign(ws);
  test::on_every_target([&](tenon::context const& where) {
    test::on_every_conv2d_policy<T>(where, wide, [&](tenon::gemm_policy const& policy) {
      auto options   = c.options;
      options.policy = policy;
      test::tensor<D, 1> y(static_cast<index_t>(ys.size()));
      y.assign(ys);
      ASSERT_TRUE(tenon::conv2d(where, strided(y.view().data, y_extents, y_steps),
                                strided(x.view().data, x_extents, x_steps),
                                strided(weight.view().data, w_extents, w_steps), options)
                      .ok());
      std::vector<D> inside;
      auto const     got = y.values();
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (i % at(out + pad) < out) inside.push_back(got[i]);
        else EXPECT_TRUE(std::isnan(static_cast<float>(got[i]))) << i;
      }
      EXPECT_LE(test::relative_error(inside, want), (test::conv2d_bound<T, D>));
    });
  });
}
TYPED_TEST(conv2d, reads_and_writes_inside_its_views_only) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  expect_inside_its_views<D, T>(6, 3, false);
  expect_inside_its_views<D, T>(16, 16, true);
}

TYPED_TEST(conv2d, takes_empty_extents) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 4> x(1, 2, 2, 0), w(3, 3, 3, 0), image(1, 2, 2, 4), filters(3, 3, 3, 4), nothing(0, 3, 3, 4);
    test::tensor<T, 4> narrow(1, 6, 2, 4);
    test::tensor<D, 4> y(1, 2, 2, 3), none(1, 0, 0, 3), no_columns(1, 4, 0, 3), no_channels(1, 2, 2, 0);
    y.fill(D(7.f));
    ASSERT_TRUE(tenon::conv2d(where, y.view(), x.view(), w.view(), {.padding = {1, 1}}).ok());
    for (D const v : y.values()) EXPECT_EQ(static_cast<float>(v), 0.f);  // sums over no channels
    // An image of no lines with padding is padding.
    tenon::tensor_view<T, 4> const flat{nullptr, {1, 0, 2, 4}, {8, 8, 4, 1}};
    test::tensor<D, 4>             line(1, 1, 2, 3);
    line.fill(D(7.f)), filters.fill(T(1.f));
    ASSERT_TRUE(tenon::conv2d(where, line.view(), flat, filters.view(), {.stride = {2, 1}, .padding = {2, 1}}).ok());
    for (D const v : line.values()) EXPECT_EQ(static_cast<float>(v), 0.f);
    EXPECT_TRUE(tenon::conv2d(where, none.view(), image.view(), filters.view()).ok());         // no room for the kernel
    EXPECT_TRUE(tenon::conv2d(where, no_columns.view(), narrow.view(), filters.view()).ok());  // on one axis alone
    EXPECT_TRUE(tenon::conv2d(where, no_channels.view(), image.view(), nothing.view(), {.padding = {1, 1}}).ok());
  });
}

}  // namespace
