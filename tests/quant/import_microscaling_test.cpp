#include <tenon/quant/import_microscaling.hpp>

#include <gtest/gtest.h>

#include "random_weight.hpp"

namespace {

using tenon::e4m3;
using tenon::errc;
using tenon::index_t;
using tenon::on_contradiction;
using tenon::quantized_weight;
using tenon::ue8m0;
using tenon::weight_code;
using test::expect_equal;
using test::expect_error;
using test::expect_ok;

// The sixteen codes of e2m1 in order: byte c holds codes 2c (low nibble) and 2c + 1.
std::vector<std::uint8_t> const all_codes = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
std::vector<float> const        numbers   = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.f, -0.5, -1, -1.5, -2, -3, -4, -6};

TEST(import_nvfp4, reads_hand_made_bytes_of_both_writers) {
  // Two outputs of 24 inputs: a group of 16 and one of 8.
  std::vector<std::uint8_t> packed = all_codes;
  packed.insert(packed.end(), {0x76, 0, 0, 0, 0, 0, 0, 0x0f});
  packed.insert(packed.end(), 8, 0x22);
  // e4m3: 0x38 is 1, 0x40 is 2, 0x30 is 0.5, 0x44 is 3.
  std::vector<e4m3> scales;
  for (int const bits : {0x38, 0x40, 0x30, 0x44}) scales.push_back(e4m3::from_bits(static_cast<std::uint8_t>(bits)));
  std::vector<float> const global = {64.f}, second = {1.f / 64};
  quantized_weight         w, m;
  expect_ok(tenon::import_nvfp4(
      w, {tenon::dense(packed.data(), 2, 12), tenon::dense(scales.data(), 2, 2), tenon::dense(global.data(), 1)}));
  EXPECT_EQ(to_string(w.format), "fp4, groups of 16");
  std::vector<float> want;
  for (float const n : numbers) want.push_back(n / 64);  // output 0, scale 1
  for (float const n : {4.f, 6.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f}) want.push_back(n * 2 / 64);
  for (float const n : {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, -6.f, 0.f}) want.push_back(n / 2 / 64);
  for (int i = 0; i < 8; ++i) want.push_back(0.5f / 64);
  for (int i = 0; i < 8; ++i) want.push_back(3.f / 64);
  EXPECT_EQ(w.dequantized(), want);
  expect_ok(tenon::import_modelopt_nvfp4(
      m, {tenon::dense(packed.data(), 2, 12), tenon::dense(scales.data(), 2, 2), tenon::dense(second.data(), 1, 1)}));
  expect_equal(m, w);
}

TEST(import_mxfp4, reads_hand_made_bytes) {
  std::vector<std::uint8_t> packed = all_codes;
  packed.insert(packed.end(), all_codes.rbegin(), all_codes.rend());
  packed.insert(packed.end(), 4, 0x31);
  std::vector<ue8m0> const scales = {ue8m0::from_bits(127 - 4), ue8m0::from_bits(127 + 3)};
  quantized_weight         w;
  expect_ok(tenon::import_mxfp4(w, {tenon::dense(packed.data(), 1, 20), tenon::dense(scales.data(), 1, 2)}));
  EXPECT_EQ(to_string(w.format), "fp4, groups of 32");
  auto const d = w.dequantized();
  for (std::size_t k = 0; k < 16; ++k) EXPECT_EQ(d[k], numbers[k] / 16);
  for (std::size_t k = 0; k < 16; ++k) EXPECT_EQ(d[16 + k], numbers[15 - (k ^ 1)] / 16);
  for (std::size_t k = 0; k < 8; ++k) EXPECT_EQ(d[32 + k], k % 2 == 0 ? 4.f : 12.f);
  // Files call these scales uint8: the view is made from the address.
  std::vector<std::uint8_t> const bytes = {123, 130};
  quantized_weight                same;
  expect_ok(tenon::import_mxfp4(
      same, {tenon::dense(packed.data(), 1, 20), {bytes.data(), tenon::scale_element::ue8m0, 1, 2}}));
  expect_equal(same, w);
}

/// Weights with a deviation of 0.02 as NVFP4: a global divisor of 448 * 6 over the largest.
quantized_weight like_weights(index_t rows, index_t columns, int group) {
  auto w   = test::random_weight(rows, columns, {.code = weight_code::fp4, .group = group}, 3, 0, 16);
  w.factor = 0.08f / (448 * 6);
  std::mt19937 engine(1);
  for (auto& s : w.scales) s = static_cast<float>(e4m3(static_cast<float>(100 + engine() % 348)));
  return w;
}

