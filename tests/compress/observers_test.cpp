#include <tenon/compress/observers.hpp>
#include <tenon/core/numeric.hpp>

#include "calibration_data.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using tenon::activation_histogram, tenon::dense, tenon::errc, tenon::index_t, tenon::range_method;
using test::expect_error, test::expect_ok, test::uniform;

activation_histogram histogram_of(std::vector<float> const& x) {
  activation_histogram h;
  expect_ok(h.add(dense(x.data(), 1, static_cast<index_t>(x.size()))));
  return h;
}

float range_of(activation_histogram const& h, tenon::range_options const& options) {
  float range = -1;
  expect_ok(tenon::activation_range(range, h, options));
  return range;
}

void expect_same(activation_histogram const& a, activation_histogram const& b) {
  EXPECT_EQ(a.counts(), b.counts());
  EXPECT_EQ(a.total(), b.total());
  EXPECT_EQ(a.absmax(), b.absmax());
  EXPECT_EQ(a.used(), b.used());
}

std::vector<float> laplace(index_t n, std::uint64_t seed) {
  test::seeded_values draw(seed);
  std::vector<float>  v(static_cast<std::size_t>(n));
  for (auto& e : v) {
    double const u = draw.uniform() - 0.5;
    e              = static_cast<float>(u < 0 ? std::log(1 + 2 * u) : -std::log(1 - 2 * u));
  }
  return v;
}

TEST(observers, counts_of_magnitudes) {
  auto const x = test::normal(20000, 1, 3);
  auto const h = histogram_of(x);
  EXPECT_EQ(h.total(), 20000u);
  float absmax = 0;
  for (float const v : x) absmax = std::max(absmax, std::abs(v));
  EXPECT_EQ(h.absmax(), absmax);
  EXPECT_GE(h.used(), 2049);
  EXPECT_LE(h.used(), 4096);
  EXPECT_EQ(std::exp2(std::round(std::log2(h.width()))), h.width());
  std::vector<std::uint64_t> counts(activation_histogram::bins);
  for (float const v : x)
    for (int b = 0; b < activation_histogram::bins; ++b)
      if (static_cast<double>(std::abs(v)) >= b * h.width() && static_cast<double>(std::abs(v)) < (b + 1) * h.width()) {
        ++counts[static_cast<std::size_t>(b)];
        break;
      }
  EXPECT_EQ(h.counts(), counts);
  EXPECT_EQ(h.upper_end(h.used() - 1), absmax);
}

// Whatever came first, and in whatever pieces.
TEST(observers, order_does_not_matter) {
  auto x = test::normal(3000, 2);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= static_cast<float>(std::exp2(static_cast<double>(i % 40) - 30));
  x[5]             = 0;
  auto const whole = histogram_of(x);
  auto       back  = x;
  std::reverse(back.begin(), back.end());
  expect_same(histogram_of(back), whole);

  activation_histogram pieces, merged, empty;
  for (index_t at = 0; at < 3000; at += 7) {
    auto const           piece = dense(x.data() + at, 1, std::min(index_t{7}, 3000 - at));
    activation_histogram one;
    expect_ok(pieces.add(piece));
    expect_ok(one.add(piece));
    merged.merge(one);
  }
  expect_same(pieces, whole);
  expect_same(merged, whole);
  merged.merge(empty);
  expect_same(merged, whole);
  empty.merge(merged);
  expect_same(empty, whole);
}

