#include <tenon/quant/quantize_weight.hpp>

#include "../support/seeded_values.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <vector>

namespace {

using tenon::dense, tenon::errc, tenon::f16, tenon::index_t, tenon::quantize_weight, tenon::quantized_weight,
    tenon::weight_code, tenon::weight_format;
using method = tenon::weight_scale_method;

std::vector<float> normal(std::size_t n, std::uint64_t seed, double deviation = 0.02) {
  return test::normal(n, seed, deviation);
}
/// Student's t with five degrees of freedom: its quantiles in random order, because a few extremes decide what a sample shows.
std::vector<float> heavy_tailed(std::size_t n, std::uint64_t seed) {
  std::vector<float> v(n);
  double             t = 0;
  for (std::size_t i = 0; i < (n + 1) / 2; ++i) {
    double const above = (static_cast<double>(i) + (n % 2 == 0 ? 0.5 : 0)) / static_cast<double>(n);  // of the median
    for (int newton = 0; newton < 8; ++newton) {
      double const u = 1 + t * t / 5, r = std::sqrt(5);
      t += (above - (t / (r * u) * (1 + 2 / (3 * u)) + std::atan(t / r)) / std::numbers::pi) *
           (3 * std::numbers::pi * r * u * u * u / 8);
    }
    v[i]         = static_cast<float>(0.02 * t);
    v[n - 1 - i] = -v[i];
  }
  std::mt19937_64 engine(seed);
  for (std::size_t i = n; i > 1; --i) std::swap(v[i - 1], v[engine() % i]);
  return v;
}

/// 10 log10 of signal over noise.
double sqnr(std::vector<float> const& w, quantized_weight const& q) {
  auto const back   = q.dequantized();
  double     signal = 0, noise = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    double const d = static_cast<double>(w[i]) - static_cast<double>(back[i]);
    signal += static_cast<double>(w[i]) * static_cast<double>(w[i]), noise += d * d;
  }
  return 10 * std::log10(signal / noise);
}

quantized_weight quantized(std::vector<float> const& w, index_t rows, index_t columns, weight_format format,
                           tenon::quantize_weight_options const& options = {}) {
  quantized_weight q;
  auto const       s = quantize_weight(q, dense(w.data(), rows, columns), format, options);
  EXPECT_TRUE(s.ok()) << s.subject << " " << s.got;
  return q;
}

constexpr weight_format int8(int group = 0) { return {weight_code::int8, group}; }
constexpr weight_format int4(int group = 0, bool zero_points = false) {
  return {weight_code::int4, group, 1, zero_points};
}
constexpr weight_format fp8(int group = 0, int block_rows = 1) { return {weight_code::fp8, group, block_rows}; }
constexpr weight_format fp4(int group) { return {weight_code::fp4, group}; }

// What the formats and methods are worth on independent weights; docs/operators/quantize_weight.md has the table.
TEST(quantize_weight, signal_to_noise) {
  struct row {
    weight_format format;
    method        how;
    double        gaussian, heavy;  // dB
    bool          signed_scales = true;
  };
  constexpr row table[] = {
      {int8(), method::absmax, 41.2, 34.0},
      {int8(128), method::absmax, 43.8, 40.4},
      {int4(), method::absmax, 16.1, 9.0},
      {int4(128), method::absmax, 18.6, 15.3},
      {int4(128), method::signed_absmax, 19.7, 16.4},
      {int4(128), method::searched, 19.9, 16.6, false},
      {int4(128), method::searched, 20.3, 17.1},
      {int4(128, true), method::absmax, 20.0, 17.5},
      {int4(64), method::absmax, 19.4, 16.7},
      {int4(64), method::signed_absmax, 20.5, 17.8},
      {int4(64), method::searched, 20.9, 18.3},
      {int4(64, true), method::absmax, 20.8, 19.0},
      {int4(32), method::absmax, 20.3, 18.2},
      {int4(32), method::signed_absmax, 21.3, 19.3},
      {int4(32), method::searched, 21.8, 19.7},
      {int4(32, true), method::absmax, 21.9, 20.6},
      {fp8(), method::absmax, 31.5, 31.6},
      {fp8(128), method::absmax, 31.8, 32.2},
      {fp8(128, 128), method::absmax, 31.5, 31.6},
      {fp4(16), method::absmax, 20.4, 20.7},
      {fp4(32), method::absmax, 18.8, 18.0},
  };
  index_t const rows = 64, columns = 4096;
  auto const    gauss = normal(static_cast<std::size_t>(rows * columns), 1);
  auto const    heavy = heavy_tailed(static_cast<std::size_t>(rows * columns), 2);
  for (auto const& r : table) {
    SCOPED_TRACE(to_string(r.format) + ", method " + std::to_string(static_cast<int>(r.how)));
    tenon::quantize_weight_options const options{.method = r.how, .signed_scales = r.signed_scales};
    EXPECT_NEAR(sqnr(gauss, quantized(gauss, rows, columns, r.format, options)), r.gaussian, 0.1);
    EXPECT_NEAR(sqnr(heavy, quantized(heavy, rows, columns, r.format, options)), r.heavy, 0.1);
  }
}

