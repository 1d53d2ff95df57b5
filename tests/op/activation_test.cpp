#include <tenon/op/activation.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#ifndef TENON_SOURCE_DIR
#  define TENON_SOURCE_DIR "."
#endif

namespace {

struct errors {
  double absolute = 0, absolute_at = 0, relative = 0, relative_at = 0;
};

/// The largest differences of f from g over [from, to].
template <class F, class G>
errors compare(F const& f, G const& g, double from = -10, double to = 10, double step = 1e-4) {
  errors e;
  for (double at = from; at <= to; at += step) {
    float const  x          = static_cast<float>(at);
    double const want       = g(static_cast<double>(x));
    double const difference = std::abs(static_cast<double>(f(x)) - want);
    if (!(difference <= e.absolute)) e.absolute = difference, e.absolute_at = at;
    if (want != 0 && !(difference <= e.relative * std::abs(want)))
      e.relative = difference / std::abs(want), e.relative_at = at;
  }
  return e;
}

// fp32 against double precision of the same form; bounds of docs/operators/epilogues.md.
TEST(activation, fp32_is_close_to_its_definition) {
  EXPECT_LE(compare(
                tenon::exponential, [](double x) { return std::exp(x); }, -87, 88, 1e-3)
                .relative,
            1.5e-7);
  EXPECT_LE(compare(tenon::sigmoid, tenon::ref::sigmoid).relative, 2e-7);
  EXPECT_LE(compare(tenon::silu, tenon::ref::silu).relative, 2e-7);
  EXPECT_LE(compare(tenon::gelu_erf, tenon::ref::gelu_erf).absolute, 5e-7);
  EXPECT_LE(compare(tenon::gelu_erf, tenon::ref::gelu_erf).relative, 1e-5);
  EXPECT_LE(compare(tenon::gelu_tanh, tenon::ref::gelu_tanh).absolute, 6e-7);
  EXPECT_LE(compare(tenon::gelu_quick, tenon::ref::gelu_quick).absolute, 8e-7);
  EXPECT_EQ(compare(tenon::relu, tenon::ref::relu).absolute, 0);
}

TEST(activation, gelu_is_odd_but_for_x) {
  for (float x = 0; x < 12; x += 0.01f) EXPECT_NEAR(tenon::gelu_erf(x) - tenon::gelu_erf(-x), x, 1e-6f) << x;
}

TEST(activation, edges) {
  float const inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (auto* const f : {tenon::silu, tenon::gelu_erf, tenon::gelu_tanh, tenon::gelu_quick, tenon::relu}) {
    EXPECT_EQ(f(0.f), 0.f);
    EXPECT_EQ(f(inf), inf);
    EXPECT_EQ(f(200.f), 200.f);
    EXPECT_NEAR(f(-200.f), 0.f, 1e-30f);
    EXPECT_TRUE(std::isnan(f(nan)));
  }
  EXPECT_NEAR(tenon::gelu_erf(-inf), 0.f, 1e-30f);
}

// The other GELUs against the exact one (the differences are even in x): the table in docs/operators/epilogues.md is this test's.
TEST(activation, the_page_states_the_forms_errors) {
  std::ifstream     page(TENON_SOURCE_DIR "/docs/operators/epilogues.md");
  std::string const text{std::istreambuf_iterator<char>(page), std::istreambuf_iterator<char>()};
  auto const        row = [&](char const* name, auto const& form) {
    auto const e = compare(form, tenon::ref::gelu_erf);
    char       line[96];
    std::snprintf(line, sizeof line, "| `%s` | %.3e | %.2f |", name, e.absolute, std::abs(e.absolute_at));
    EXPECT_NE(text.find(line), std::string::npos) << line;
  };
  row("gelu_tanh", [](float x) { return tenon::ref::gelu_tanh(static_cast<double>(x)); });
  row("gelu_quick", [](float x) { return tenon::ref::gelu_quick(static_cast<double>(x)); });
  row("silu", [](float x) { return tenon::ref::silu(static_cast<double>(x)); });
  row("relu", [](float x) { return tenon::ref::relu(static_cast<double>(x)); });
}

}  // namespace
