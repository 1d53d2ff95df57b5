#pragma once
//  How far the logits of one run of the program are from those of another, computed here from what --dump-logits wrote.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "program.hpp"

namespace test {

/// The values of a .npy of float32 (rows, columns).
struct logits {
  std::vector<float> values;
  std::size_t        columns = 0;

  explicit logits(fs::path const& file, std::size_t rows = 1) {
    std::string const npy = read_text(file);
    values.resize((npy.size() - 128) / sizeof(float));
    std::memcpy(values.data(), npy.data() + 128, values.size() * sizeof(float));
    columns = values.size() / rows;
  }
  float const* row(std::size_t i) const { return values.data() + i * columns; }
  std::size_t  rows() const { return values.size() / columns; }
};

inline std::vector<double> log_softmax(float const* row, std::size_t columns) {
  double const top = *std::max_element(row, row + columns);
  double       sum = 0;
  for (std::size_t i = 0; i < columns; ++i) sum += std::exp(row[i] - top);
  std::vector<double> p(columns);
  for (std::size_t i = 0; i < columns; ++i) p[i] = row[i] - top - std::log(sum);
  return p;
}

struct divergence {
  double kl   = 0;  // Kullback-Leibler, nats per row
  double top1 = 0;  // share of rows whose likeliest token agrees
};

/// Of `got` from `expected`, which have the same shape.
inline divergence divergence_of(logits const& expected, logits const& got) {
  divergence d;
  for (std::size_t t = 0; t < expected.rows(); ++t) {
    auto const p = log_softmax(expected.row(t), expected.columns), q = log_softmax(got.row(t), got.columns);
    for (std::size_t i = 0; i < p.size(); ++i) d.kl += std::exp(p[i]) * (p[i] - q[i]);
    d.top1 += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
  }
  auto const rows = static_cast<double>(expected.rows());
  d.kl /= rows, d.top1 /= rows;
  return d;
}

}  // namespace test
