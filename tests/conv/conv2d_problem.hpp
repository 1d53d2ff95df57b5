#pragma once
//  Convolutions that several tests make.
#include <tenon/conv/conv2d.hpp>
#include <tenon/conv/conv2d_ref.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace test {

struct convolution {
  index_t               batch, height, width, in_channels, out_channels, kernel_h, kernel_w;
  tenon::conv2d_options options = {};

  index_t out_height() const {
    return tenon::conv2d_extent(height, kernel_h, options.stride.height, options.padding.height,
                                options.dilation.height);
  }
  index_t out_width() const {
    return tenon::conv2d_extent(width, kernel_w, options.stride.width, options.padding.width, options.dilation.width);
  }
  index_t pixels() const { return batch * out_height() * out_width(); }
  index_t channels() const { return in_channels / options.groups; }
};

inline std::string text(convolution const& c) {
  auto const number = [](index_t v) { return std::to_string(v) + " "; };
  auto const pair   = [&](char const* name, tenon::height_width const& p) {
    return name + (" " + number(p.height)) + number(p.width);
  };
  return "x " + number(c.batch) + number(c.height) + number(c.width) + number(c.in_channels) + "w " +
         number(c.out_channels) + number(c.kernel_h) + number(c.kernel_w) + pair("stride", c.options.stride) +
         pair("padding", c.options.padding) + pair("dilation", c.options.dilation) + "groups " +
         number(c.options.groups);
}

/// x and w of a convolution: normal values, or all codes of int8.
template <class T>
struct convolution_operands {
  tensor<T, 4> x, w;

  explicit convolution_operands(convolution const& c, index_t rows = -1)
      : x(c.batch, c.height, c.width, c.in_channels),
        w(rows < 0 ? c.out_channels : rows, c.kernel_h, c.kernel_w, c.channels()) {
    fill(x, 1), fill(w, 2);
  }

 private:
  static void fill(tensor<T, 4>& t, unsigned seed) {
    if constexpr (std::is_same_v<T, std::int8_t>) {
      std::mt19937   engine(seed);
      std::vector<T> v(t.size());
      for (T& e : v) e = static_cast<T>(static_cast<int>(engine() % 256) - 128);
      t.assign(v);
    } else {
      t.random(seed);
    }
  }
};

/// The policies of this run's menu that can run elements of T under an epilogue that looks at one value.
template <class T, class Body>
void on_every_conv2d_policy(tenon::context const& where, bool wide, Body const& body) {
  if (where.arch == 89) return;  // the kernels of 80
  for (tenon::gemm_policy const& policy : tenon::conv2d_menu) {
    if (policy.on_host() != (where.arch == 0) || (policy.wide && !policy.on_host() && !wide)) continue;
    if (!tenon::conv2d_runs(policy, sizeof(T), {})) continue;
    SCOPED_TRACE(to_string(policy));
    body(policy);
  }
}

template <class Element, class Result>
struct conv2d_types {
  using element = Element;
  using result  = Result;
};
// batch, height, width, in_channels, out_channels, kernel_h, kernel_w, {stride, padding, dilation, groups}
inline constexpr convolution convolutions[] = {
    {1, 1, 1, 1, 1, 1, 1},                                                               // one product
    {1, 5, 4, 3, 2, 3, 3},                                                               // no padding
    {2, 5, 6, 3, 5, 3, 3, {.padding = {1, 1}}},                                          // of the same size
    {1, 9, 8, 16, 7, 3, 2, {.stride = {2, 3}, .padding = {2, 1}}},                       // axes differ
    {1, 9, 9, 8, 6, 3, 3, {.padding = {2, 2}, .dilation = {2, 2}}},                      // dilated
    {2, 7, 5, 32, 20, 2, 3, {.stride = {1, 2}, .padding = {0, 3}, .dilation = {3, 1}}},  // all at once
    {1, 3, 2, 16, 4, 5, 5, {.padding = {2, 2}}},                                         // more kernel than image
    {1, 2, 2, 4, 3, 1, 1, {.stride = {2, 2}, .padding = {3, 3}}},                        // pixels of padding alone
    {1, 8, 8, 48, 70, 3, 3, {.padding = {1, 1}}},                                        // more than a tile
    {3, 6, 6, 24, 6, 3, 3, {.padding = {1, 1}, .groups = 3}},                            // groups
    {1, 5, 5, 32, 70, 1, 2, {.groups = 2}},                                              // whole chunks
    {1, 6, 7, 5, 10, 3, 3, {.stride = {2, 2}, .padding = {1, 1}, .groups = 5}},          // depthwise, two each
    {2, 4, 4, 16, 9, 1, 1},                                                              // a dense product
    {1, 6, 6, 16, 9, 1, 1, {.stride = {2, 2}}},                                          // one with gaps
};

/// Integer sums are exact, and so is their way to f32 below 2^24.
template <class T, class D>
inline constexpr double conv2d_bound = std::is_same_v<T, std::int8_t> ? 0 : tolerance<D>();

template <class T>
std::vector<float> expected(convolution_operands<T> const& o, convolution const& c) {
  std::vector<float> y(static_cast<std::size_t>(c.pixels() * c.out_channels));
  auto const         x = o.x.values(), w = o.w.values();
  tenon::ref::conv2d(over(y, c.batch, c.out_height(), c.out_width(), c.out_channels),
                     over(x, c.batch, c.height, c.width, c.in_channels),
                     over(w, c.out_channels, c.kernel_h, c.kernel_w, c.channels()), c.options);
  return y;
}

/// The reference's values, on every target.
template <class D, class T>
void expect_reference(convolution const& c) {
  SCOPED_TRACE(text(c));
  convolution_operands<T> o(c);
  auto const              want = expected(o, c);
  on_every_target([&](tenon::context const& where) {
    tensor<D, 4> y(c.batch, c.out_height(), c.out_width(), c.out_channels);
    auto const   status = tenon::conv2d(where, y.view(), o.x.view(), o.w.view(), c.options);
    ASSERT_TRUE(status.ok()) << status.subject;
    EXPECT_LE(relative_error(y.values(), want), (conv2d_bound<T, D>));
  });
}

/// Every policy gives the bits of the chosen one, and those of each image alone.
template <class D, class T>
void expect_same_bits_under_every_policy(convolution const& c) {
  SCOPED_TRACE(text(c));
  convolution_operands<T> o(c);
  on_every_target([&](tenon::context const& where) {
    tensor<D, 4> y(c.batch, c.out_height(), c.out_width(), c.out_channels);
    ASSERT_TRUE(tenon::conv2d(where, y.view(), o.x.view(), o.w.view(), c.options).ok());
    auto const chosen = y.values();
    on_every_conv2d_policy<T>(where, true, [&](tenon::gemm_policy const& policy) {
      auto options   = c.options;
      options.policy = policy;
      tensor<D, 4> other(c.batch, c.out_height(), c.out_width(), c.out_channels);
      for (index_t b = 0; b < c.batch; ++b)
        ASSERT_TRUE(tenon::conv2d(where, other.view().slice(b, 1), o.x.view().slice(b, 1), o.w.view(), options).ok());
      EXPECT_TRUE(same_bits(chosen, other.values()));
    });
  });
}

}  // namespace test
