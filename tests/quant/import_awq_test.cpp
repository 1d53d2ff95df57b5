#include <tenon/quant/import_awq.hpp>

#include <gtest/gtest.h>

#include <limits>

#include "random_weight.hpp"

namespace {

using tenon::index_t;
using tenon::quantized_weight;
using tenon::weight_code;
using test::expect_equal;
using test::expect_error;
using test::random_int4;

// Sixteen outputs, two inputs, one group. Nibbles, lowest first, hold outputs 0 2 4 6 1 3 5 7 of eight, so outputs that
// hold 0..7 give the digits 7 5 3 1 6 4 2 0 from the highest down.
struct golden {
  std::vector<std::int32_t> qweight = {0x75316420, static_cast<std::int32_t>(0xfdb9eca8),   // input 0: 0..7, 8..15
                                       0x00000010, static_cast<std::int32_t>(0x80000000)};  // input 1: out 2, out 15
  std::vector<std::int32_t> qzeros  = {0x11111111, 0x75316420};
  std::vector<float>        scales  = std::vector<float>(16, 1.f);

  tenon::awq_tensors tensors() const {
    return {tenon::dense(qweight.data(), 2, 2), tenon::dense(qzeros.data(), 1, 2), tenon::dense(scales.data(), 1, 16)};
  }
};

TEST(import_awq, reads_the_words_of_the_gemm_version) {
  golden const     g;
  quantized_weight w;
  ASSERT_TRUE(tenon::import_awq(w, g.tensors(), {.group_size = 2}).ok());
  ASSERT_EQ(w.rows, 16);
  ASSERT_EQ(w.columns, 2);
  EXPECT_EQ(to_string(w.format), "int4, one scale per row, zero points");
  for (index_t i = 0; i < 16; ++i) {
    int const z = i < 8 ? 1 : static_cast<int>(i) - 8;
    EXPECT_EQ(w.number(i, 0), static_cast<float>(i - z)) << i;
    EXPECT_EQ(w.number(i, 1), static_cast<float>((i == 2 ? 1 : i == 15 ? 8 : 0) - z)) << i;
  }
}

// One-hot: the only bit set of a word is one output's.
TEST(import_awq, every_nibble_is_one_output) {
  // Output of nibble 0..7, written out by hand: the even outputs, then the odd ones.
  index_t const output[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (int n = 0; n < 8; ++n) {
    golden g;
    g.qweight.assign(4, 0), g.qzeros.assign(2, 0);
    g.qweight[1] = static_cast<std::int32_t>(9u << (4 * n));
    g.qzeros[1]  = static_cast<std::int32_t>(3u << (4 * n));
    quantized_weight w;
    ASSERT_TRUE(tenon::import_awq(w, g.tensors(), {.group_size = -1}).ok());
    for (index_t i = 0; i < 16; ++i) {
      EXPECT_EQ(w.codes[static_cast<std::size_t>(2 * i)], i == 8 + output[n] ? 9 : 0);
      EXPECT_EQ(w.zeros[static_cast<std::size_t>(i)], i == 8 + output[n] ? 3 : 0);
    }
  }
}

TEST(import_awq, reads_the_words_of_the_gemv_version) {
  // Two outputs, sixteen inputs in two groups of eight: one word of zero points, rounded up to four; eight scales each.
  std::vector<std::int32_t> const qweight = {0x76543210, static_cast<std::int32_t>(0xfedcba98), 0x01234567, 0x00000005};
  std::vector<std::int32_t>       qzeros(8), scales_bits;
  qzeros[0] = 0x21, qzeros[4] = 0x43;
  std::vector<float> scales(64, std::numeric_limits<float>::quiet_NaN());  // the padding is not read
  scales[0] = 1, scales[1] = 2, scales[32] = 3, scales[33] = 4;
  quantized_weight w;
  ASSERT_TRUE(tenon::import_awq(w,
                                {tenon::dense(qweight.data(), 2, 2), tenon::dense(qzeros.data(), 2, 4),
                                 tenon::dense(scales.data(), 2, 32)},
                                {.group_size = 8, .version = tenon::awq_version::gemv})
                  .ok());
  for (index_t k = 0; k < 16; ++k) {
    EXPECT_EQ(w.scale(0, k) * w.number(0, k), static_cast<float>(k < 8 ? k - 1 : 2 * (k - 2)));
    float const q = static_cast<float>(k < 8 ? 7 - k : k == 8 ? 5 : 0);
    EXPECT_EQ(w.scale(1, k) * w.number(1, k), k < 8 ? 3 * (q - 3) : 4 * (q - 4));
  }
}

TEST(import_awq, leaves_out_zero_points_that_are_all_eight) {
  golden g;
  g.qzeros.assign(2, static_cast<std::int32_t>(0x88888888));
  quantized_weight w;
  ASSERT_TRUE(tenon::import_awq(w, g.tensors(), {.group_size = 2}).ok());
  EXPECT_FALSE(w.format.zero_points);
  EXPECT_TRUE(w.zeros.empty());
  EXPECT_EQ(w.number(5, 0), -3.f);
}

struct shape {
  index_t rows, columns;
  int     group;
};

TEST(import_awq, round_trips) {
  for (auto const version : {tenon::awq_version::gemm, tenon::awq_version::gemv})
    for (bool const zero_points : {false, true})
      for (shape const s : {shape{8, 8, 0}, shape{24, 40, 8}, shape{136, 72, 24}, shape{40, 96, 32}, shape{8, 256, 64},
                            shape{16, 512, 128}, shape{0, 64, 32}, shape{16, 0, 0}}) {
        SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.columns) + ", " + name_of(version));
        auto const              from = random_int4(s.rows, s.columns, s.group, zero_points && s.columns > 0, 7);
        tenon::awq_checkpoint<> file, again;
        tenon::quantized_weight to;
        ASSERT_TRUE(tenon::export_awq(file, from, version).ok());
        auto const st = tenon::import_awq(to, file.tensors(), file.options);
        ASSERT_TRUE(st.ok()) << st.subject << " " << st.got << " " << st.want;
        if (!from.codes.empty()) expect_equal(to, from);
        ASSERT_TRUE(tenon::export_awq(again, to, version).ok());
        EXPECT_EQ(again.qweight, file.qweight);
        EXPECT_EQ(again.qzeros, file.qzeros);
      }
}