/// Every number that a code may stand for in a group whose zero point is `zero`.
std::vector<float> numbers(weight_format const& f, int zero) {
  std::vector<float> v;
  for (int c = 0; c < 256; ++c) {
    if (f.code == weight_code::int4 && c < 16) v.push_back(static_cast<float>(c - zero));
    if (f.code == weight_code::int8) v.push_back(static_cast<float>(c - 128));
    if (f.code == weight_code::fp8 && c % 128 != 127)
      v.push_back(static_cast<float>(tenon::e4m3::from_bits(static_cast<std::uint8_t>(c))));
    if (f.code == weight_code::fp4 && c < 16)
      v.push_back(static_cast<float>(tenon::e2m1::from_bits(static_cast<std::uint8_t>(c))));
  }
  return v;
}

constexpr weight_format every_format[] = {int8(),         int8(32),      {weight_code::int8, 16, 8},
                                          int4(),         int4(64),      int4(5),
                                          int4(64, true), int4(0, true), fp8(),
                                          fp8(128),       fp8(128, 128), fp4(16),
                                          fp4(32)};

std::vector<method> methods_of(weight_format const& f) {
  if (f.code == weight_code::fp8 || f.code == weight_code::fp4) return {method::absmax};
  return {method::absmax, method::signed_absmax, method::searched};
}

// Ragged last groups and bands included: 172 columns are two groups of 64 and one of 44.
TEST(quantize_weight, every_code_is_the_nearest) {
  for (auto const& shape : {std::pair<index_t, index_t>{9, 172}, {1, 1}, {3, 7}, {130, 33}}) {
    auto const w = normal(static_cast<std::size_t>(shape.first * shape.second), 3);
    for (auto const& f : every_format)
      for (auto const how : methods_of(f)) {
        SCOPED_TRACE(to_string(f) + " of " + std::to_string(shape.first) + " x " + std::to_string(shape.second));
        auto const q = quantized(w, shape.first, shape.second, f, {.method = how});
        ASSERT_EQ(q.scales.size(), static_cast<std::size_t>(q.scale_rows() * q.groups()));
        ASSERT_EQ(q.zeros.size(), f.zero_points ? static_cast<std::size_t>(q.rows * q.groups()) : 0u);
        for (index_t i = 0; i < q.rows; ++i)
          for (index_t j = 0; j < q.columns; ++j) {
            auto const  g     = static_cast<std::size_t>(f.group > 0 ? i * q.groups() + j / f.group : i);
            int const   zero  = f.zero_points ? q.zeros[g] : 8;
            float const scale = q.scale(i, j), v = w[static_cast<std::size_t>(i * q.columns + j)];
            ASSERT_LE(zero, 15);
            float nearest = std::numeric_limits<float>::infinity();
            for (float const n : numbers(f, zero)) nearest = std::min(nearest, std::abs(v - scale * n));
            // Absmax never uses -8 or -128, which for a rounded scale may be nearer by a rounding of its own.
            ASSERT_LE(std::abs(v - scale * q.number(i, j)), nearest + 2e-3f * std::abs(scale)) << i << " " << j;
          }
      }
  }
}

TEST(quantize_weight, ties_go_to_the_even_code) {
  std::vector<float> const w{127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -127};
  auto const               q = quantized(w, 1, 8, int8());
  std::vector<int> const   expect{127, 0, 2, 2, 0, -2, -2, -127};
  EXPECT_EQ(q.scales[0], 1.f);
  for (index_t j = 0; j < 8; ++j) EXPECT_EQ(q.number(0, j), static_cast<float>(expect[static_cast<std::size_t>(j)]));
  std::vector<float> const four{7, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -7};
  auto const               p = quantized(four, 1, 8, int4());
  EXPECT_EQ(p.scales[0], 1.f);
  std::vector<std::uint8_t> const codes{15, 8, 10, 10, 8, 6, 6, 1};
  EXPECT_EQ(p.codes, codes);
}

