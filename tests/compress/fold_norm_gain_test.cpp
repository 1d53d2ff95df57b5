#include <compress/naive_layers.hpp>
#include <tenon/compress/fold_norm_gain.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::bf16, tenon::dense, tenon::errc, tenon::f16, tenon::fold_norm_gain, tenon::fold_report, tenon::index_t,
    tenon::norm_consumer;
using test::as, test::linear, test::normal, test::over;

constexpr std::size_t hidden = 24, inner = 40, experts = 3, tokens = 6;

/// (x - mean) / deviation * gain + bias, or without a mean, in double.
std::vector<double> normalised(std::vector<double> x, std::vector<double> const& gain, std::vector<double> const& bias,
                               bool centred) {
  std::size_t const n = gain.size();
  for (std::size_t t = 0; t < x.size(); t += n) {
    double mean = 0, squares = 0;
    for (std::size_t j = 0; j < n && centred; ++j) mean += x[t + j] / static_cast<double>(n);
    for (std::size_t j = 0; j < n; ++j) squares += (x[t + j] - mean) * (x[t + j] - mean);
    double const deviation = std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (std::size_t j = 0; j < n; ++j)
      x[t + j] = (x[t + j] - mean) / deviation * gain[j] + (bias.empty() ? 0. : bias[j]);
  }
  return x;
}

/// A norm, and a small mixture of gated experts with a router that all read it.
template <class T>
struct mixture {
  std::vector<T>     gain   = normal<T>(hidden, 1), bias;
  std::vector<float> router = normal<float>(experts * hidden, 2), router_bias;  // f32, whatever the experts are
  std::vector<T>     gate[experts], up[experts], down[experts], gate_bias[experts], up_bias[experts];
  bool               unit_offset = false;

  mixture() {
    for (std::size_t e = 0; e < experts; ++e) {
      gate[e] = normal<T>(inner * hidden, 10 + e, 0.2);
      up[e]   = normal<T>(inner * hidden, 20 + e, 0.2);
      down[e] = normal<T>(hidden * inner, 30 + e, 0.2);
    }
  }

  void with_biases() {
    bias        = normal<T>(hidden, 40);
    router_bias = normal<float>(experts, 41);
    for (std::size_t e = 0; e < experts; ++e)
      gate_bias[e] = normal<T>(inner, 50 + e), up_bias[e] = normal<T>(inner, 60 + e);
  }

  std::vector<norm_consumer> consumers() {
    auto const of = [&](auto& w, auto& b) {
      auto const    out = static_cast<index_t>(w.size() / hidden);
      norm_consumer c{dense(w.data(), out, hidden)};
      if (!b.empty()) c.bias = over(b);
      return c;
    };
    std::vector<norm_consumer> all{of(router, router_bias)};
    for (std::size_t e = 0; e < experts; ++e)
      all.push_back(of(gate[e], gate_bias[e])), all.push_back(of(up[e], up_bias[e]));
    return all;
  }

  std::vector<double> operator()(std::vector<double> const& x) const {
    auto g = as<double>(gain);
    if (unit_offset)
      for (auto& v : g) v += 1;
    auto const          n      = normalised(x, g, as<double>(bias), !bias.empty());
    auto const          scores = linear(n, as<double>(router), as<double>(router_bias), hidden);
    std::vector<double> y(x.size(), 0.);
    for (std::size_t e = 0; e < experts; ++e) {
      auto const a = linear(n, as<double>(gate[e]), as<double>(gate_bias[e]), hidden);
      auto       b = linear(n, as<double>(up[e]), as<double>(up_bias[e]), hidden);
      for (std::size_t i = 0; i < b.size(); ++i) b[i] *= a[i] / (1 + std::exp(-a[i]));
      auto const part = linear(b, as<double>(down[e]), {}, inner);
      for (std::size_t t = 0; t < tokens; ++t) {
        double total = 0;
        for (std::size_t k = 0; k < experts; ++k) total += std::exp(scores[t * experts + k]);
        for (std::size_t j = 0; j < hidden; ++j)
          y[t * hidden + j] += std::exp(scores[t * experts + e]) / total * part[t * hidden + j];
      }
    }
    return y;
  }
};

double relative(std::vector<double> const& a, std::vector<double> const& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  return std::sqrt(difference / norm);
}

template <class T>
class fold_norm_gain_of : public testing::Test {};
using storages = testing::Types<float, double, f16, bf16>;
TYPED_TEST_SUITE(fold_norm_gain_of, storages);

