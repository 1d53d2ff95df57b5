#include <tenon/quant/import_modelopt.hpp>

#include <gtest/gtest.h>

#include "random_weight.hpp"

namespace {

using tenon::errc;
using tenon::index_t;
using tenon::quantized_weight;
using test::expect_equal;
using test::expect_error;
using test::expect_ok;

TEST(import_modelopt_int4, reads_hand_made_bytes) {
  // Output 0 in the low nibbles, output 1 in the high ones, two's complement: f is -1, 8 is -8.
  std::vector<std::uint8_t> const weight = {0x10, 0xf2, 0x87, 0x78};
  std::vector<float> const        scale = {1, 2, 4, 8}, ones(4, 1.f), other = {1, 1, 0.5f, 1};
  quantized_weight                w;
  tenon::modelopt_int4_tensors    in{.weight       = tenon::dense(weight.data(), 1, 4),
                                     .weight_scale = tenon::dense(scale.data(), 2, 2)};
  expect_ok(tenon::import_modelopt_int4(w, in, {.group_size = 2}));
  EXPECT_EQ(to_string(w.format), "int4, groups of 2");
  EXPECT_EQ(w.dequantized(), (std::vector<float>{0, 2, 14, -16, 4, -4, -64, 56}));
  in.pre_quant_scale = tenon::dense(ones.data(), 4);
  expect_ok(tenon::import_modelopt_int4(w, in, {.group_size = 2}));
  in.pre_quant_scale = tenon::dense(other.data(), 4);
  auto const s       = tenon::import_modelopt_int4(w, in, {.group_size = 2});
  expect_error(s, errc::unsupported, "pre_quant_scale: fold it into what comes before");
  EXPECT_EQ(s.got, 2);
  in.pre_quant_scale = tenon::dense(ones.data(), 3);
  expect_error(tenon::import_modelopt_int4(w, in, {.group_size = 2}), errc::shape_mismatch, "inputs");
  in.pre_quant_scale = {};
  expect_error(tenon::import_modelopt_int4(w, in, {.group_size = 1}), errc::shape_mismatch, "groups");
  in.weight.extent[0] = 0x7fffffff;
  expect_error(tenon::import_modelopt_int4(w, in, {.group_size = 2}), errc::out_of_range, "outputs");
}

TEST(import_modelopt_int4, round_trips) {
  for (int const group : {0, 8, 15}) {
    auto const                                   from = test::random_int4(14, 41, group, false, 2);
    tenon::modelopt_int4_checkpoint<tenon::bf16> file;
    quantized_weight                             to;
    expect_ok(tenon::export_modelopt_int4(file, from));
    expect_ok(tenon::import_modelopt_int4(to, file.tensors(), file.options));
    expect_equal(to, from);
  }
}

TEST(export_modelopt_int4, refuses_what_the_format_cannot_say) {
  tenon::modelopt_int4_checkpoint<> file;
  expect_error(tenon::export_modelopt_int4(file, test::random_int4(14, 8, 0, true, 1)), errc::unsupported,
               "zero_points: the format has none");
  expect_error(tenon::export_modelopt_int4(file, test::random_int4(13, 8, 0, false, 1)), errc::shape_mismatch,
               "outputs % 2");
  auto w = test::random_int4(14, 8, 4, false, 1);
  test::shuffle_order(w, 3);
  expect_error(tenon::export_modelopt_int4(file, w), errc::unsupported, "order: the format has none");
}

}  // namespace
