#pragma once
//  Seeded inputs and weights for the tests of calibration, and the plainest arithmetic on them.
#include <tenon/compress/gram.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include "../support/expect_status.hpp"
#include "../support/seeded_values.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
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

/// Rows as a language model has them: a third as many hidden causes as columns, columns of different size, a little
/// noise, an offset.
inline std::vector<float> correlated(index_t rows, index_t columns, std::uint64_t seed) {
  seeded_values       draw(seed);
  index_t const       causes = columns / 3 + 1;
  std::vector<double> mix(static_cast<std::size_t>(causes * columns)), size(static_cast<std::size_t>(columns));
  for (auto& m : mix) m = draw.normal();
  for (auto& s : size) s = std::exp(0.8 * draw.normal());
  std::vector<float>  x(static_cast<std::size_t>(rows * columns));
  std::vector<double> cause(static_cast<std::size_t>(causes));
  for (index_t i = 0; i < rows; ++i) {
    for (auto& c : cause) c = draw.normal();
    for (index_t j = 0; j < columns; ++j) {
      double v = 0.3 * draw.normal() + 0.2;
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

/// The same rows in other storages.
struct other_storages {
  std::vector<tenon::bf16> narrow;
  std::vector<float>       rounded, transposed;  // the numbers of `narrow`; (columns, rows)

  other_storages(std::vector<float> const& x, index_t rows, index_t columns) : transposed(x.size()) {
    for (float const v : x) narrow.emplace_back(v), rounded.push_back(static_cast<float>(narrow.back()));
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; ++j)
        transposed[static_cast<std::size_t>(j * rows + i)] = x[static_cast<std::size_t>(i * columns + j)];
  }
};

/// y(t,:) = w x(t,:)
inline matrix outputs_of(std::vector<float> const& x, std::vector<float> const& w, index_t inputs) {
  matrix y(static_cast<index_t>(x.size()) / inputs, static_cast<index_t>(w.size()) / inputs);
  for (index_t t = 0; t < y.rows; ++t)
    for (index_t o = 0; o < y.columns; ++o)
      for (index_t j = 0; j < inputs; ++j)
        y(t, o) += static_cast<double>(x[static_cast<std::size_t>(t * inputs + j)]) *
                   static_cast<double>(w[static_cast<std::size_t>(o * inputs + j)]);
  return y;
}

/// sum over rows of x and of w of (w x - v x)^2
inline double squared_output_error(std::vector<float> const& x, std::vector<float> const& w,
                                   std::vector<float> const& v, index_t columns) {
  auto const y = outputs_of(x, w, columns), z = outputs_of(x, v, columns);
  double     all = 0;
  for (std::size_t i = 0; i < y.values.size(); ++i) all += (y.values[i] - z.values[i]) * (y.values[i] - z.values[i]);
  return all;
}

inline tenon::gram_statistics gram_of(std::vector<float> const& x, index_t columns) {
  tenon::gram_accumulator sums;
  expect_ok(sums.add(tenon::dense(x.data(), static_cast<index_t>(x.size()) / columns, columns)));
  return sums.take();
}

inline void expect_error(tenon::status const& s, tenon::errc code, char const* subject, index_t got, index_t want) {
  EXPECT_EQ(s.code, code) << to_string(s.code) << " " << s.subject;
  EXPECT_STREQ(s.subject, subject);
  EXPECT_EQ(s.got, got);
  EXPECT_EQ(s.want, want);
}

}  // namespace test