TEST(quantize_weight, a_searched_scale_is_never_worse_and_listens_to_importance) {
  index_t const rows = 8, columns = 172;
  auto const    w = heavy_tailed(static_cast<std::size_t>(rows * columns), 4);
  for (auto const& f : {int4(64), int4(64, true), int8(64), int4()}) {
    SCOPED_TRACE(to_string(f));
    auto const best = quantized(w, rows, columns, f, {.method = method::searched});
    for (auto const how : {method::absmax, method::signed_absmax}) {
      auto const    other = quantized(w, rows, columns, f, {.method = how});
      auto const    a = best.dequantized(), b = other.dequantized();
      index_t const group = f.group > 0 ? f.group : columns;
      for (index_t i = 0; i < rows; ++i)
        for (index_t first = 0; first < columns; first += group) {
          double mine = 0, theirs = 0;
          for (index_t j = first; j < std::min(first + group, columns); ++j) {
            auto const at = static_cast<std::size_t>(i * columns + j);
            mine += std::pow(static_cast<double>(w[at]) - static_cast<double>(a[at]), 2);
            theirs += std::pow(static_cast<double>(w[at]) - static_cast<double>(b[at]), 2);
          }
          EXPECT_LE(mine, theirs * (1 + 1e-5));
        }
    }
  }
  // Half of the columns do not matter: the others gain.
  std::vector<float> importance(static_cast<std::size_t>(columns));
  for (std::size_t j = 0; j < importance.size(); ++j) importance[j] = j % 2 == 0 ? 1.f : 0.f;
  auto const even_error = [&](quantized_weight const& q) {
    double     sum  = 0;
    auto const back = q.dequantized();
    for (std::size_t i = 0; i < w.size(); i += 2) sum += std::pow(static_cast<double>(w[i] - back[i]), 2);
    return sum;
  };
  auto const plain = quantized(w, rows, columns, int4(64), {.method = method::searched});
  auto const aware =
      quantized(w, rows, columns, int4(64),
                {.method = method::searched, .importance = dense(std::as_const(importance).data(), columns)});
  EXPECT_LT(even_error(aware), 0.9 * even_error(plain));
}

TEST(quantize_weight, scales_may_be_asked_to_be_positive) {
  auto const w        = normal(64 * 64, 5);
  auto const q        = quantized(w, 64, 64, int4(32), {.method = method::searched});
  auto const p        = quantized(w, 64, 64, int4(32), {.method = method::searched, .signed_scales = false});
  int        negative = 0;
  for (float const s : q.scales) negative += s < 0;
  EXPECT_GT(negative, 32);
  for (float const s : p.scales) EXPECT_GT(s, 0.f);
}

TEST(quantize_weight, one_scale_for_the_tensor) {
  auto const w = normal(16 * 40, 6);
  for (auto const& f : {fp8(), int8(), int4()}) {
    auto const q = quantized(w, 16, 40, f, {.per_tensor = true});
    ASSERT_EQ(q.scales.size(), 16u);
    for (float const s : q.scales) EXPECT_EQ(s, q.scales[0]);
    float absmax = 0;
    for (float const v : w) absmax = std::max(absmax, std::abs(v));
    EXPECT_NEAR(q.scales[0] * (f == fp8() ? 448.f : f == int8() ? 127.f : 7.f), absmax, 1e-3f * absmax);
  }
}

TEST(quantize_weight, zeros_stay_zeros) {
  index_t const      rows = 5, columns = 70;
  std::vector<float> w = normal(static_cast<std::size_t>(rows * columns), 7);
  std::fill(w.begin() + columns, w.begin() + 2 * columns, 0.f);           // a row
  std::fill(w.begin() + 3 * columns, w.begin() + 3 * columns + 64, 0.f);  // most of one
  for (auto const& f : every_format)
    for (auto const how : methods_of(f)) {
      SCOPED_TRACE(to_string(f));
      auto const back = quantized(w, rows, columns, f, {.method = how}).dequantized();
      for (std::size_t i = 0; i < w.size(); ++i) {
        ASSERT_TRUE(std::isfinite(back[i]));
        ASSERT_TRUE(w[i] != 0 || back[i] == 0) << i;
      }
      auto const all = quantized(std::vector<float>(w.size(), 0.f), rows, columns, f, {.method = how});
      for (float const v : all.dequantized()) ASSERT_EQ(v, 0.f);
      EXPECT_EQ(all.factor, 1.f);
    }
}

// Kernels keep such scales as f16: they are f16 numbers, in the normal range, whatever the weights' own.
TEST(quantize_weight, group_scales_are_f16_times_a_power_of_two) {
  auto const ordinary = normal(8 * 128, 8);
  for (auto const& f : {int4(32), int4(32, true), int4(), int8(64)})
    for (int const exponent : {0, -100, -40, 40, 100}) {
      SCOPED_TRACE(to_string(f) + ", 2^" + std::to_string(exponent));
      auto w = ordinary;
      for (auto& v : w) v = std::ldexp(v, exponent);
      auto const q      = quantized(w, 8, 128, f, {.method = method::searched});
      int        unused = 0;
      EXPECT_EQ(std::frexp(q.factor, &unused), 0.5f);
      EXPECT_EQ(q.factor == 1, exponent == 0);
      for (float const s : q.scales) {
        EXPECT_EQ(s, static_cast<float>(f16(s)));
        EXPECT_GE(std::abs(s), 0x1p-14f);
        EXPECT_LE(std::abs(s), 2048.f);
      }
      EXPECT_EQ(q.codes, quantized(ordinary, 8, 128, f, {.method = method::searched}).codes);
    }
}

