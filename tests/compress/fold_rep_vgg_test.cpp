#include <compress/naive_layers.hpp>
#include <tenon/compress/fold_rep_vgg.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::conv_weight_order, tenon::dense, tenon::errc, tenon::fold_rep_vgg, tenon::index_t;
using test::as, test::normal, test::worst;

/// A block with values of its own, run as it was trained.
template <class T>
struct trained_block {
  int                  in, out, kernel, groups, stride, size = 7;
  std::vector<T>       wide, narrow, wide_bias, narrow_bias;
  test::norm_values<T> wide_norm, narrow_norm, identity_norm;

  trained_block(int in_channels, int out_channels, int k, int g, int step)
      : in(in_channels),
        out(out_channels),
        kernel(k),
        groups(g),
        stride(step),
        wide(normal<T>(count() * static_cast<std::size_t>(k * k), 1, 0.3)),
        narrow(normal<T>(count(), 2, 0.3)),
        wide_norm(static_cast<std::size_t>(out), 3),
        narrow_norm(static_cast<std::size_t>(out), 13),
        identity_norm(static_cast<std::size_t>(out), 23) {}

  std::size_t count() const { return static_cast<std::size_t>(out * in / groups); }

  /// Branches: 1 spatial, 2 pointwise, 4 identity.
  std::vector<double> operator()(std::vector<double> const& x, int branches) const {
    test::convolution const conv{in, out, size, kernel, groups, stride, kernel / 2},
        point{in, out, size, 1, groups, stride};
    auto const          pixels = static_cast<std::size_t>(conv.outputs() * conv.outputs());
    std::vector<double> y(static_cast<std::size_t>(out) * pixels, 0.);
    auto const          add = [&](std::vector<double> const& v) {
      ASSERT_EQ(v.size(), y.size());
      for (std::size_t i = 0; i < y.size(); ++i) y[i] += v[i];
    };
    if (branches & 1) add(wide_norm(conv(x, as<double>(wide), as<double>(wide_bias)), pixels));
    if (branches & 2) add(narrow_norm(point(x, as<double>(narrow), as<double>(narrow_bias)), pixels));
    if (branches & 4) add(identity_norm(x, pixels));
    return y;
  }

  tenon::rep_vgg_block<T> block(int branches) const {
    tenon::rep_vgg_block<T> b{.groups = groups, .stride = stride};
    auto const              bias = [](std::vector<T> const& v) { return dense(v.data(), v.size()); };
    if (branches & 1)
      b.spatial = {dense(wide.data(), out, in / groups, kernel, kernel), bias(wide_bias), view(wide_norm)};
    if (branches & 2)
      b.pointwise = {dense(narrow.data(), out, in / groups, 1, 1), bias(narrow_bias), view(narrow_norm)};
    if (branches & 4) b.identity = view(identity_norm);
    return b;
  }
};

template <class T>
class fold_rep_vgg_of : public testing::Test {};
using both = testing::Types<float, double>;
TYPED_TEST_SUITE(fold_rep_vgg_of, both);

TYPED_TEST(fold_rep_vgg_of, every_subset_of_branches) {
  using T               = TypeParam;
  constexpr double most = sizeof(T) == 4 ? 1e-5 : 1e-13;
  for (auto const& [in, out, kernel, groups, stride] : {std::array{8, 8, 3, 1, 1},
                                                        {8, 8, 3, 2, 1},
                                                        {8, 8, 3, 8, 1},
                                                        {6, 12, 3, 3, 1},
                                                        {6, 12, 3, 1, 2},
                                                        {8, 8, 5, 4, 1},
                                                        {4, 4, 1, 1, 1}}) {
    trained_block<T> trained(in, out, kernel, groups, stride);
    auto const       x = normal<T>(static_cast<std::size_t>(in * 49), 31);
    for (int branches = 1; branches < 8; ++branches) {
      if ((branches & 4) && (in != out || stride != 1)) continue;
      for (bool const with_bias : {false, true}) {
        trained.wide_bias   = with_bias ? normal<T>(static_cast<std::size_t>(out), 32) : std::vector<T>{};
        trained.narrow_bias = with_bias ? normal<T>(static_cast<std::size_t>(out), 33) : std::vector<T>{};
        std::vector<T> w(trained.wide.size(), T(42)), b(static_cast<std::size_t>(out), T(42));
        auto const     s = fold_rep_vgg(dense(w.data(), out, in / groups, kernel, kernel), dense(b.data(), out),
                                        trained.block(branches));
        ASSERT_TRUE(s.ok()) << s.subject;
        test::convolution const merged{in, out, trained.size, kernel, groups, stride, kernel / 2};
        EXPECT_LE(worst(merged(x, w, b), trained(as<double>(x), branches)), most)
            << "in " << in << ", groups " << groups << ", branches " << branches;
      }
    }
  }
}

