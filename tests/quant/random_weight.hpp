#pragma once
//  Quantised matrices for round trips through file formats, and what the tests of importers ask of them.
#include <tenon/core/status.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <gtest/gtest.h>

#include "../support/expect_status.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

namespace test {

using tenon::index_t;

/// Codes in [lowest, lowest + count), any scales that f16 and bf16 hold exactly.
inline tenon::quantized_weight random_weight(index_t rows, index_t columns, tenon::weight_format format, unsigned seed,
                                             int lowest, int count) {
  std::mt19937            engine(seed);
  tenon::quantized_weight w;
  w.format = format, w.rows = rows, w.columns = columns;
  w.codes.resize(static_cast<std::size_t>(rows * columns));
  w.scales.resize(static_cast<std::size_t>(w.scale_rows() * w.groups()));
  for (auto& q : w.codes)
    q = static_cast<std::uint8_t>(lowest + static_cast<int>(engine() % static_cast<unsigned>(count)));
  for (auto& s : w.scales) s = static_cast<float>(1 + engine() % 255) / 4096;
  if (format.zero_points) w.zeros.resize(w.scales.size());
  for (auto& z : w.zeros) z = static_cast<std::uint8_t>(engine() % 16);
  return w;
}

inline tenon::quantized_weight random_int4(index_t rows, index_t columns, int group, bool zero_points, unsigned seed) {
  return random_weight(rows, columns, {.code = tenon::weight_code::int4, .group = group, .zero_points = zero_points},
                       seed, 0, 16);
}

/// An order in which the inputs of a group ascend, as importers make it.
inline void shuffle_order(tenon::quantized_weight& w, unsigned seed) {
  w.order.resize(static_cast<std::size_t>(w.columns));
  std::iota(w.order.begin(), w.order.end(), 0);
  std::shuffle(w.order.begin(), w.order.end(), std::mt19937(seed));
  auto const step = w.format.group > 0 ? w.format.group : w.columns;
  for (index_t j = 0; j < w.columns; j += step)
    std::sort(w.order.begin() + j, w.order.begin() + std::min(j + step, w.columns));
}

inline void expect_equal(tenon::quantized_weight const& a, tenon::quantized_weight const& b) {
  EXPECT_EQ(a.format, b.format) << to_string(a.format) << " against " << to_string(b.format);
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.scales, b.scales);
  EXPECT_EQ(a.zeros, b.zeros);
  EXPECT_EQ(a.order, b.order);
  EXPECT_EQ(a.factor, b.factor);
  EXPECT_EQ(a.input_scale, b.input_scale);
}

/// The subject and the primitive are read after the call, which must not have left them on its stack.
inline void expect_error(tenon::status const& s, tenon::errc code, char const* subject) {
  EXPECT_EQ(s.code, code) << to_string(s.code) << " " << s.subject;
  EXPECT_TRUE(std::string(s.primitive).rfind("import_", 0) == 0 || std::string(s.primitive).rfind("export_", 0) == 0)
      << s.primitive;
  EXPECT_STREQ(s.subject, subject);
}

}  // namespace test