TEST(quantize_weight, the_largest_and_the_least_floats) {
  float const              most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  std::vector<float> const w{most, -most, 0, most / 2, least, -least, least, 0};
  for (auto const& f : every_format)
    for (auto const how : methods_of(f)) {
      SCOPED_TRACE(to_string(f));
      auto const q = quantized(w, 2, 4, f, {.method = how});
      for (float const s : q.scales) EXPECT_TRUE(std::isfinite(s));
      EXPECT_NEAR(static_cast<double>(q.scale(0, 0)) * static_cast<double>(q.number(0, 0)) / static_cast<double>(most),
                  1, 0.3);
      for (index_t j = 0; j < 4; ++j) EXPECT_EQ(q.scale(1, j) * q.number(1, j), 0.f);
    }
}

TEST(quantize_weight, any_strides_and_elements) {
  index_t const      rows = 6, columns = 75;
  auto const         w = normal(static_cast<std::size_t>(rows * columns), 9);
  std::vector<f16>   halves, transposed(w.size());
  std::vector<float> rounded;
  for (float const v : w) halves.push_back(f16(v)), rounded.push_back(static_cast<float>(f16(v)));
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j)
      transposed[static_cast<std::size_t>(j * rows + i)] = halves[static_cast<std::size_t>(i * columns + j)];
  auto const       want = quantized(rounded, rows, columns, int4(32), {.method = method::searched});
  quantized_weight a, b;
  ASSERT_TRUE(quantize_weight(a, dense(halves.data(), rows, columns), int4(32), {.method = method::searched}).ok());
  ASSERT_TRUE(quantize_weight(b, tenon::tensor_view<f16, 2>{transposed.data(), {rows, columns}, {1, rows}}, int4(32),
                              {.method = method::searched})
                  .ok());
  EXPECT_EQ(a.codes, want.codes);
  EXPECT_EQ(a.scales, want.scales);
  EXPECT_EQ(b.codes, want.codes);
  EXPECT_EQ(b.scales, want.scales);
}

TEST(quantize_weight, nothing_to_do_is_fine) {
  float const one = 1;
  for (auto const& f : every_format)
    for (auto const& shape : {std::pair<index_t, index_t>{0, 8}, {3, 0}, {0, 0}}) {
      quantized_weight q;
      ASSERT_TRUE(quantize_weight(q, dense(&one, shape.first, shape.second), f).ok());
      EXPECT_EQ(q.rows, shape.first);
      EXPECT_EQ(q.columns, shape.second);
      EXPECT_TRUE(q.codes.empty());
      EXPECT_TRUE(q.dequantized().empty());
    }
}

TEST(quantize_weight_contract, names_what_is_wrong) {
  std::vector<float> w(4 * 32, 1.f), importance(32, 1.f);
  quantized_weight   out;
  out.rows      = 77;  // untouched by calls that fail
  auto const is = [&](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "quantize_weight");
    EXPECT_EQ(out.rows, 77);
  };
  auto const view = dense(std::as_const(w).data(), 4, 32);
  is(quantize_weight(out, view, {weight_code::int8, -1}), errc::out_of_range, "group");
  is(quantize_weight(out, view, {weight_code::int8, 32, 0}), errc::out_of_range, "block_rows");
  is(quantize_weight(out, view, {weight_code::int8, 32, 1, true}), errc::unsupported, "zero_points");
  is(quantize_weight(out, view, {weight_code::int4, 32, 2, true}), errc::unsupported, "zero_points");
  is(quantize_weight(out, view, fp4(64)), errc::unsupported, "group");
  is(quantize_weight(out, view, fp8(), {.method = method::searched}), errc::unsupported, "method");
  is(quantize_weight(out, view, int8(32), {.per_tensor = true}), errc::unsupported, "per_tensor");
  is(quantize_weight(out, view, int4(), {.importance = dense(std::as_const(importance).data(), 31)}),
     errc::shape_mismatch, "columns");
  is(quantize_weight(out, dense(static_cast<float const*>(nullptr), 4, 32), int8()), errc::out_of_range, "w");
  importance[3] = -1;
  is(quantize_weight(out, view, int4(), {.importance = dense(std::as_const(importance).data(), 32)}),
     errc::out_of_range, "importance");
  for (float const bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    w[2 * 32 + 5] = bad;
    auto const s  = quantize_weight(out, view, int8());
    is(s, errc::out_of_range, "w");
    EXPECT_EQ(s.got, 2);
    EXPECT_EQ(s.want, 5);
  }
}

}  // namespace
