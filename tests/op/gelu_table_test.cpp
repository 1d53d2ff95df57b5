#include <tenon/core/numeric.hpp>
#include <tenon/op/activation.hpp>
#include <tenon/op/gelu_forms.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#ifndef TENON_SOURCE_DIR
#  define TENON_SOURCE_DIR "."
#endif

// The machine may contract a product and a sum without being asked: last digits of fp32 then are other ones.
#if defined(__FMA__) || defined(__aarch64__)
#  define TENON_CONTRACTS 1
#else
#  define TENON_CONTRACTS 0
#endif

namespace {

using real = long double;
using tenon::bf16;

real exact(real x) { return real(0.5) * x * std::erfc(-x * std::sqrt(real(0.5))); }
real sigmoid(real x) { return 1 / (1 + std::exp(-x)); }

/// max(x, 0) - |x| tail(|x|), with tail(a) for Phi(-a).
template <class Tail>
real by_tail(real x, Tail tail) {
  return std::max(x, real(0)) - std::abs(x) * tail(std::abs(x));
}

// Abramowitz and Stegun, 7.1.25 to 7.1.28: 1 - erf(y), y >= 0.
real complement_25(real y) {
  real const t = 1 / (1 + real(0.47047L) * y);
  return t * (0.3480242L + t * (-0.0958798L + t * 0.7478556L)) * std::exp(-y * y);
}
real complement_26(real y) {
  real const t = 1 / (1 + real(0.3275911L) * y);
  return t * (0.254829592L + t * (-0.284496736L + t * (1.421413741L + t * (-1.453152027L + t * 1.061405429L)))) *
         std::exp(-y * y);
}
real complement_27(real y) {
  return std::pow(1 + y * (0.278393L + y * (0.230389L + y * (0.000972L + y * 0.078108L))), real(-4));
}
real complement_28(real y) {
  return std::pow(1 + y * (0.0705230784L +
                           y * (0.0422820123L +
                                y * (0.0092705272L + y * (0.0001520143L + y * (0.0002765672L + y * 0.0000430638L))))),
                  real(-16));
}
template <real Complement(real)>
real by_complement(real x) {
  return by_tail(x, [](real a) { return Complement(a * std::sqrt(real(0.5))) / 2; });
}

/// I-BERT's integer GELU, in the real numbers.
real i_gelu(real x) {
  real const clipped = std::min(std::abs(x) * std::sqrt(real(0.5)), real(1.769L)) - real(1.769L);
  real const erf     = 1 - real(0.2888L) * clipped * clipped;
  return x / 2 * (1 + (x < 0 ? -erf : erf));
}

/// One row of the page.
struct form {
  char const* name;
  char const* formula;
  real (*of)(real);
  float (*fp32)(float);  // null where the library has none
  double expected;       // largest error, from an earlier and independent scan
  double tolerance;
};

form const forms[] = {
    {"gelu_erf", "x Phi(x)", exact, tenon::gelu_erf, 0, 0},
    {"gelu_tanh", "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
     [](real x) { return x * sigmoid(2 * std::sqrt(2 / 3.14159265358979323846L) * (x + 0.044715L * x * x * x)); },
     tenon::gelu_tanh, 4.732e-4, 1e-6},
    {"gelu_tanh_retuned", "x/2 (1 + tanh(0.7998 x + 0.0348 x^3))",
     [](real x) { return x * sigmoid(2 * (0.7998L * x + 0.0348L * x * x * x)); }, tenon::gelu_tanh_retuned, 2.86e-4,
     1e-6},
    {"", "x/2 (1 + tanh(0.8 x))", [](real x) { return x * sigmoid(1.6L * x); }, nullptr, 3.30e-2, 1e-4},
    {"gelu_quick", "x sigmoid(1.702 x)", [](real x) { return x * sigmoid(1.702L * x); }, tenon::gelu_quick, 2.034e-2,
     1e-5},
    {"gelu_quick_retuned", "x sigmoid(1.773 x)", [](real x) { return x * sigmoid(1.773L * x); },
     tenon::gelu_quick_retuned, 1.393e-2, 1e-5},
    {"", "I-BERT's i-GELU", i_gelu, nullptr, 1.815e-2, 1e-5},
    {"", "x relu6(1.702 x + 3) / 6",
     [](real x) { return x * std::min(std::max(1.702L * x + 3, real(0)), real(6)) / 6; }, nullptr, 6.87e-2, 1e-4},
    {"silu", "x sigmoid(x)", [](real x) { return x * sigmoid(x); }, tenon::silu, 0.193, 1e-3},
    {"relu", "max(x, 0)", [](real x) { return std::max(x, real(0)); }, tenon::relu, 0.170, 1e-3},
    {"", "erf by 7.1.25, three terms and e^x", by_complement<complement_25>, nullptr, 2.55e-5, 1e-7},
    {"gelu_as_7_1_26", "erf by 7.1.26, five terms and e^x", by_complement<complement_26>, tenon::gelu_as_7_1_26,
     2.11e-7, 1e-9},
    {"", "erf by 7.1.27, four terms", by_complement<complement_27>, nullptr, 6.88e-4, 1e-6},
    {"", "erf by 7.1.28, six terms", by_complement<complement_28>, nullptr, 4.94e-7, 1e-9},
    {"gelu_poly_12", "max(x, 0) - \\|x\\| Q(x), degree 12, 0 beyond 5",
     [](real x) {
       real const a = std::abs(x);
       return std::max(x, real(0)) - (a < 5 ? tenon::gelu_tail_12(a) : 0);
     },
     tenon::gelu_poly_12, 6.9e-6, 2e-7},
    {"gelu_poly_14", "max(x, 0) - \\|x\\| Q(x), degree 14, 0 beyond 5.5",
     [](real x) {
       real const a = std::abs(x);
       return std::max(x, real(0)) - (a < 5.5L ? tenon::gelu_tail_14(a) : 0);
     },
     tenon::gelu_poly_14, 5.8e-7, 2e-8},
};

struct measured {
  double error = 0, at = 0;  // of the formula
  double fp32  = 0;          // of the library's function
  double other = 0;          // share of bf16 inputs whose result, rounded to bf16, is another one
  int    ulp   = 0;          // by at most so much, where |gelu| > 1e-3
};

/// [-10, 10] in steps of 1e-4; the exact values once for all forms.
std::vector<real> const& exact_values() {
  static std::vector<real> const values = [] {
    std::vector<real> v;
    for (int i = -100000; i <= 100000; ++i) v.push_back(exact(static_cast<real>(static_cast<float>(i * 1e-4))));
    return v;
  }();
  return values;
}

int ordinal(bf16 v) { return v.bits & 0x8000 ? -(v.bits & 0x7fff) : v.bits; }

measured measure(form const& f) {
  measured m;
  for (int i = -100000; i <= 100000; ++i) {
    float const x    = static_cast<float>(i * 1e-4);
    real const  want = exact_values()[static_cast<std::size_t>(i + 100000)];
    auto const  e    = static_cast<double>(std::abs(f.of(static_cast<real>(x)) - want));
    if (!(e <= m.error)) m.error = e, m.at = std::abs(i * 1e-4);
    if (f.fp32) m.fp32 = std::max(m.fp32, static_cast<double>(std::abs(static_cast<real>(f.fp32(x)) - want)));
  }
  int inputs = 0, other = 0;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    auto const x = static_cast<real>(static_cast<float>(bf16::from_bits(static_cast<std::uint16_t>(bits))));
    if (!(std::abs(x) > 1e-4L && std::abs(x) < 10)) continue;
    real const want = exact(x);
    int const  ulps = std::abs(ordinal(bf16(static_cast<float>(f.of(x)))) - ordinal(bf16(static_cast<float>(want))));
    ++inputs, other += ulps != 0;
    if (std::abs(want) > 1e-3L) m.ulp = std::max(m.ulp, ulps);
  }
  m.other = static_cast<double>(other) / inputs;
  return m;
}

