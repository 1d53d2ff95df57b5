#include <compress/naive_layers.hpp>
#include <tenon/compress/fold_attention_scale.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using tenon::bf16, tenon::dense, tenon::errc, tenon::fold_attention_scale, tenon::fold_report, tenon::index_t,
    tenon::no_bias;
using test::as, test::linear, test::normal, test::worst;

constexpr std::size_t hidden = 24, dim = 16, tokens = 5;

/// Query and key rotated by their positions, as rope does it, and their products times `scale`.
std::vector<double> scores(std::vector<double> q, std::vector<double> k, double scale) {
  for (auto* v : {&q, &k})
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t d = 0; d < dim / 2; ++d) {
        double const angle = static_cast<double>(t) * std::pow(10000., -2. * static_cast<double>(d) / dim);
        double &     a = (*v)[t * dim + d], &b = (*v)[t * dim + dim / 2 + d];
        double const x = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle), a = x;
      }
  auto all = linear(q, k, {}, dim);
  for (auto& s : all) s *= scale;
  return all;
}

TEST(fold_attention_scale, scores_are_the_same) {
  auto const x = normal<double>(tokens * hidden, 1), k = normal<double>(tokens * dim, 2);
  for (double const scale : {0.25, 1 / std::sqrt(80.), 0.0883883}) {
    auto        w = normal<float>(dim * hidden, 3), b = normal<float>(dim, 4);
    auto const  query = [&] { return linear(x, as<double>(w), as<double>(b), hidden); };
    auto const  want  = scores(query(), k, scale);
    fold_report report;
    ASSERT_TRUE(fold_attention_scale(report, dense(w.data(), dim, hidden), dense(b.data(), dim), scale).ok());
    EXPECT_LE(worst(scores(query(), k, 1), want), 1e-6);
    EXPECT_EQ(report.exact(), scale == 0.25);
    EXPECT_FALSE(report.lossy());
    EXPECT_EQ(report.values, static_cast<index_t>(dim * hidden + dim));
  }
  auto        w      = normal<bf16>(dim * hidden, 5);
  auto const  before = w;
  fold_report report;
  ASSERT_TRUE(fold_attention_scale(report, dense(w.data(), dim, hidden), no_bias, 0.125).ok());  // head_dim 64
  EXPECT_TRUE(report.exact());
  for (std::size_t i = 0; i < w.size(); ++i)
    EXPECT_EQ(static_cast<float>(w[i]), 0.125f * static_cast<float>(before[i]));
  ASSERT_TRUE(fold_attention_scale(report, dense(w.data(), dim, hidden), no_bias, 1 / std::sqrt(128.)).ok());
  EXPECT_TRUE(report.lossy());
}

// A norm of the queries divides by whatever the projection was multiplied with; its gain keeps the factor.
TEST(fold_attention_scale, goes_into_the_gain_of_a_query_norm) {
  auto const normalise = [](std::vector<double> q, std::vector<double> const& g) {
    for (std::size_t t = 0; t < tokens; ++t) {
      double squares = 0;
      for (std::size_t d = 0; d < dim; ++d) squares += q[t * dim + d] * q[t * dim + d];
      for (std::size_t d = 0; d < dim; ++d) q[t * dim + d] *= g[d] / std::sqrt(squares / dim + 1e-6);
    }
    return q;
  };
  auto const x = normal<double>(tokens * hidden, 11), k = normal<double>(tokens * dim, 12);
  for (bool const unit_offset : {false, true}) {
    auto       w = normal<float>(dim * hidden, 13), g = normal<float>(dim, 14);
    auto const query = [&] {
      auto gains = as<double>(g);
      for (auto& v : gains) v += unit_offset;
      return normalise(linear(x, as<double>(w), {}, hidden), gains);
    };
    auto const   before = query();
    double const scale  = 1 / std::sqrt(80.);
    fold_report  report;
    ASSERT_TRUE(fold_attention_scale(report, dense(g.data(), dim), scale, unit_offset).ok());
    EXPECT_LE(worst(scores(query(), k, 1), scores(before, k, scale)), 1e-6);
    EXPECT_FALSE(report.exact());
    // In the projection it has no effect: scores are off by the scale.
    auto const now = query();
    ASSERT_TRUE(fold_attention_scale(report, dense(w.data(), dim, hidden), no_bias, scale).ok());
    EXPECT_LE(worst(query(), now), 1e-3);
  }
}

TEST(fold_attention_scale, names_what_does_not_fit) {
  std::vector<float> w(6, 1e30f), b(3, 1.f);
  fold_report        report;
  float const        nan = std::numeric_limits<float>::quiet_NaN();
  for (double const bad : {0., std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_STREQ(fold_attention_scale(report, dense(w.data(), 3, 2), no_bias, bad).subject, "scale");
    EXPECT_STREQ(fold_attention_scale(report, dense(b.data(), 3), bad).subject, "scale");
  }
  EXPECT_STREQ(fold_attention_scale(report, dense(w.data(), 3, 2), dense(b.data(), 2), 2).subject, "bias");
  w[5]   = 3e38f;
  auto s = fold_attention_scale(report, dense(w.data(), 3, 2), dense(b.data(), 3), 2);
  EXPECT_STREQ(s.subject, "w");
  EXPECT_EQ(s.got, 2);
  EXPECT_EQ(s.want, 1);
  EXPECT_EQ(w[0], 1e30f);
  b[1] = nan;
  s    = fold_attention_scale(report, dense(b.data(), 3), 2);
  EXPECT_STREQ(s.subject, "gain");
  EXPECT_EQ(s.got, 1);
  EXPECT_EQ(b[0], 1.f);
  EXPECT_TRUE(fold_attention_scale(report, dense(w.data(), 0, 2), no_bias, 2).ok());
}

}  // namespace