TEST(import_awq, takes_any_strides_and_scale_elements) {
  auto const                         from = random_int4(16, 24, 8, true, 3);
  tenon::awq_checkpoint<tenon::bf16> file;
  tenon::quantized_weight            to;
  // bf16 keeps eight bits of a scale: the exporter rounds.
  ASSERT_TRUE(tenon::export_awq(file, from).ok());
  std::vector<std::int32_t> wide(static_cast<std::size_t>(24 * 5), -1);
  for (std::size_t k = 0; k < 24; ++k)
    for (std::size_t c = 0; c < 2; ++c) wide[5 * k + 2 * c] = file.qweight[2 * k + c];
  auto in    = file.tensors();
  in.qweight = {wide.data(), {24, 2}, {5, 2}};
  ASSERT_TRUE(tenon::import_awq(to, in, file.options).ok());
  EXPECT_EQ(to.codes, from.codes);
  for (std::size_t i = 0; i < to.scales.size(); ++i)
    EXPECT_EQ(to.scales[i], static_cast<float>(tenon::bf16(from.scales[i])));
}

TEST(import_awq, names_what_is_wrong_and_leaves_the_output) {
  golden           g;
  quantized_weight w;
  w.rows          = 77;
  auto const with = [&](auto const& change) {
    auto in = g.tensors();
    change(in);
    return tenon::import_awq(w, in, {.group_size = 2});
  };
  using tenon::errc;
  expect_error(tenon::import_awq(w, g.tensors(), {.group_size = 3}), errc::shape_mismatch, "inputs % group_size");
  expect_error(tenon::import_awq(w, g.tensors(), {.group_size = 1}), errc::shape_mismatch, "groups");
  expect_error(with([](auto& in) { in.qzeros.extent[1] = 1; }), errc::shape_mismatch, "words of qzeros");
  expect_error(with([&](auto& in) { in.scales = tenon::dense(g.scales.data(), 1, 8); }), errc::shape_mismatch,
               "outputs");
  expect_error(with([](auto& in) { in.qweight.extent[0] = -1; }), errc::out_of_range, "qweight");
  expect_error(with([](auto& in) { in.qweight.extent[0] = index_t{1} << 62; }), errc::out_of_range, "qweight");
  expect_error(with([](auto& in) { in.qweight.extent[1] = 0x7fffffff; }), errc::out_of_range, "outputs");
  expect_error(with([](auto& in) { in.qweight.data = nullptr; }), errc::out_of_range, "qweight");
  expect_error(with([](auto& in) {
                 in.qweight.data =
                     reinterpret_cast<std::int32_t const*>(reinterpret_cast<char const*>(in.qweight.data) + 2);
               }),
               errc::misaligned, "qweight");
  expect_error(tenon::import_awq(w, g.tensors(), {.group_size = 2, .version = tenon::awq_version::gemv}),
               errc::shape_mismatch, "outputs");
  g.scales[3] = std::numeric_limits<float>::infinity();
  expect_error(with([](auto&) {}), errc::out_of_range, "scales");
  EXPECT_EQ(w.rows, 77);
}

