#include <tenon/quant/import_compressed_tensors.hpp>

#include <gtest/gtest.h>

#include <limits>

#include "random_weight.hpp"

namespace {

using tenon::e4m3;
using tenon::errc;
using tenon::index_t;
using tenon::on_contradiction;
using tenon::quantized_weight;
using tenon::weight_code;
using test::expect_equal;
using test::expect_error;
using test::expect_ok;

/// Signed values along a vector, as the format defines them: plus 2^(bits - 1), floor(32 / bits) to a word, lowest first.
std::vector<std::int32_t> pack(std::vector<int> const& v, int bits) {
  std::size_t const          per_word = 32 / static_cast<std::size_t>(bits);
  std::vector<std::uint32_t> words((v.size() + per_word - 1) / per_word);
  for (std::size_t i = 0; i < v.size(); ++i)
    words[i / per_word] |= static_cast<std::uint32_t>(v[i] + (1 << (bits - 1)))
                           << (i % per_word * static_cast<std::size_t>(bits));
  return {words.begin(), words.end()};
}

/// A pack-quantized file of random values, and what its weights are by the definition.
struct file {
  index_t                       rows, columns;
  tenon::pack_quantized_options options;
  std::vector<int>              q, z;  // (rows, columns), (rows, groups): signed
  std::vector<std::int32_t>     weight_packed, weight_zero_point, weight_g_idx;
  std::vector<std::int64_t>     weight_shape;
  std::vector<float>            weight_scale;

  index_t group() const { return options.group_size > 0 ? options.group_size : columns; }
  index_t groups() const { return (columns + group() - 1) / group(); }
  index_t per_word() const { return 32 / options.num_bits; }

  file(index_t r, index_t c, tenon::pack_quantized_options o, unsigned seed = 1)
      : rows(r), columns(c), options(o), weight_shape{r, c} {
    std::mt19937 engine(seed);
    int const    half = 1 << (options.num_bits - 1);
    auto const   any  = [&] { return static_cast<int>(engine() % static_cast<unsigned>(2 * half)) - half; };
    for (index_t i = 0; i < rows * columns; ++i) q.push_back(any());
    for (index_t i = 0; i < rows * groups(); ++i) {
      z.push_back(options.symmetric || options.num_bits == 8 ? 0 : any());
      weight_scale.push_back(static_cast<float>(1 + engine() % 200) / 1024);
    }
    store();
  }

  void store() {
    weight_packed.clear();
    for (index_t i = 0; i < rows; ++i)
      for (auto const word : pack({q.begin() + i * columns, q.begin() + (i + 1) * columns}, options.num_bits))
        weight_packed.push_back(word);
    index_t const words = (rows + per_word() - 1) / per_word();
    weight_zero_point.assign(static_cast<std::size_t>(words * groups()), 0);
    for (index_t g = 0; g < groups(); ++g) {
      std::vector<int> column;
      for (index_t i = 0; i < rows; ++i) column.push_back(z[static_cast<std::size_t>(i * groups() + g)]);
      auto const packed = pack(column, options.num_bits);
      for (index_t i = 0; i < words; ++i)
        weight_zero_point[static_cast<std::size_t>(i * groups() + g)] = packed[static_cast<std::size_t>(i)];
    }
  }

  tenon::pack_quantized_tensors tensors() const {
    index_t const                 words = (rows + per_word() - 1) / per_word();
    tenon::pack_quantized_tensors t{
        .weight_packed = tenon::dense(weight_packed.data(), rows, (columns + per_word() - 1) / per_word()),
        .weight_scale  = tenon::dense(weight_scale.data(), rows, groups()),
        .weight_shape  = tenon::dense(weight_shape.data(), 2)};
    if (!options.symmetric) t.weight_zero_point = tenon::dense(weight_zero_point.data(), words, groups());
    if (!weight_g_idx.empty()) t.weight_g_idx = tenon::dense(weight_g_idx.data(), columns);
    return t;
  }