TYPED_TEST(fold_norm_gain_of, a_mixture_of_experts_computes_the_same) {
  using T           = TypeParam;
  double const most = std::is_same_v<T, double>  ? 3e-7
                      : std::is_same_v<T, float> ? 1e-6
                      : std::is_same_v<T, f16>   ? 2e-3
                                                 : 2e-2;
  auto const   x    = normal<double>(tokens * hidden, 70);
  for (bool const unit_offset : {false, true})
    for (bool const biases : {false, true}) {
      mixture<T> m;
      m.unit_offset = unit_offset;
      if (biases) m.with_biases();
      auto const  want      = m(x);
      auto const  consumers = m.consumers();
      auto const  options   = tenon::fold_norm_gain_options{.consumers = 7, .unit_offset = unit_offset};
      fold_report report;
      auto const  fold = [&] {
        return biases ? fold_norm_gain(report, consumers, over(m.gain), over(m.bias), options)
                       : fold_norm_gain(report, consumers, over(m.gain), options);
      };
      ASSERT_TRUE(fold().ok());
      EXPECT_LE(relative(m(x), want), most) << "biases " << biases << ", unit offset " << unit_offset;
      for (auto const& g : m.gain) EXPECT_EQ(static_cast<float>(g), unit_offset ? 0.f : 1.f);
      for (auto const& b : m.bias) EXPECT_EQ(static_cast<float>(b), 0.f);
      EXPECT_FALSE(report.exact());
      EXPECT_EQ(report.lossy(), sizeof(T) == 2);
      std::size_t const weights = (experts + 2 * experts * inner) * (biases ? hidden + 1 : hidden);
      EXPECT_EQ(report.values, static_cast<index_t>(weights));
      // A second time there is nothing to fold.
      auto const once = m(x);
      ASSERT_TRUE(fold().ok());
      EXPECT_TRUE(report.exact());
      EXPECT_EQ(m(x), once);
    }
}

TYPED_TEST(fold_norm_gain_of, powers_of_two_are_exact) {
  using T = TypeParam;
  mixture<T> m;
  int const  least = std::is_same_v<T, f16> ? 0 : -2;  // weights near 2^-14 lose bits of an f16 when they get smaller
  for (std::size_t j = 0; j < hidden; ++j)
    m.gain[j] = T(std::ldexp(j % 3 == 0 ? -1.f : 1.f, static_cast<int>(j % 5) + least));
  auto const  before = m;
  fold_report report;
  ASSERT_TRUE(fold_norm_gain(report, m.consumers(), over(m.gain), {.consumers = 7}).ok());
  EXPECT_TRUE(report.exact());
  EXPECT_FALSE(report.lossy());
  for (std::size_t i = 0; i < inner * hidden; ++i)
    EXPECT_EQ(static_cast<double>(static_cast<float>(m.up[1][i])),
              static_cast<double>(static_cast<float>(before.up[1][i])) *
                  static_cast<double>(static_cast<float>(before.gain[i % hidden])));
  auto const x = normal<double>(tokens * hidden, 71);
  EXPECT_EQ(m(x), before(x));
}

// What goes wrong in practice: the router is forgotten. The list then is shorter than the count.
TEST(fold_norm_gain, a_forgotten_consumer_is_refused) {
  mixture<float> m;
  auto const     before = m;
  auto           some   = m.consumers();
  some.erase(some.begin());
  fold_report report{.values = 42};
  auto        s = fold_norm_gain(report, some, over(m.gain), {.consumers = 7});
  EXPECT_EQ(s.code, errc::shape_mismatch);
  EXPECT_STREQ(s.subject, "consumers");
  EXPECT_EQ(s.got, 6);
  EXPECT_EQ(s.want, 7);
  EXPECT_EQ(fold_norm_gain(report, m.consumers(), over(m.gain), {}).code, errc::shape_mismatch);  // not counted
  EXPECT_EQ(fold_norm_gain(report, {}, over(m.gain), {}).code, errc::shape_mismatch);
  EXPECT_EQ(report.values, 42);
  EXPECT_EQ(m.gain, before.gain);
  EXPECT_EQ(m.up[0], before.up[0]);
  // And that is what the check is for.
  auto const x = normal<double>(tokens * hidden, 72);
  ASSERT_TRUE(fold_norm_gain(report, some, over(m.gain), {.consumers = 6}).ok());
  EXPECT_GT(relative(m(x), before(x)), 0.1);
}

