#include <tenon/quant/import_block_fp8.hpp>

#include <gtest/gtest.h>

#include <limits>

#include "random_weight.hpp"

namespace {

using tenon::e4m3;
using tenon::errc;
using tenon::index_t;
using tenon::quantized_weight;
using tenon::scale_sense;
using tenon::weight_code;
using test::expect_equal;
using test::expect_error;
using test::expect_ok;

/// A file of normal weights with a deviation of 0.02, quantised block by block as DeepSeek does it.
struct file {
  index_t            rows, columns;
  int                block;
  std::vector<e4m3>  weight;
  std::vector<float> weight_scale_inv;

  index_t blocks(index_t extent) const { return (extent + block - 1) / block; }

  file(index_t r, index_t c, int b, float deviation = 0.02f) : rows(r), columns(c), block(b) {
    std::mt19937               engine(9);
    std::normal_distribution<> normal(0, static_cast<double>(deviation));
    std::vector<float>         w;
    for (index_t i = 0; i < rows * columns; ++i) w.push_back(static_cast<float>(normal(engine)));
    std::vector<float> largest(static_cast<std::size_t>(blocks(rows) * blocks(columns)), 0.f);
    auto const         block_of = [&](index_t i, index_t k) {
      return static_cast<std::size_t>(i / block * blocks(columns) + k / block);
    };
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < columns; ++k)
        largest[block_of(i, k)] =
            std::max(largest[block_of(i, k)], std::fabs(w[static_cast<std::size_t>(i * columns + k)]));
    for (float const m : largest) weight_scale_inv.push_back(m / 448);
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < columns; ++k)
        weight.push_back(e4m3(w[static_cast<std::size_t>(i * columns + k)] / weight_scale_inv[block_of(i, k)]));
  }

  tenon::block_fp8_tensors tensors() const {
    return {tenon::dense(weight.data(), rows, columns),
            tenon::dense(weight_scale_inv.data(), blocks(rows), blocks(columns))};
  }
  tenon::block_fp8_options options(scale_sense sense = scale_sense::detect) const {
    return {.block_rows = block, .block_columns = block, .sense = sense};
  }
  std::vector<float> weights() const {
    std::vector<float> w;
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < columns; ++k)
        w.push_back(static_cast<float>(weight[static_cast<std::size_t>(i * columns + k)]) *
                    weight_scale_inv[static_cast<std::size_t>(i / block * blocks(columns) + k / block)]);
    return w;
  }
};

TEST(import_block_fp8, agrees_with_the_definition_over_partial_blocks) {
  for (int const block : {16, 128})
    for (auto const sense : {scale_sense::detect, scale_sense::multiplier}) {
      file const       f(150, 140, block);
      quantized_weight w;
      expect_ok(tenon::import_block_fp8(w, f.tensors(), f.options(sense)));
      EXPECT_EQ(w.format, (tenon::weight_format{.code = weight_code::fp8, .group = block, .block_rows = block}));
      EXPECT_EQ(w.dequantized(), f.weights());
    }
}

TEST(import_block_fp8, trap_the_name_taken_at_its_word) {
  file       f(150, 140, 128);
  auto const want = f.weights();
  for (float& s : f.weight_scale_inv) s = 1 / s;
  for (auto const sense : {scale_sense::detect, scale_sense::divisor}) {
    quantized_weight w;
    expect_ok(tenon::import_block_fp8(w, f.tensors(), f.options(sense)));
    auto const got = w.dequantized();
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 2e-7f * std::fabs(want[i]));
  }
  // Read as multipliers they give weights of tens of thousands, which the check of values sees too.
  quantized_weight w;
  expect_ok(tenon::import_block_fp8(w, f.tensors(), f.options(scale_sense::multiplier)));
  EXPECT_STREQ(tenon::weight_plausibility(w).reason, "weights too large: is a scale its own inverse?");
}

TEST(import_block_fp8, trap_scales_that_could_be_either) {
  file             f(64, 64, 32);
  quantized_weight w;
  w.rows = 77;
  // Scales of one: codes of any size up to 448 are too large for weights either way.
  f.weight_scale_inv.assign(f.weight_scale_inv.size(), 1.f);
  expect_error(tenon::import_block_fp8(w, f.tensors(), f.options()), errc::unsupported,
               "weight_scale_inv: multiplier or divisor? Neither gives weights");
  for (auto& c : f.weight) c = e4m3(0.5f);
  expect_error(tenon::import_block_fp8(w, f.tensors(), f.options()), errc::unsupported,
               "weight_scale_inv: multiplier or divisor? Both give weights");
  EXPECT_EQ(w.rows, 77);
  expect_ok(tenon::import_block_fp8(w, f.tensors(), f.options(scale_sense::multiplier)));
  EXPECT_EQ(w.dequantized(), f.weights());
}

TEST(import_block_fp8, a_matrix_of_zeros_has_no_sense_to_detect) {
  file f(20, 30, 16);
  f.weight.assign(f.weight.size(), e4m3(0.f));
  quantized_weight w;
  expect_ok(tenon::import_block_fp8(w, f.tensors(), f.options()));
  EXPECT_EQ(w.scales, f.weight_scale_inv);
}

TEST(import_block_fp8, round_trips) {
  for (index_t const rows : {1, 127, 130}) {
    auto from = test::random_weight(rows, 257, {.code = weight_code::fp8, .group = 128, .block_rows = 128}, 5, 0, 256);
    tenon::block_fp8_checkpoint file;
    quantized_weight            to;
    expect_ok(tenon::export_block_fp8(file, from));
    expect_ok(tenon::import_block_fp8(to, file.tensors(), file.options));
    expect_equal(to, from);
  }
}

TEST(import_block_fp8, names_what_is_wrong) {
  file             f(64, 64, 32);
  quantized_weight w;
  auto             o = f.options();
  o.block_columns    = 16;
  expect_error(tenon::import_block_fp8(w, f.tensors(), o), errc::shape_mismatch, "groups");
  o            = f.options();
  o.block_rows = 64;
  expect_error(tenon::import_block_fp8(w, f.tensors(), o), errc::shape_mismatch, "blocks of outputs");
  f.weight_scale_inv[2] = 0;
  expect_error(tenon::import_block_fp8(w, f.tensors(), f.options(scale_sense::divisor)), errc::out_of_range,
               "weight_scale_inv: a divisor of 0");
  f.weight_scale_inv[2] = std::numeric_limits<float>::quiet_NaN();
  auto const s          = tenon::import_block_fp8(w, f.tensors(), f.options());
  expect_error(s, errc::out_of_range, "weight_scale");
  EXPECT_STREQ(s.primitive, "import_block_fp8");
  EXPECT_EQ(s.got, 2);
  tenon::block_fp8_checkpoint to;
  expect_error(tenon::export_block_fp8(to, test::random_int4(8, 8, 0, false, 1)), errc::unsupported,
               "code: float-quantized has fp8 only");
}

}  // namespace