  std::vector<float> weights() const {
    std::vector<float> w;
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < columns; ++k) {
        index_t const g  = weight_g_idx.empty() ? k / group() : weight_g_idx[static_cast<std::size_t>(k)];
        auto const    at = static_cast<std::size_t>(i * groups() + g);
        w.push_back(weight_scale[at] * static_cast<float>(q[static_cast<std::size_t>(i * columns + k)] - z[at]));
      }
    return w;
  }
};

// One output of nine inputs: a full word and one field of the next; -8 is stored as 0, so padding is not weights of -8.
TEST(import_pack_quantized, reads_hand_made_words) {
  std::vector<std::int32_t> const packed = {static_cast<std::int32_t>(0xf0987654), 0x00000003};
  std::vector<float> const        scale  = {0.5f, 4.f};
  std::vector<std::int32_t> const shape = {1, 9}, zero = {0x0000000a, 0x00000007};
  tenon::pack_quantized_tensors   in{.weight_packed = tenon::dense(packed.data(), 1, 2),
                                     .weight_scale  = tenon::dense(scale.data(), 1, 2),
                                     .weight_shape  = tenon::dense(shape.data(), 2)};
  quantized_weight                w;
  expect_ok(tenon::import_pack_quantized(w, in, {.group_size = 5}));
  EXPECT_EQ(to_string(w.format), "int4, groups of 5");
  EXPECT_EQ(w.dequantized(), (std::vector<float>{-2, -1.5, -1, -0.5, 0, 4, -32, 28, -20}));
  in.weight_zero_point = tenon::dense(zero.data(), 1, 2);  // 10 - 8 and 7 - 8
  expect_ok(tenon::import_pack_quantized(w, in, {.group_size = 5, .symmetric = false}));
  EXPECT_EQ(w.dequantized(), (std::vector<float>{-3, -2.5, -2, -1.5, -1, 8, -28, 32, -16}));
}

TEST(import_pack_quantized, every_width_agrees_with_the_definition) {
  for (int const bits : {2, 3, 4, 5, 6, 7, 8})
    for (bool const symmetric : {true, false})
      for (int const group_size : {-1, 8, 13}) {
        file const       f(11, 37, {.num_bits = bits, .group_size = group_size, .symmetric = symmetric}, 3);
        quantized_weight w;
        expect_ok(tenon::import_pack_quantized(w, f.tensors(), f.options));
        EXPECT_EQ(w.dequantized(), f.weights()) << bits << " bits";
        EXPECT_EQ(w.format.code, bits > 4 ? weight_code::int8 : weight_code::int4);
        EXPECT_EQ(w.format.zero_points, bits == 4 && !symmetric);
      }
}

TEST(import_pack_quantized, takes_either_integer_for_the_shape_and_none) {
  file const                      f(4, 21, {.group_size = 7});
  std::vector<std::int32_t> const narrow = {4, 21};
  quantized_weight                w, padded;
  auto                            in = f.tensors();
  in.weight_shape                    = tenon::dense(narrow.data(), 2);
  expect_ok(tenon::import_pack_quantized(w, in, f.options));
  EXPECT_EQ(w.dequantized(), f.weights());
  in.weight_shape = {};  // 24 inputs, then
  expect_error(tenon::import_pack_quantized(padded, in, f.options), errc::shape_mismatch, "groups");
}

TEST(import_pack_quantized, one_scale_for_the_whole_matrix) {
  file             f(5, 8, {});
  quantized_weight w;
  auto             in = f.tensors();
  in.weight_scale     = tenon::dense(f.weight_scale.data(), 1);
  expect_ok(tenon::import_pack_quantized(w, in, f.options));
  EXPECT_EQ(w.scales, std::vector<float>(5, f.weight_scale[0]));
}

