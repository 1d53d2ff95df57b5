#include <compress/naive_layers.hpp>
#include <tenon/compress/scale_pair.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::bf16, tenon::dense, tenon::errc, tenon::f16, tenon::fold_report, tenon::index_t, tenon::no_bias,
    tenon::scale_pair, tenon::scale_value_heads;
using test::as, test::linear, test::normal, test::over, test::worst;

constexpr std::size_t hidden = 20, inner = 44, tokens = 5;

/// Scales of both signs between 1/16 and 16.
std::vector<float> wild(std::size_t n, std::uint64_t seed) {
  auto s = test::uniform<float>(n, seed, -4, 4);
  for (std::size_t i = 0; i < n; ++i) s[i] = std::exp2(s[i]) * (i % 3 == 1 ? -1.f : 1.f);
  return s;
}
std::vector<float> powers_of_two(std::size_t n) {
  std::vector<float> s(n);
  for (std::size_t i = 0; i < n; ++i) s[i] = std::ldexp(i % 2 ? -1.f : 1.f, static_cast<int>(i % 7) - 3);
  return s;
}

template <class T>
struct gated_mlp {
  std::vector<T> gate = normal<T>(inner * hidden, 1, 0.3), up = normal<T>(inner * hidden, 2, 0.3),
                 down = normal<T>(hidden * inner, 3, 0.3), gate_bias = normal<T>(inner, 4),
                 up_bias = normal<T>(inner, 5);

  std::vector<double> operator()(std::vector<double> const& x) const {
    auto const a = linear(x, as<double>(gate), as<double>(gate_bias), hidden);
    auto       h = linear(x, as<double>(up), as<double>(up_bias), hidden);
    for (std::size_t i = 0; i < h.size(); ++i) h[i] *= a[i] / (1 + std::exp(-a[i]));
    return linear(h, as<double>(down), {}, inner);
  }
  tenon::status fold(fold_report& report, std::vector<float>& s) {
    return scale_pair(report, dense(up.data(), inner, hidden), over(up_bias), dense(down.data(), hidden, inner),
                      over(s));
  }
};

template <class T>
class scale_pair_of : public testing::Test {};
using storages = testing::Types<float, double, bf16>;
TYPED_TEST_SUITE(scale_pair_of, storages);

template <class T>
constexpr double bound = sizeof(T) == 8   ? 1e-13
                         : sizeof(T) == 4 ? 1e-6
                                          : 1e-2;

TYPED_TEST(scale_pair_of, a_gated_mlp_computes_the_same) {
  gated_mlp<TypeParam> m;
  auto const           x = normal<double>(tokens * hidden, 6), want = m(x);
  auto                 s      = wild(inner, 7);
  auto const           before = m;
  fold_report          report;
  ASSERT_TRUE(m.fold(report, s).ok());
  EXPECT_LE(worst(m(x), want), bound<TypeParam>);
  EXPECT_FALSE(report.exact());
  EXPECT_EQ(report.lossy(), sizeof(TypeParam) == 2);
  EXPECT_EQ(report.values, static_cast<index_t>(2 * inner * hidden + inner));
  EXPECT_EQ(as<double>(m.gate), as<double>(before.gate));
}

TYPED_TEST(scale_pair_of, powers_of_two_are_exact) {
  gated_mlp<TypeParam> m;
  auto const           x = normal<double>(tokens * hidden, 8), want = m(x);
  auto                 s      = powers_of_two(inner);
  auto const           before = m;
  fold_report          report;
  ASSERT_TRUE(m.fold(report, s).ok());
  EXPECT_TRUE(report.exact());
  EXPECT_EQ(m(x), want);
  EXPECT_NE(as<double>(m.up), as<double>(before.up));
  for (auto& v : s) v = 1 / v;
  ASSERT_TRUE(m.fold(report, s).ok());  // and back
  EXPECT_EQ(as<double>(m.up), as<double>(before.up));
  EXPECT_EQ(as<double>(m.up_bias), as<double>(before.up_bias));
  EXPECT_EQ(as<double>(m.down), as<double>(before.down));
}

/// Softmax attention of all tokens to all, in double.
std::vector<double> attention(std::vector<double> const& q, std::vector<double> const& k, std::vector<double> const& v,
                              std::size_t q_heads, std::size_t kv_heads, std::size_t dim) {
  std::vector<double> out(tokens * q_heads * dim, 0.);
  for (std::size_t h = 0; h < q_heads; ++h) {
    std::size_t const from = h / (q_heads / kv_heads);
    for (std::size_t t = 0; t < tokens; ++t) {
      std::vector<double> p(tokens);
      double              sum = 0;
      for (std::size_t u = 0; u < tokens; ++u) {
        double score = 0;
        for (std::size_t d = 0; d < dim; ++d)
          score += q[(t * q_heads + h) * dim + d] * k[(u * kv_heads + from) * dim + d];
        sum += p[u] = std::exp(score / std::sqrt(static_cast<double>(dim)));
      }
      for (std::size_t u = 0; u < tokens; ++u)
        for (std::size_t d = 0; d < dim; ++d)
          out[(t * q_heads + h) * dim + d] += p[u] / sum * v[(u * kv_heads + from) * dim + d];
    }
  }
  return out;
}