std::string row(form const& f, measured const& m) {
  char        line[256], fp32[32] = "";
  std::string name = *f.name ? "`" + std::string(f.name) + "`" : "";
  if (f.fp32) std::snprintf(fp32, sizeof fp32, "%.1e", m.fp32);
  if (m.error == 0) std::snprintf(line, sizeof line, "| %s | %s | 0 | | %s | 0 | 0 |\n", name.c_str(), f.formula, fp32);
  else
    std::snprintf(line, sizeof line, "| %s | %s | %.3e | %.2f | %s | %.1f %% | %d |\n", name.c_str(), f.formula,
                  m.error, m.at, fp32, 100 * m.other, m.ulp);
  return line;
}

// The table of docs/operators/gelu.md is made here: TENON_UPDATE_DOCS=1 in the environment writes it, any other run compares.
TEST(gelu_table, is_what_the_page_says) {
  std::string table =
      "| function | form | largest error | at \\|x\\| | of fp32 | bf16 differs | ulp "
      "|\n|---|---|---|---|---|---|---|\n";
  for (auto const& f : forms) {
    auto const m = measure(f);
    EXPECT_NEAR(m.error, f.expected, f.tolerance) << f.formula;
    table += row(f, m);
  }
  std::string const path = TENON_SOURCE_DIR "/docs/operators/gelu.md";
  std::ifstream     in(path);
  std::string       page{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::string const begin = "<!-- made by tests/op/gelu_table_test.cpp -->\n", end = "<!-- end -->";
  auto const        from = page.find(begin), to = page.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos) << path;
  auto const start = from + begin.size();
  if (char const* const update = std::getenv("TENON_UPDATE_DOCS"); update && std::string(update) == "1") {
    page.replace(start, to - start, table);
    std::ofstream(path) << page;
  } else if (!TENON_CONTRACTS) {
    EXPECT_EQ(page.substr(start, to - start), table) << "TENON_UPDATE_DOCS=1 writes the page anew";
  }
}