TEST(import_pack_quantized, sorts_inputs_by_group) {
  for (int const bits : {3, 4, 8})
    for (bool const symmetric : {true, false}) {
      file f(6, 40, {.num_bits = bits, .group_size = 16, .symmetric = symmetric});
      for (std::int32_t k = 0; k < 40; ++k) f.weight_g_idx.push_back(k / 16);
      std::shuffle(f.weight_g_idx.begin(), f.weight_g_idx.end(), std::mt19937(4));
      quantized_weight w;
      expect_ok(tenon::import_pack_quantized(w, f.tensors(), f.options));
      EXPECT_EQ(w.order.size(), 40u);
      EXPECT_EQ(w.dequantized(), f.weights());
    }
}

TEST(import_pack_quantized, trap_an_order_that_was_never_written) {
  file             f(6, 40, {.group_size = 8});
  auto const       weights = f.weights();
  quantized_weight w;
  f.weight_g_idx.assign(40, -1);
  expect_ok(tenon::import_pack_quantized(w, f.tensors(), f.options));
  EXPECT_TRUE(w.order.empty());
  EXPECT_EQ(w.dequantized(), weights);
  f.weight_g_idx[7] = 0;
  expect_error(tenon::import_pack_quantized(w, f.tensors(), f.options), errc::out_of_range, "weight_g_idx");
}

TEST(import_pack_quantized, trap_symmetry_that_the_zero_points_contradict) {
  file             f(6, 40, {.group_size = 8, .symmetric = false});
  quantized_weight w;
  auto             in = f.tensors();
  expect_error(tenon::import_pack_quantized(w, in, {.group_size = 8, .symmetric = true}), errc::unsupported,
               "weight_zero_point: declared symmetric, but one is not 0");
  expect_ok(tenon::import_pack_quantized(
      w, in, {.group_size = 8, .symmetric = true, .policy = on_contradiction::trust_the_file}));
  EXPECT_EQ(w.dequantized(), f.weights());
  in.weight_zero_point = {};
  expect_error(tenon::import_pack_quantized(w, in, {.group_size = 8, .symmetric = false}), errc::unsupported,
               "weight_zero_point: declared asymmetric, but there is none");
}

TEST(import_pack_quantized, round_trips) {
  for (int const bits : {2, 3, 4, 5, 6, 7, 8})
    for (bool const ordered : {false, true})
      for (int const group : {0, 8, 15}) {
        int const  count = 1 << bits, lowest = bits <= 4 ? 8 - count / 2 : -count / 2;
        auto const code = bits <= 4 ? weight_code::int4 : weight_code::int8;
        auto from = test::random_weight(13, 41, {.code = code, .group = group, .zero_points = bits == 4 && ordered},
                                        static_cast<unsigned>(bits), lowest, count);
        if (ordered && group > 0) test::shuffle_order(from, 6);
        tenon::pack_quantized_checkpoint<tenon::bf16> file, again;
        quantized_weight                              to;
        expect_ok(tenon::export_pack_quantized(file, from, bits));
        expect_ok(tenon::import_pack_quantized(to, file.tensors(), file.options));
        expect_equal(to, from);
        expect_ok(tenon::export_pack_quantized(again, to, bits));
        EXPECT_EQ(again.weight_packed, file.weight_packed);
        EXPECT_EQ(again.weight_zero_point, file.weight_zero_point);
        EXPECT_EQ(again.weight_g_idx, file.weight_g_idx);
      }
}

TEST(import_pack_quantized, exported_words_are_those_of_the_file) {
  for (bool const symmetric : {true, false}) {
    file const                         f(9, 43, {.group_size = 8, .symmetric = symmetric});
    tenon::pack_quantized_checkpoint<> back;
    quantized_weight                   w;
    expect_ok(tenon::import_pack_quantized(w, f.tensors(), f.options));
    expect_ok(tenon::export_pack_quantized(back, w));
    EXPECT_EQ(back.weight_packed, f.weight_packed);
    EXPECT_EQ(back.weight_scale, f.weight_scale);
    EXPECT_EQ(back.weight_shape, f.weight_shape);
    EXPECT_EQ(back.options.symmetric, symmetric);
    // Nine outputs: the words of the file pad the last seven with 0, and so does the exporter.
    EXPECT_EQ(back.weight_zero_point, symmetric ? std::vector<std::int32_t>{} : f.weight_zero_point);
  }
}