TEST(observers, extremes) {
  constexpr float      tiny = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
  activation_histogram h;
  expect_ok(h.add(dense(&tiny, 1, 1)));
  EXPECT_EQ(h.absmax(), tiny);
  EXPECT_EQ(h.used(), 2049);
  EXPECT_EQ(h.counts()[2048], 1u);
  expect_ok(h.add(dense(&huge, 1, 1)));
  EXPECT_EQ(h.used(), 4096);
  EXPECT_EQ(h.counts()[0], 1u);
  EXPECT_EQ(h.counts()[4095], 1u);
  for (auto const m : {range_method::max, range_method::percentile, range_method::squared_error, range_method::entropy})
    EXPECT_EQ(range_of(h, {.method = m}), huge);

  activation_histogram const zeros = histogram_of({0, -0.f, 0}), none;
  for (auto const m :
       {range_method::max, range_method::percentile, range_method::squared_error, range_method::entropy}) {
    EXPECT_EQ(range_of(zeros, {.method = m}), 0);
    EXPECT_EQ(range_of(none, {.method = m}), 0);
    EXPECT_NEAR(range_of(histogram_of({0, 3}), {.method = m}), 3, 0) << static_cast<int>(m);
  }
  EXPECT_EQ(zeros.total(), 3u);
  EXPECT_EQ(tenon::static_scale(0), 1);
  EXPECT_EQ(tenon::static_scale(254), 2);
  EXPECT_EQ(tenon::static_scale(tiny), std::numeric_limits<float>::min());
}

TEST(observers, percentile_of_sorted_values) {
  for (auto const& x : {test::normal(5000, 3), laplace(5000, 4), uniform(777, 5, -1, 1)})
    for (double const part : {1e-9, 0.1, 0.5, 0.99, 0.999, 0.9999, 1.}) {
      auto sorted = x;
      for (auto& v : sorted) v = std::abs(v);
      std::sort(sorted.begin(), sorted.end());
      auto const   h     = histogram_of(x);
      auto const   place = static_cast<std::size_t>(std::max(std::ceil(part * static_cast<double>(x.size())), 1.)) - 1;
      double const range = static_cast<double>(range_of(h, {.method = range_method::percentile, .percentile = part}));
      EXPECT_GE(range, static_cast<double>(sorted[place]));
      EXPECT_LE(range, static_cast<double>(sorted[place]) + h.width());
    }
}

// The chosen range is as good, on the values themselves, as the best of many.
TEST(observers, squared_error_of_the_values) {
  for (auto const& x : {test::normal(4000, 6), laplace(4000, 7), uniform(1000, 8, -1, 1)})
    for (int const highest : {7, 127}) {
      auto const error = [&](double range) {
        double const scale = range / highest;
        double       all   = 0;
        for (float const v : x) {
          double const q =
              std::clamp(std::nearbyint(static_cast<double>(v) / scale), -1. * highest, 1. * highest) * scale;
          all += (static_cast<double>(v) - q) * (static_cast<double>(v) - q);
        }
        return all;
      };
      auto const h    = histogram_of(x);
      double     best = std::numeric_limits<double>::infinity();
      for (int i = 20; i <= 500; ++i) best = std::min(best, error(static_cast<double>(h.absmax()) * i / 500));
      double const chosen =
          static_cast<double>(range_of(h, {.method = range_method::squared_error, .highest = highest}));
      EXPECT_LE(error(chosen), 1.03 * best) << highest;
    }
}

/// The divergence as TensorRT's slides and pytorch-quantization describe it, every distribution spelt out.
double naive_divergence(std::vector<double> const& bins, std::size_t cut, int levels) {
  std::vector<double> p(bins.begin(), bins.begin() + static_cast<std::ptrdiff_t>(cut)), q(cut);
  double              clipped = 0;
  for (std::size_t b = cut; b < bins.size(); ++b) clipped += bins[b];
  for (int level = 0; level < levels; ++level) {
    double     mass = 0, filled = 0;
    auto const inside = [&](std::size_t b) {
      return static_cast<int>(b * static_cast<std::size_t>(levels) / cut) == level;
    };
    for (std::size_t b = 0; b < cut; ++b)
      if (inside(b)) mass += p[b], filled += p[b] > 0 ? 1 : 0;
    for (std::size_t b = 0; b < cut; ++b)
      if (inside(b) && p[b] > 0) q[b] = mass / filled;
  }
  p[cut - 1] += clipped;
  double sum_p = 0, sum_q = 0, divergence = 0;
  for (std::size_t b = 0; b < cut; ++b) sum_p += p[b], sum_q += q[b];
  for (std::size_t b = 0; b < cut; ++b)
    if (p[b] > 0) divergence += p[b] / sum_p * std::log(p[b] / sum_p / (q[b] / sum_q));
  return divergence;  // infinite where q is 0 and p is not
}