// fp32 against the exact function: bounds that hold whether or not the compiler fuses multiply-adds.
TEST(gelu_forms, fp32_keeps_its_bounds) {
  auto const worst = [](float (*f)(float)) {
    double e = 0;
    for (int i = -100000; i <= 100000; ++i)
      e = std::max(e, static_cast<double>(std::abs(static_cast<real>(f(static_cast<float>(i * 1e-4))) -
                                                   exact_values()[static_cast<std::size_t>(i + 100000)])));
    return e;
  };
  EXPECT_LE(worst(tenon::gelu_erf), 5e-7);
  EXPECT_LE(worst(tenon::gelu_as_7_1_26), 7e-7);
  EXPECT_LE(worst(tenon::gelu_poly_12), 7.1e-6);
  EXPECT_LE(worst(tenon::gelu_poly_14), 9e-7);
  EXPECT_LE(worst(tenon::gelu_tanh), 4.732e-4 + 1e-6);
  EXPECT_LE(worst(tenon::gelu_tanh_retuned), 2.87e-4);
  EXPECT_LE(worst(tenon::gelu_quick_retuned), 1.394e-2);
}

// Rounded to bf16, gelu_erf is the right one of its two neighbours nearly always, and never further off.
TEST(gelu_forms, bf16_of_the_exact_form) {
  int inputs = 0, other = 0;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    auto const x = static_cast<float>(bf16::from_bits(static_cast<std::uint16_t>(bits)));
    if (!(std::abs(x) > 1e-4f && std::abs(x) < 10)) continue;
    real const want = exact(static_cast<real>(x));
    int const  ulps = std::abs(ordinal(bf16(tenon::gelu_erf(x))) - ordinal(bf16(static_cast<float>(want))));
    ++inputs, other += ulps != 0;
    EXPECT_LE(ulps, 1) << x;
  }
  EXPECT_LE(other, inputs * 3 / 100);
}

TEST(gelu_forms, edges) {
  float const inf = std::numeric_limits<float>::infinity();
  for (auto* const f : {tenon::gelu_poly_12, tenon::gelu_poly_14, tenon::gelu_as_7_1_26, tenon::gelu_tanh_retuned,
                        tenon::gelu_quick_retuned}) {
    EXPECT_EQ(f(0.f), 0.f);
    EXPECT_EQ(f(inf), inf);
    EXPECT_EQ(f(200.f), 200.f);
    EXPECT_NEAR(f(-200.f), 0.f, 1e-30f);
    EXPECT_TRUE(std::isnan(f(std::numeric_limits<float>::quiet_NaN())));
    // Odd but for x: gelu(x) - gelu(-x) = x.
    for (float x = 0; x < 12; x += 0.01f) EXPECT_NEAR(f(x) - f(-x), x, 2e-6f) << x;
  }
}

}  // namespace