TYPED_TEST(scale_pair_of, value_heads_serve_their_whole_group) {
  using T = TypeParam;
  for (std::size_t const kv_heads : {1, 2, 6}) {
    std::size_t const q_heads = 6, dim = 4, values = kv_heads * dim;
    auto const        x = normal<double>(tokens * hidden, 11), q = normal<double>(tokens * q_heads * dim, 12),
               k = normal<double>(tokens * values, 13);
    auto v = normal<T>(values * hidden, 14, 0.3), b = normal<T>(values, 15),
         o        = normal<T>(hidden * q_heads * dim, 16, 0.3);
    auto const of = [&] {
      return linear(attention(q, k, linear(x, as<double>(v), as<double>(b), hidden), q_heads, kv_heads, dim),
                    as<double>(o), {}, q_heads * dim);
    };
    auto const  want = of();
    auto        s    = wild(values, 17);
    fold_report report;
    ASSERT_TRUE(scale_value_heads(report, dense(v.data(), values, hidden), over(b),
                                  dense(o.data(), hidden, q_heads * dim), over(s), static_cast<index_t>(q_heads),
                                  static_cast<index_t>(kv_heads))
                    .ok());
    EXPECT_LE(worst(of(), want), bound<T>) << kv_heads;
    auto const now = of();
    s              = powers_of_two(values);
    ASSERT_TRUE(scale_value_heads(report, dense(v.data(), values, hidden), over(b),
                                  dense(o.data(), hidden, q_heads * dim), over(s), static_cast<index_t>(q_heads),
                                  static_cast<index_t>(kv_heads))
                    .ok());
    EXPECT_TRUE(report.exact());
    EXPECT_EQ(of(), now);
  }
}

TEST(scale_pair, names_what_does_not_fit) {
  std::vector<float> up(12, 1.f), down(20, 1.f), bias(4, 1.f), s(4, 2.f);
  fold_report        report{.values = 42};
  auto const         run = [&](auto up_view, auto bias_view, auto down_view, auto scale_view) {
    auto const r = scale_pair(report, up_view, bias_view, down_view, scale_view);
    EXPECT_EQ(std::count(up.begin(), up.end(), 1.f) + std::count(bias.begin(), bias.end(), 1.f), 16);
    EXPECT_EQ(report.values, 42);
    return std::string(r.subject) + " " + std::to_string(r.got) + " " + std::to_string(r.want);
  };
  auto const u = dense(up.data(), 4, 3);
  auto const d = dense(down.data(), 5, 4);
  EXPECT_EQ(run(u, no_bias, dense(down.data(), 4, 5), over(s)), "inner 5 4");
  EXPECT_EQ(run(u, dense(bias.data(), 3), d, over(s)), "bias 3 4");
  EXPECT_EQ(run(u, dense<float const>(bias.data(), 4), d, over(s)), "bias 0 0");  // cannot be written
  EXPECT_EQ(run(u, over(bias), d, dense(s.data(), 3)), "scale 3 4");
  for (float const bad : {0.f, -0.f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    s[2] = bad;
    EXPECT_EQ(run(u, over(bias), d, over(s)), "scale 2 0");
  }
  s[2]     = 0x1p-100f;
  down[14] = 0x1p100f;
  EXPECT_EQ(run(u, over(bias), d, over(s)), "down 3 2");
  down[14] = 1.f;
  EXPECT_TRUE(scale_pair(report, u, over(bias), d, over(s)).ok());
  EXPECT_EQ(bias[2], 0x1p-100f);
  EXPECT_EQ(down[14], 0x1p100f);
}

TEST(scale_pair, names_heads_that_do_not_fit) {
  std::vector<float> v(8 * 3, 1.f), o(5 * 16, 1.f), s(8, 2.f);
  fold_report        report;
  auto const         run = [&](index_t q_heads, index_t kv_heads, index_t columns) {
    auto const r = scale_value_heads(report, dense(v.data(), 8, 3), no_bias, dense(o.data(), 5, columns), over(s),
                                             q_heads, kv_heads);
    return std::string(r.subject) + " " + std::to_string(r.got) + " " + std::to_string(r.want);
  };
  EXPECT_EQ(run(4, 0, 16), "kv_heads 0 1");
  EXPECT_EQ(run(0, 2, 16), "q_heads 0 1");
  EXPECT_EQ(run(5, 2, 16), "q_heads 5 2");
  EXPECT_EQ(run(3, 3, 16), "v 8 3");
  EXPECT_EQ(run(4, 2, 12), "o 12 4");
  EXPECT_EQ(run(2, 2, 16), "o 16 4");
  EXPECT_EQ(run(4, 2, 16), " 0 0");
}

TEST(scale_pair, takes_empty_weights) {
  float       none[1] = {};
  fold_report report;
  EXPECT_TRUE(scale_pair(report, dense(none, 0, 4), no_bias, dense(none, 3, 0), dense(none, 0)).ok());
  EXPECT_TRUE(scale_value_heads(report, dense(none, 0, 4), no_bias, dense(none, 3, 0), dense(none, 0), 4, 2).ok());
  EXPECT_TRUE(report.exact());
}

}  // namespace