TEST(observers, entropy_spelt_out) {
  for (auto const& x : {test::normal(2000, 9), laplace(20000, 10), uniform(500, 11, -1, 1)}) {
    auto const          h = histogram_of(x);
    std::vector<double> bins;
    for (int b = 0; b < h.used(); ++b)
      bins.push_back(static_cast<double>(h.counts()[static_cast<std::size_t>(b == 0 ? 1 : b)]));
    tenon::calibration::histogram_sums const sums(h);
    for (int cut = 128; cut <= h.used(); cut += 97)
      for (int const levels : {8, 128}) {
        double const naive = naive_divergence(bins, static_cast<std::size_t>(cut), levels);
        double const ours  = tenon::calibration::cut_divergence(sums, cut, levels);
        if (std::isfinite(naive)) EXPECT_NEAR(ours, naive, 1e-9 * (1 + naive));
        else EXPECT_EQ(ours, std::numeric_limits<double>::infinity());
      }
    float const range = range_of(h, {.method = range_method::entropy});
    double      least = std::numeric_limits<double>::infinity();
    float       best  = 0;
    for (int cut = 128; cut <= h.used(); ++cut)
      if (double const d = tenon::calibration::cut_divergence(sums, cut, 128); d <= least)
        least = d, best = h.upper_end(cut - 1);
    EXPECT_EQ(range, best);
  }
}

TEST(observers, known_distributions) {
  auto normal = test::normal(200000, 12);
  auto h      = histogram_of(normal);
  EXPECT_NEAR(range_of(h, {.method = range_method::percentile}), 3.89, 0.1);
  EXPECT_NEAR(range_of(h, {.method = range_method::percentile, .percentile = 0.9545}), 2, 0.03);
  EXPECT_NEAR(range_of(h, {.method = range_method::squared_error}), 3.92, 0.25);
  EXPECT_NEAR(range_of(h, {.method = range_method::squared_error, .highest = 7}), 2.48, 0.06);
  auto const even = histogram_of(uniform(200000, 13, -1, 1));
  for (auto const m : {range_method::max, range_method::percentile, range_method::squared_error, range_method::entropy})
    EXPECT_NEAR(range_of(even, {.method = m}), 1, 0.01) << static_cast<int>(m);
  // Two values far out: the largest magnitude follows them, the others do not.
  normal.push_back(40), normal.push_back(-39);
  h = histogram_of(normal);
  EXPECT_EQ(range_of(h, {}), 40);
  EXPECT_NEAR(range_of(h, {.method = range_method::percentile}), 3.89, 0.1);
  EXPECT_LT(range_of(h, {.method = range_method::squared_error}), 30);
  EXPECT_LT(range_of(h, {.method = range_method::entropy}), 8);
}

TEST(observers, types_strides_and_refusals) {
  auto const                 x = test::normal(60, 14);
  test::other_storages const other(x, 6, 10);
  activation_histogram       bits, strided;
  expect_ok(bits.add(dense(other.narrow.data(), 6, 10)));
  expect_same(bits, histogram_of(other.rounded));
  expect_ok(strided.add(tenon::tensor_view<float const, 2>{other.transposed.data(), {6, 10}, {1, 6}}));
  expect_same(strided, histogram_of(x));

  auto bad = x;
  bad[23]  = std::numeric_limits<float>::quiet_NaN();
  expect_error(strided.add(dense(bad.data(), 6, 10)), errc::out_of_range, "x", 2, 3);
  bad[7] = -std::numeric_limits<float>::infinity();
  expect_error(strided.add(dense(bad.data(), 6, 10)), errc::out_of_range, "x", 0, 7);
  expect_same(strided, histogram_of(x));
  float range = 5;
  expect_error(tenon::activation_range(range, strided, {.percentile = 0}), errc::out_of_range, "percentile", 0, 0);
  expect_error(tenon::activation_range(range, strided, {.percentile = 1.01}), errc::out_of_range, "percentile", 0, 0);
  expect_error(tenon::activation_range(range, strided, {.highest = 2048}), errc::out_of_range, "highest", 2048, 127);
  EXPECT_EQ(range, 5);
}

}  // namespace