TEST(import_nvfp4, trap_the_writers_disagree_on_the_global_scale) {
  quantized_weight const      from = like_weights(32, 64, 16);
  tenon::fp4_checkpoint<e4m3> file;
  expect_ok(tenon::export_fp4(file, from));
  quantized_weight w;
  w.rows                 = 77;
  auto       in          = file.nvfp4();
  auto       opt         = file.modelopt();
  auto const swap        = in.weight_global_scale;
  in.weight_global_scale = opt.weight_scale_2;
  opt.weight_scale_2     = swap;
  expect_error(tenon::import_nvfp4(w, in), errc::unsupported,
               "weight_global_scale: gives weights as a multiplier, not as a divisor");
  expect_error(tenon::import_modelopt_nvfp4(w, opt), errc::unsupported,
               "weight_scale_2: gives weights as a divisor, not as a multiplier");
  EXPECT_EQ(w.rows, 77);
  expect_ok(tenon::import_nvfp4(w, in, {.policy = on_contradiction::trust_the_file}));
  EXPECT_STREQ(tenon::weight_plausibility(w).reason, "weights too large: is a scale its own inverse?");
}

TEST(import_nvfp4, round_trips) {
  for (index_t const columns : {2, 16, 46, 160}) {
    auto from   = like_weights(5, columns, columns > 16 ? 16 : 0);
    from.factor = 1.f / 32768;
    tenon::fp4_checkpoint<e4m3> file;
    quantized_weight            a, b;
    expect_ok(tenon::export_fp4(file, from));
    expect_ok(tenon::import_nvfp4(a, file.nvfp4()));
    expect_ok(tenon::import_modelopt_nvfp4(b, file.modelopt()));
    expect_equal(a, from);
    expect_equal(b, from);
  }
}

TEST(import_mxfp4, round_trips) {
  for (index_t const columns : {2, 32, 46, 160}) {
    auto from = test::random_weight(5, columns, {.code = weight_code::fp4, .group = columns > 32 ? 32 : 0}, 3, 0, 16);
    for (auto& s : from.scales) s = static_cast<float>(ue8m0(s));
    tenon::fp4_checkpoint<ue8m0> file;
    quantized_weight             to;
    expect_ok(tenon::export_fp4(file, from));
    expect_ok(tenon::import_mxfp4(to, file.mxfp4()));
    expect_equal(to, from);
  }
}

TEST(import_microscaling, names_what_is_wrong) {
  auto const                  from = like_weights(4, 40, 16);
  tenon::fp4_checkpoint<e4m3> file;
  expect_ok(tenon::export_fp4(file, from));
  quantized_weight w;
  auto const       with = [&](auto const& change) {
    auto in = file.nvfp4();
    change(in);
    return tenon::import_nvfp4(w, in);
  };
  std::vector<float> const three = {1, 2, 0};
  expect_error(with([&](auto& in) { in.weight_scale = tenon::dense(file.weight_scale.data(), 4, 2); }),
               errc::shape_mismatch, "groups");
  expect_error(with([&](auto& in) { in.weight_scale = tenon::dense(file.weight_scale.data(), 3, 3); }),
               errc::shape_mismatch, "outputs");
  expect_error(with([&](auto& in) { in.weight_scale = tenon::dense(three.data(), 1, 3); }), errc::unsupported,
               "weight_scale: of another element");
  expect_error(with([&](auto& in) { in.weight_global_scale = tenon::dense(three.data(), 2); }), errc::shape_mismatch,
               "weight_global_scale");
  expect_error(with([&](auto& in) { in.weight_global_scale = {}; }), errc::shape_mismatch, "weight_global_scale");
  expect_error(with([&](auto& in) { in.weight_global_scale = tenon::dense(three.data() + 2, 1); }), errc::out_of_range,
               "weight_global_scale");
  expect_error(with([&](auto& in) { in.weight_packed.extent[1] = 0x7fffffff; }), errc::out_of_range, "inputs");
  file.weight_scale[7] = e4m3::from_bits(0x7f);
  auto const s         = with([](auto&) {});
  expect_error(s, errc::out_of_range, "weight_scale");
  EXPECT_EQ(s.got, 7);
}

TEST(export_fp4, refuses_what_the_formats_cannot_say) {
  tenon::fp4_checkpoint<e4m3>  nv;
  tenon::fp4_checkpoint<ue8m0> mx;
  auto                         w = like_weights(4, 64, 16);
  expect_error(tenon::export_fp4(mx, w), errc::unsupported, "group");
  w.scales[3] = 1.03f;
  expect_error(tenon::export_fp4(nv, w), errc::unsupported, "scales: not of the file's element");
  w        = like_weights(4, 64, 16);
  w.factor = 0;
  expect_error(tenon::export_fp4(nv, w), errc::out_of_range, "factor");
  expect_error(tenon::export_fp4(nv, test::random_int4(4, 64, 16, false, 1)), errc::unsupported,
               "code: the format has fp4 only");
  expect_error(tenon::export_fp4(nv, like_weights(4, 63, 16)), errc::shape_mismatch, "inputs % 2");
}

}  // namespace