TEST(import_awq, refuses_more_codes_than_a_matrix_has_before_it_allocates) {
  // Strides of 0: one word stands for all, so that the extents are all there is.
  std::int32_t const word  = 0;
  float const        scale = 1;
  quantized_weight   w;
  auto const         s = tenon::import_awq(w,
                                           {{&word, {1 << 30, 1 << 20}, {0, 0}},
                                            {&word, {1 << 30, 1 << 20}, {0, 0}},
                                            tenon::tensor_view<float const, 2>{&scale, {1 << 30, 1 << 23}, {0, 0}}},
                                           {.group_size = 1});
  expect_error(s, tenon::errc::out_of_range, "rows * columns");
}

TEST(export_awq, refuses_what_the_format_cannot_say) {
  using tenon::errc;
  tenon::awq_checkpoint<> file;
  auto                    w = random_int4(8, 16, 8, true, 1);
  w.order.resize(16);
  for (int j = 0; j < 16; ++j) w.order[static_cast<std::size_t>(j)] = 15 - j;
  expect_error(tenon::export_awq(file, w), errc::unsupported, "order: AWQ has none");
  w.order[3] = w.order[4];
  expect_error(tenon::export_awq(file, w), errc::out_of_range, "order: not a permutation");
  w.order.clear();
  w.format.group = 0;
  expect_error(tenon::export_awq(file, w), errc::shape_mismatch, "scales");
  expect_error(tenon::export_awq(file, random_int4(7, 16, 8, true, 1)), errc::shape_mismatch, "outputs % 8");
  expect_error(tenon::export_awq(file, random_int4(8, 12, 4, true, 1), tenon::awq_version::gemv), errc::shape_mismatch,
               "inputs % 8");
  expect_error(tenon::export_awq(file, random_int4(8, 12, 8, true, 1)), errc::shape_mismatch, "inputs % group");
  w           = random_int4(8, 16, 8, true, 1);
  w.scales[1] = 1e-9f;
  expect_error(tenon::export_awq(file, w), errc::out_of_range, "scales: outside the range of the file's element");
  w          = random_int4(8, 16, 8, true, 1);
  w.codes[5] = 16;
  expect_error(tenon::export_awq(file, w), errc::out_of_range, "codes");
  w             = random_int4(8, 16, 8, false, 1);
  w.format.code = weight_code::int8;
  expect_error(tenon::export_awq(file, w), errc::unsupported, "code: AWQ has int4 only");
}

}  // namespace
