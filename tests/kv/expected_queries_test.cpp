#include <tenon/kv/expected_queries.hpp>
#include <tenon/position/rope_table.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "../support/expect_status.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::errc, tenon::index_t, tenon::rope_style;

constexpr index_t heads = 2, dim = 10, rotary = 8, positions = 100;

std::vector<float> table() {
  std::vector<float> cos_sin;
  for (index_t p = 0; p < positions; ++p)
    for (int part = 0; part < 2; ++part)
      for (index_t i = 0; i < rotary / 2; ++i) {
        double const angle = double(p) * tenon::rope_frequency(i, rotary, 100, {});
        cos_sin.push_back(float(part == 0 ? std::cos(angle) : std::sin(angle)));
      }
  return cos_sin;
}

std::vector<float> sample(index_t tokens) {
  std::mt19937_64            random(3);
  std::normal_distribution<> normal(0.5, 1);
  std::vector<float>         q(std::size_t(tokens * heads * dim));
  for (float& v : q) v = float(normal(random));
  return q;
}

using matrix = std::vector<std::vector<double>>;  // dim x dim

/// The mean of the rotations as a matrix, position by position.
matrix mean_rotation(std::vector<float> const& cos_sin, index_t first, index_t count, rope_style style) {
  matrix r(std::size_t(dim), std::vector<double>(std::size_t(dim), 0));
  for (index_t p = first; p < first + count; ++p) {
    for (index_t d = rotary; d < dim; ++d) r[std::size_t(d)][std::size_t(d)] += 1 / double(count);
    for (index_t i = 0; i < rotary / 2; ++i) {
      auto const   a = std::size_t(style == rope_style::half_split ? i : 2 * i);
      auto const   b = std::size_t(style == rope_style::half_split ? rotary / 2 + i : 2 * i + 1);
      double const c = double(cos_sin[std::size_t(p * rotary + i)]) / double(count);
      double const s = double(cos_sin[std::size_t(p * rotary + rotary / 2 + i)]) / double(count);
      r[a][a] += c, r[a][b] -= s, r[b][b] += c, r[b][a] += s;
    }
  }
  return r;
}

// Mean and covariance of rotated samples, by the definition: R x of every token.
void expect_moments(index_t tokens, index_t first, index_t horizon, index_t counted, rope_style style) {
  auto const              cos_sin = table(), q = sample(tokens);
  tenon::expected_queries expected;
  test::expect_ok(tenon::expect_queries(expected, test::over(q, tokens, heads, dim),
                                        test::over(cos_sin, positions, rotary), first, horizon, style));
  auto const r = mean_rotation(cos_sin, first, counted, style);
  for (index_t h = 0; h < heads; ++h) {
    matrix              x(static_cast<std::size_t>(tokens), std::vector<double>(std::size_t(dim), 0));
    std::vector<double> mean(std::size_t(dim), 0);
    for (index_t t = 0; t < tokens; ++t)
      for (std::size_t i = 0; i < std::size_t(dim); ++i) {
        for (std::size_t j = 0; j < std::size_t(dim); ++j)
          x[std::size_t(t)][i] += r[i][j] * double(q[std::size_t((t * heads + h) * dim) + j]);
        mean[i] += x[std::size_t(t)][i] / double(tokens);
      }
    for (std::size_t i = 0; i < std::size_t(dim); ++i) {
      EXPECT_NEAR(double(expected.mean_view()(0, h, i)), mean[i], 1e-6);
      for (std::size_t j = 0; j < std::size_t(dim); ++j) {
        double want = 0, got = 0;
        for (auto const& row : x) want += (row[i] - mean[i]) * (row[j] - mean[j]) / double(tokens);
        for (index_t n = 0; n < dim; ++n)
          got += double(expected.spread_view()(h, n, i)) * double(expected.spread_view()(h, n, j));
        EXPECT_NEAR(got, want, 2e-6) << "head " << h << ", " << i << " " << j;
      }
    }
  }
}

TEST(expected_queries, have_the_moments_of_rotated_samples) {
  expect_moments(60, 20, 30, 30, rope_style::half_split);
  expect_moments(60, 20, 512, 80, rope_style::interleaved);  // the table ends
  expect_moments(60, 99, 1, 1, rope_style::half_split);      // one rotation
}
TEST(expected_queries, of_fewer_samples_than_columns_have_no_extent_elsewhere) {
  expect_moments(4, 0, 10, 10, rope_style::half_split);
  expect_moments(1, 0, 10, 10, rope_style::half_split);
}

TEST(expected_queries_contract, names_what_is_wrong_and_changes_nothing) {
  auto const              cos_sin = table();
  auto                    q       = sample(3);
  tenon::expected_queries expected{.heads = 42, .head_dim = 0, .mean = {}, .spread = {}};
  auto const              view = test::over(q, 3, heads, dim);
  auto const              turn = test::over(cos_sin, positions, rotary);
  auto const              is   = [&](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_EQ(expected.heads, 42);
  };
  is(tenon::expect_queries(expected, view, turn, 100), errc::out_of_range, "first");
  is(tenon::expect_queries(expected, view, turn, -1), errc::out_of_range, "first");
  is(tenon::expect_queries(expected, view, turn, 0, 0), errc::out_of_range, "horizon");
  is(tenon::expect_queries(expected, view.slice(0, 0), turn, 0), errc::out_of_range, "tokens");
  is(tenon::expect_queries(expected, view, test::over(cos_sin, 50, 16), 0), errc::shape_mismatch, "head_dim");
  is(tenon::expect_queries(expected, view, test::over(cos_sin, 100, 7), 0), errc::out_of_range, "rotary_dim");
  q[25] = INFINITY;
  is(tenon::expect_queries(expected, view, turn, 0), errc::out_of_range, "q");
}

}  // namespace