TEST(import_pack_quantized, names_what_is_wrong_and_leaves_the_output) {
  file             f(9, 43, {.group_size = 8, .symmetric = false});
  quantized_weight w;
  w.rows          = 77;
  auto const with = [&](auto const& change) {
    auto in      = f.tensors();
    auto options = f.options;
    change(in, options);
    return tenon::import_pack_quantized(w, in, options);
  };
  expect_error(with([](auto&, auto& o) { o.num_bits = 9; }), errc::unsupported, "num_bits");
  expect_error(with([](auto&, auto& o) { o.num_bits = 1; }), errc::unsupported, "num_bits");
  expect_error(with([](auto&, auto& o) { o.group_size = 6; }), errc::shape_mismatch, "groups");
  expect_error(with([](auto& in, auto&) { in.weight_zero_point.extent[0] = 1; }), errc::shape_mismatch,
               "words of weight_zero_point");
  expect_error(with([&](auto& in, auto&) { in.weight_scale = tenon::dense(f.weight_scale.data(), 8, 6); }),
               errc::shape_mismatch, "outputs");
  std::vector<std::int64_t> shape = {9, 49};
  auto const                set   = [&](auto& in, auto&) { in.weight_shape = tenon::dense(shape.data(), 2); };
  expect_error(with(set), errc::shape_mismatch, "weight_shape: inputs");
  shape = {9, 40};
  expect_error(with(set), errc::shape_mismatch, "weight_shape: inputs");
  shape = {9, -3};
  expect_error(with(set), errc::shape_mismatch, "weight_shape: inputs");
  shape = {8, 43};
  expect_error(with(set), errc::shape_mismatch, "weight_shape: outputs");
  expect_error(with([](auto& in, auto&) { in.weight_shape.wide.extent[0] = 1; }), errc::shape_mismatch,
               "elements of weight_shape");
  expect_error(with([](auto& in, auto&) { in.weight_packed.extent[1] = index_t{1} << 40; }), errc::out_of_range,
               "weight_packed");
  expect_error(with([](auto& in, auto&) {
                 in.weight_packed.extent[1] = 0x7fffffff;
                 in.weight_shape            = {};
               }),
               errc::out_of_range, "inputs");
  f.weight_g_idx.assign(42, 0);
  expect_error(with([&](auto& in, auto&) { in.weight_g_idx = tenon::dense(f.weight_g_idx.data(), 42); }),
               errc::shape_mismatch, "inputs");
  f.weight_g_idx.clear();
  f.weight_scale[1] = std::numeric_limits<float>::infinity();
  expect_error(with([](auto&, auto&) {}), errc::out_of_range, "weight_scale");
  // Eight bits with a zero point that int8 does not hold.
  file eight(9, 43, {.num_bits = 8, .group_size = 8, .symmetric = false});
  eight.z[0] = 100, eight.q[0] = -100;
  eight.store();
  expect_error(tenon::import_pack_quantized(w, eight.tensors(), eight.options), errc::unsupported,
               "weight_zero_point: an 8-bit code less its zero point is not an int8");
  EXPECT_EQ(w.rows, 77);
}