// A head that is the embedding, too: scaling it would scale what comes into the model.
TEST(fold_norm_gain, a_tied_head_is_refused) {
  auto          gain = normal<float>(hidden, 81), embedding = normal<float>(100 * hidden, 82);
  auto const    before = embedding;
  norm_consumer head{dense(embedding.data(), 100, hidden)};
  head.readers = 2;
  fold_report report;
  auto        s = fold_norm_gain(report, {&head, 1}, over(gain), {.consumers = 1});
  EXPECT_EQ(s.code, errc::unsupported);
  EXPECT_STREQ(s.subject, "readers of a consumer");
  EXPECT_EQ(s.got, 0);
  EXPECT_EQ(s.want, 2);
  EXPECT_EQ(embedding, before);
  // The same memory twice in the list would be scaled twice.
  head.readers              = 1;
  norm_consumer const two[] = {head, head};
  s                         = fold_norm_gain(report, two, over(gain), {.consumers = 2});
  EXPECT_EQ(s.code, errc::unsupported);
  EXPECT_STREQ(s.subject, "w of a consumer");
  EXPECT_EQ(s.got, 1);
  EXPECT_EQ(s.want, 0);
  EXPECT_EQ(embedding, before);
  auto untied = embedding;
  head.w      = dense(untied.data(), 100, hidden);
  EXPECT_TRUE(fold_norm_gain(report, {&head, 1}, over(gain), {.consumers = 1}).ok());
  EXPECT_EQ(embedding, before);
  EXPECT_NE(untied, before);
}

TEST(fold_norm_gain, takes_weights_that_are_stored_transposed) {
  auto        gain = normal<float>(4, 91), w = normal<float>(12, 92);
  auto const  before = w, g = gain;
  fold_report report;
  // (hidden, out) in memory.
  norm_consumer const one{tenon::tensor_view<float, 2>{w.data(), {3, 4}, {1, 3}}};
  ASSERT_TRUE(fold_norm_gain(report, {&one, 1}, over(gain), {.consumers = 1}).ok());
  for (std::size_t j = 0; j < 4; ++j)
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(w[j * 3 + i], before[j * 3 + i] * g[j]);
}

TEST(fold_norm_gain, names_the_consumer_at_fault) {
  std::vector<float> gain(4, 2.f), bias(4, 1.f), a(12, 1.f), b(20, 1.f), a_bias(3), b_bias(5);
  fold_report        report;
  norm_consumer      list[] = {{dense(a.data(), 3, 4), over(a_bias)}, {dense(b.data(), 5, 4), over(b_bias)}};
  auto const         run    = [&] {
    auto const s = fold_norm_gain(report, list, over(gain), over(bias), {.consumers = 2});
    EXPECT_EQ(a, std::vector<float>(12, 1.f));
    EXPECT_EQ(gain[0], 2.f);
    return std::string(to_string(s.code)) + " " + s.subject + " " + std::to_string(s.got);
  };
  list[1].w = dense(b.data(), 4, 5);
  EXPECT_EQ(run(), "shape mismatch hidden of a consumer 1");
  list[1].w = dense(b.data(), 5, 4), list[1].bias = over(a_bias);
  EXPECT_EQ(run(), "shape mismatch bias of a consumer 1");
  list[1].bias = {};
  EXPECT_EQ(run(), "unsupported bias of a consumer 1");
  list[1].bias = over(b_bias);
  b[9]         = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run(), "out of range w of a consumer 1");
  b[9] = 3e38f;
  EXPECT_EQ(run(), "out of range w of a consumer 1");
  b[9]    = 1.f;
  gain[3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(run(), "out of range gain 3");
  gain[3] = 2.f, bias[2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run(), "out of range bias 2");
  bias.assign(4, 0.f), list[1].bias = {};  // a bias of zeros needs no place to go
  EXPECT_TRUE(fold_norm_gain(report, list, over(gain), over(bias), {.consumers = 2}).ok());
  EXPECT_EQ(b[9], 2.f);
}

TEST(fold_norm_gain, reports_numbers_that_vanish) {
  float               gain[] = {0x1p-100f}, w[] = {0x1.8p-60f};
  fold_report         report;
  norm_consumer const one{dense(w, 1, 1)};
  ASSERT_TRUE(fold_norm_gain(report, {&one, 1}, dense(gain, 1), {.consumers = 1}).ok());
  EXPECT_EQ(w[0], 0.f);
  EXPECT_TRUE(report.lossy());
  EXPECT_EQ(report.largest_error, 1.);
}

TEST(fold_norm_gain, takes_empty_weights) {
  float               none[1] = {};
  fold_report         report;
  norm_consumer const list[] = {{dense(none, 0, 4)}, {dense(static_cast<float*>(nullptr), 0, 4)}};
  float               gain[] = {2, 3, 4, 5};
  EXPECT_TRUE(fold_norm_gain(report, list, dense(gain, 4), {.consumers = 2}).ok());
  EXPECT_EQ(gain[3], 1.f);
  norm_consumer const narrow{dense(none, 3, 0)}, less{dense(none, 3, -1)};
  EXPECT_STREQ(fold_norm_gain(report, {&less, 1}, dense(none, -1), {.consumers = 1}).subject, "gain");
  EXPECT_TRUE(fold_norm_gain(report, {&narrow, 1}, dense(none, 0), {.consumers = 1}).ok());
}

}  // namespace