// A group's inputs are numbered from 0: output 5 of 8 in groups of 2 reads its own channel as input 1 of its group.
TEST(fold_rep_vgg, identity_index_counts_within_the_group) {
  std::vector<float> const one(8, 1.f), zero(8, 0.f);
  auto const               v = [](std::vector<float> const& of) { return dense(of.data(), 8); };
  std::vector<float>       w(8 * 2 * 9), b(8);
  ASSERT_TRUE(
      fold_rep_vgg(dense(w.data(), 8, 2, 3, 3), dense(b.data(), 8),
                   tenon::rep_vgg_block<>{.identity = tenon::batch_norm<>{{}, {}, v(zero), v(one), 0.}, .groups = 4})
          .ok());
  for (std::size_t o = 0; o < 8; ++o)
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t k = 0; k < 9; ++k)
        EXPECT_EQ(w[(o * 2 + i) * 9 + k], i == o % 2 && k == 4 ? 1.f : 0.f) << o << " " << i << " " << k;
}

TEST(fold_rep_vgg, channels_last_are_the_same_numbers) {
  trained_block<float> trained(6, 6, 3, 2, 1);
  std::vector<float>   w(6 * 3 * 9), b(6), w2(w.size()), b2(6), wide(w.size()), narrow = trained.narrow;
  auto                 block = trained.block(7);
  ASSERT_TRUE(fold_rep_vgg(dense(w.data(), 6, 3, 3, 3), dense(b.data(), 6), block).ok());
  auto const last = [](std::size_t o, std::size_t i, std::size_t k) { return (o * 9 + k) * 3 + i; };
  for (std::size_t o = 0; o < 6; ++o)
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t k = 0; k < 9; ++k) wide[last(o, i, k)] = trained.wide[(o * 3 + i) * 9 + k];
  block.order        = conv_weight_order::ohwi;
  block.spatial->w   = dense<float const>(wide.data(), 6, 3, 3, 3);
  block.pointwise->w = dense<float const>(narrow.data(), 6, 1, 1, 3);
  ASSERT_TRUE(fold_rep_vgg(dense(w2.data(), 6, 3, 3, 3), dense(b2.data(), 6), block).ok());
  for (std::size_t o = 0; o < 6; ++o)
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t k = 0; k < 9; ++k) EXPECT_EQ(w2[last(o, i, k)], w[(o * 3 + i) * 9 + k]);
  EXPECT_EQ(b2, b);
  // In place of the spatial branch.
  ASSERT_TRUE(fold_rep_vgg(dense(wide.data(), 6, 3, 3, 3), dense(b2.data(), 6), block).ok());
  EXPECT_EQ(wide, w2);
}

TEST(fold_rep_vgg, says_what_cannot_be_one_kernel) {
  trained_block<float> same(4, 4, 3, 1, 1), wider(4, 8, 3, 1, 1), strided(4, 4, 3, 1, 2);
  std::vector<float>   w(1000, 42.f), b(8, 42.f);
  auto const           run = [&](tenon::rep_vgg_block<> const& block, index_t out, index_t ins, index_t k, index_t k2) {
    auto const s = fold_rep_vgg(dense(w.data(), out, ins, k, k2), dense(b.data(), out), block);
    EXPECT_EQ(std::count(w.begin(), w.end(), 42.f), 1000);
    EXPECT_EQ(std::count(b.begin(), b.end(), 42.f), 8);
    return std::string(s.subject) + " " + std::to_string(s.got) + " " + std::to_string(s.want);
  };
  EXPECT_EQ(run({}, 4, 4, 3, 3), "block 0 0");
  EXPECT_EQ(run(wider.block(7), 8, 4, 3, 3), "identity 4 8");
  EXPECT_EQ(run(strided.block(7), 4, 4, 3, 3), "stride 2 1");
  EXPECT_EQ(run(same.block(2), 4, 4, 4, 4), "kernel 4 3");  // a 1x1 has no place in it
  EXPECT_EQ(run(same.block(2), 4, 4, 3, 5), "kernel 5 3");
  EXPECT_EQ(run(same.block(1), 4, 4, 5, 5), "spatial 3 5");
  auto both_wide         = same.block(3);
  both_wide.pointwise->w = both_wide.spatial->w;
  EXPECT_EQ(run(both_wide, 4, 4, 3, 3), "pointwise 3 1");
  auto grouped   = same.block(3);
  grouped.groups = 3;
  EXPECT_EQ(run(grouped, 4, 4, 3, 3), "groups 4 3");
  grouped.groups = index_t{1} << 62;
  EXPECT_EQ(run(grouped, 4, 4, 3, 3), "groups 4611686018427387904 4");
  auto forgotten                = same.block(7);
  forgotten.pointwise->norm.eps = -1;
  EXPECT_EQ(run(forgotten, 4, 4, 3, 3), "pointwise 0 0");
  same.identity_norm.variance[3] = -1.f;
  EXPECT_EQ(run(same.block(7), 4, 4, 3, 3), "identity 3 0");
  same.identity_norm.variance[3] = 1.f;
  same.wide[7 * 9 + 5]           = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run(same.block(7), 4, 4, 3, 3), "w 1 32");
}

}  // namespace