TEST(import_int_quantized, agrees_with_the_definition) {
  std::vector<std::int8_t> const weight = {-128, -1, 0, 1, 127, 2, 3, 4, 5, 6, 7, 8, 9, 10}, zero = {1, -2};
  std::vector<float> const       scales = {0.5f, 2.f, 4.f, 8.f, 16.f, 32.f, 64.f, 128.f}, input = {0.25f};
  quantized_weight               w;
  tenon::int_quantized_tensors   in{.weight       = tenon::dense(weight.data(), 2, 7),
                                    .weight_scale = tenon::dense(scales.data(), 2, 1),
                                    .input_scale  = tenon::dense(input.data(), 1)};
  expect_ok(tenon::import_int_quantized(w, in));
  EXPECT_EQ(w.dequantized(), (std::vector<float>{-64, -0.5, 0, 0.5, 63.5, 1, 1.5, 8, 10, 12, 14, 16, 18, 20}));
  EXPECT_EQ(w.input_scale, 0.25f);
  in.weight_scale = tenon::dense(scales.data(), 1);  // one for the whole matrix
  expect_ok(tenon::import_int_quantized(w, in));
  EXPECT_EQ(w.scales, (std::vector<float>{0.5f, 0.5f}));
  in.weight_scale = tenon::dense(scales.data(), 2, 4);  // groups of 2, the last of 1
  expect_ok(tenon::import_int_quantized(w, in, {.group_size = 2}));
  EXPECT_EQ(w.dequantized(), (std::vector<float>{-64, -0.5, 0, 2, 508, 8, 24, 64, 80, 192, 224, 512, 576, 1280}));
  // Zero points are subtracted where int8 holds the difference.
  in.weight            = tenon::dense(weight.data() + 1, 2, 6);
  in.weight_scale      = tenon::dense(scales.data(), 2, 1);
  in.weight_zero_point = tenon::dense(zero.data(), 2, 1);
  expect_ok(tenon::import_int_quantized(w, in));
  EXPECT_EQ(w.dequantized(), (std::vector<float>{-1, -0.5, 0, 63, 0.5, 1, 12, 14, 16, 18, 20, 22}));
  in.weight_zero_point = tenon::dense(zero.data() + 1, 1, 1);
  expect_error(tenon::import_int_quantized(w, in), errc::unsupported,
               "weight_zero_point: a code less its zero point is not an int8");
  in.input_zero_point = tenon::dense(zero.data(), 1);
  expect_error(tenon::import_int_quantized(w, in), errc::unsupported, "input_zero_point");
  in.input_zero_point  = {};
  in.weight_zero_point = tenon::dense(zero.data(), 2, 2);
  expect_error(tenon::import_int_quantized(w, in), errc::shape_mismatch, "groups");
  in.weight_zero_point = {};
  in.input_scale       = tenon::dense(scales.data(), 2);
  expect_error(tenon::import_int_quantized(w, in), errc::shape_mismatch, "elements of input_scale");
  in.weight_scale = tenon::dense(scales.data(), 2, 2);
  expect_error(tenon::import_int_quantized(w, in), errc::shape_mismatch, "groups");
}

TEST(import_int_quantized, round_trips) {
  for (int const group : {0, 8, 15}) {
    auto from        = test::random_weight(13, 41, {.code = weight_code::int8, .group = group}, 5, 0, 256);
    from.input_scale = 0.125f;
    tenon::int_quantized_checkpoint<tenon::f16> file;
    quantized_weight                            to;
    expect_ok(tenon::export_int_quantized(file, from));
    expect_ok(tenon::import_int_quantized(to, file.tensors(), file.options));
    expect_equal(to, from);
  }
}

