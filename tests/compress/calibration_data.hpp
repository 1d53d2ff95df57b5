#pragma once
//  Seeded inputs and weights for the tests of calibration, and the plainest arithmetic on them.
#include <tenon/compress/gram.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <vector>

namespace test {

using tenon::index_t;

/// A dense matrix of doubles, for references.
struct matrix {
  index_t             rows = 0, columns = 0;
  std::vector<double> values;

  matrix(index_t r, index_t c) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  double& operator()(index_t i, index_t j) { return values[static_cast<std::size_t>(i * columns + j)]; }
  double  operator()(index_t i, index_t j) const { return values[static_cast<std::size_t>(i * columns + j)]; }
};

/// The same normal values in every C++ library.
struct normal_values {
  std::mt19937_64 engine;
  explicit normal_values(std::uint64_t seed) : engine(seed) {}
  double uniform() { return (static_cast<double>(engine() >> 11) + 0.5) * 0x1p-53; }
  double operator()() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }
};

inline std::vector<float> normal(index_t n, std::uint64_t seed, double deviation = 1) {
  normal_values      draw(seed);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (auto& e : v) e = static_cast<float>(deviation * draw());
  return v;
}

/// Rows as a language model has them: a third as many hidden causes as columns, columns of different size, a little noise,
/// an offset.
inline std::vector<float> correlated(index_t rows, index_t columns, std::uint64_t seed) {
  normal_values       draw(seed);
  index_t const       causes = columns / 3 + 1;
  std::vector<double> mix(static_cast<std::size_t>(causes * columns)), size(static_cast<std::size_t>(columns));
  for (auto& m : mix) m = draw();
  for (auto& s : size) s = std::exp(0.8 * draw());
  std::vector<float>  x(static_cast<std::size_t>(rows * columns));
  std::vector<double> cause(static_cast<std::size_t>(causes));
  for (index_t i = 0; i < rows; ++i) {
    for (auto& c : cause) c = draw();
    for (index_t j = 0; j < columns; ++j) {
      double v = 0.3 * draw() + 0.2;
      for (index_t c = 0; c < causes; ++c)
        v += cause[static_cast<std::size_t>(c)] * mix[static_cast<std::size_t>(c * columns + j)] /
             std::sqrt(static_cast<double>(causes));
      x[static_cast<std::size_t>(i * columns + j)] = static_cast<float>(size[static_cast<std::size_t>(j)] * v);
    }
  }
  return x;
}

inline matrix as_matrix(std::vector<float> const& v, index_t rows, index_t columns) {
  matrix m(rows, columns);
  for (std::size_t i = 0; i < v.size(); ++i) m.values[i] = static_cast<double>(v[i]);
  return m;
}

/// a' b
inline matrix transposed_product(matrix const& a, matrix const& b) {
  matrix c(a.columns, b.columns);
  for (index_t r = 0; r < a.rows; ++r)
    for (index_t i = 0; i < a.columns; ++i)
      for (index_t j = 0; j < b.columns; ++j) c(i, j) += a(r, i) * b(r, j);
  return c;
}

/// sum over rows of x and of w of ((w - v) x)^2, one output at a time.
inline double squared_output_error(std::vector<float> const& x, std::vector<float> const& w,
                                   std::vector<float> const& v, index_t columns) {
  index_t const rows = static_cast<index_t>(x.size()) / columns, outputs = static_cast<index_t>(w.size()) / columns;
  double        all = 0;
  for (index_t i = 0; i < rows; ++i)
    for (index_t o = 0; o < outputs; ++o) {
      double e = 0;
      for (index_t j = 0; j < columns; ++j) {
        auto const at = static_cast<std::size_t>(o * columns + j);
        e += (static_cast<double>(w[at]) - static_cast<double>(v[at])) *
             static_cast<double>(x[static_cast<std::size_t>(i * columns + j)]);
      }
      all += e * e;
    }
  return all;
}

inline tenon::gram_statistics gram_of(std::vector<float> const& x, index_t columns) {
  tenon::gram_accumulator sums;
  auto const              s = sums.add(tenon::dense(x.data(), static_cast<index_t>(x.size()) / columns, columns));
  EXPECT_TRUE(s.ok()) << s.subject;
  return sums.take();
}

inline void expect_error(tenon::status const& s, tenon::errc code, char const* subject, index_t got, index_t want) {
  EXPECT_EQ(s.code, code) << to_string(s.code) << " " << s.subject;
  EXPECT_STREQ(s.subject, subject);
  EXPECT_EQ(s.got, got);
  EXPECT_EQ(s.want, want);
}

inline void expect_ok(tenon::status const& s) {
  EXPECT_TRUE(s.ok()) << s.primitive << ": " << to_string(s.code) << ", " << s.subject << ", " << s.got << " for "
                      << s.want;
}

}  // namespace test