TEST(import_float_quantized, agrees_with_the_definition) {
  // 0x38 is 1, 0x40 is 2, 0xb8 is -1, 0x7e is 448, 0x01 is 2^-9.
  std::vector<e4m3> weight;
  for (int const bits : {0x38, 0x40, 0xb8, 0x7e, 0x01, 0x00})
    weight.push_back(e4m3::from_bits(static_cast<std::uint8_t>(bits)));
  std::vector<float> const       scales = {0.5f, 2.f, 4.f, 8.f}, input = {3.f};
  quantized_weight               w;
  tenon::float_quantized_tensors in{.weight       = tenon::dense(weight.data(), 2, 3),
                                    .weight_scale = tenon::dense(scales.data(), 2, 1),
                                    .input_scale  = tenon::dense(input.data(), 1, 1)};
  expect_ok(tenon::import_float_quantized(w, in));
  EXPECT_EQ(to_string(w.format), "fp8, one scale per row");
  EXPECT_EQ(w.dequantized(), (std::vector<float>{0.5f, 1, -0.5f, 896, 1.f / 256, 0}));
  EXPECT_EQ(w.input_scale, 3.f);
  in.weight_scale = tenon::dense(scales.data() + 2, 1);
  expect_ok(tenon::import_float_quantized(w, in));
  EXPECT_EQ(w.dequantized(), (std::vector<float>{4, 8, -4, 1792, 1.f / 128, 0}));
  // Blocks of 1 x 2 and of 2 x 2: the last block has one column.
  in.weight_scale = tenon::dense(scales.data(), 2, 2);
  expect_ok(tenon::import_float_quantized(w, in, {.block_rows = 1, .group_size = 2}));
  EXPECT_EQ(w.dequantized(), (std::vector<float>{0.5f, 1, -2, 1792, 1.f / 128, 0}));
  in.weight_scale = tenon::dense(scales.data(), 1, 2);
  expect_ok(tenon::import_float_quantized(w, in, {.block_rows = 2, .group_size = 2}));
  EXPECT_EQ(to_string(w.format), "fp8, blocks of 2 x 2");
  EXPECT_EQ(w.dequantized(), (std::vector<float>{0.5f, 1, -2, 224, 1.f / 1024, 0}));
  in.weight_scale = tenon::dense(scales.data(), 1);
  expect_error(tenon::import_float_quantized(w, in, {.block_rows = 2, .group_size = 2}), errc::shape_mismatch,
               "groups");
  in.weight_scale = tenon::dense(scales.data(), 2, 2);
  expect_error(tenon::import_float_quantized(w, in, {.block_rows = 2, .group_size = 2}), errc::shape_mismatch,
               "blocks of outputs");
  expect_error(tenon::import_float_quantized(w, in, {.block_rows = 0, .group_size = 2}), errc::out_of_range,
               "block_rows");
}

TEST(import_float_quantized, round_trips) {
  for (int const block_rows : {1, 16})
    for (int const group : {0, 16}) {
      auto from =
          test::random_weight(37, 41, {.code = weight_code::fp8, .group = group, .block_rows = block_rows}, 5, 0, 256);
      from.input_scale = 0.125f;
      tenon::float_quantized_checkpoint<> file;
      quantized_weight                    to;
      expect_ok(tenon::export_float_quantized(file, from));
      expect_ok(tenon::import_float_quantized(to, file.tensors(), file.options));
      expect_equal(to, from);
    }
}

TEST(export_compressed_tensors, refuses_what_the_formats_cannot_say) {
  tenon::pack_quantized_checkpoint<>  packed;
  tenon::int_quantized_checkpoint<>   bytes;
  tenon::float_quantized_checkpoint<> floats;
  auto const                          four = test::random_int4(8, 16, 8, true, 1);
  auto eight = test::random_weight(8, 16, {.code = weight_code::int8, .group = 8}, 1, 0, 256);
  auto f8    = test::random_weight(8, 16, {.code = weight_code::fp8, .group = 8}, 1, 0, 256);
  expect_error(tenon::export_pack_quantized(packed, f8), errc::unsupported, "code: pack-quantized has integers only");
  expect_error(tenon::export_pack_quantized(packed, four, 3), errc::unsupported, "bits: a group's codes span more");
  expect_error(tenon::export_pack_quantized(packed, eight, 4), errc::unsupported, "num_bits");
  expect_error(tenon::export_int_quantized(bytes, four), errc::unsupported, "code: int-quantized has int8 only");
  expect_error(tenon::export_float_quantized(floats, four), errc::unsupported, "code: float-quantized has fp8 only");
  test::shuffle_order(eight, 1);
  test::shuffle_order(f8, 1);
  expect_error(tenon::export_int_quantized(bytes, eight), errc::unsupported, "order: int-quantized has none");
  expect_error(tenon::export_float_quantized(floats, f8), errc::unsupported, "order: float-quantized has none");
  eight = test::random_weight(8, 16, {.code = weight_code::int8, .group = 8, .block_rows = 8}, 1, 0, 256);
  expect_error(tenon::export_pack_quantized(packed, eight), errc::unsupported, "block_rows");
  expect_error(tenon::export_int_quantized(bytes, eight), errc::unsupported, "block_rows");
}

}  // namespace
