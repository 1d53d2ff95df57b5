#include <tenon/quant/import_gptq.hpp>

#include <gtest/gtest.h>

#include <limits>

#include "random_weight.hpp"

namespace {

using tenon::errc;
using tenon::gptq_zeros;
using tenon::index_t;
using tenon::on_contradiction;
using tenon::quantized_weight;
using tenon::weight_code;
using test::expect_equal;
using test::expect_error;
using test::expect_ok;

/// The fields of one output, packed word by word as AutoGPTQ does it: for three bits ten fields, one that straddles, ten,
/// one that straddles, ten.
std::vector<std::uint32_t> pack(std::vector<std::uint32_t> const& q, int bits) {
  std::vector<std::uint32_t> words;
  if (bits != 3) {
    std::size_t const per_word = 32 / static_cast<std::size_t>(bits);
    for (std::size_t i = 0; i < q.size(); i += per_word) {
      words.push_back(0);
      for (std::size_t e = 0; e < per_word; ++e) words.back() |= q[i + e] << (static_cast<std::size_t>(bits) * e);
    }
    return words;
  }
  for (std::size_t i = 0; i < q.size(); i += 32) {
    std::uint32_t a = 0, b = 0, c = 0;
    for (std::size_t e = 0; e < 10; ++e) a |= q[i + e] << (3 * e);
    a |= q[i + 10] << 30, b |= (q[i + 10] >> 2) & 1;
    for (std::size_t e = 0; e < 10; ++e) b |= q[i + 11 + e] << (3 * e + 1);
    b |= q[i + 21] << 31, c |= (q[i + 21] >> 1) & 3;
    for (std::size_t e = 0; e < 10; ++e) c |= q[i + 22 + e] << (3 * e + 2);
    words.insert(words.end(), {a, b, c});
  }
  return words;
}

/// A file of random fields, and what its weights are by the definition.
struct file {
  index_t                    rows, columns;
  tenon::gptq_options        options;
  std::vector<std::uint32_t> q, z;  // (columns, rows), (groups, rows): the numbers, not as stored
  std::vector<std::int32_t>  qweight, qzeros, g_idx;
  std::vector<float>         scales;

  index_t group() const { return options.group_size > 0 ? options.group_size : columns; }
  index_t groups() const { return (columns + group() - 1) / group(); }

  file(index_t r, index_t c, tenon::gptq_options o, unsigned seed = 1) : rows(r), columns(c), options(o) {
    std::mt19937 engine(seed);
    auto const   top = 1u << options.bits;
    q.resize(static_cast<std::size_t>(rows * columns)), z.resize(static_cast<std::size_t>(rows * groups()));
    for (auto& v : q) v = static_cast<std::uint32_t>(engine() % top);
    for (auto& v : z) v = options.bits == 8 ? 128 : static_cast<std::uint32_t>(engine() % top);
    for (std::size_t i = 0; i < z.size(); ++i) scales.push_back(static_cast<float>(1 + engine() % 200) / 1024);
    for (index_t k = 0; k < columns; ++k) g_idx.push_back(static_cast<std::int32_t>(k / group()));
    store();
  }

  void store() {
    qweight.assign(static_cast<std::size_t>(rows * columns * options.bits / 32), 0), qzeros.clear();
    for (index_t i = 0; i < rows; ++i) {
      std::vector<std::uint32_t> column;
      for (index_t k = 0; k < columns; ++k) column.push_back(q[static_cast<std::size_t>(k * rows + i)]);
      auto const words = pack(column, options.bits);
      for (std::size_t r = 0; r < words.size(); ++r)
        qweight[r * static_cast<std::size_t>(rows) + static_cast<std::size_t>(i)] = static_cast<std::int32_t>(words[r]);
    }
    std::uint32_t const mask = (1u << options.bits) - 1, minus = options.zeros == gptq_zeros::one_less ? 1 : 0;
    for (index_t g = 0; g < groups(); ++g) {
      std::vector<std::uint32_t> row;
      for (index_t i = 0; i < rows; ++i) row.push_back((z[static_cast<std::size_t>(g * rows + i)] - minus) & mask);
      for (auto const word : pack(row, options.bits)) qzeros.push_back(static_cast<std::int32_t>(word));
    }
  }

  tenon::gptq_tensors tensors() const {
    return {tenon::dense(qweight.data(), columns * options.bits / 32, rows),
            tenon::dense(qzeros.data(), groups(), rows * options.bits / 32),
            tenon::dense(scales.data(), groups(), rows), tenon::dense(g_idx.data(), columns)};
  }

  std::vector<float> weights() const {  // (rows, columns)
    std::vector<float> w;
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < columns; ++k) {
        auto const at = static_cast<std::size_t>(g_idx[static_cast<std::size_t>(k)] * rows + i);
        w.push_back(scales[at] *
                    (static_cast<float>(q[static_cast<std::size_t>(k * rows + i)]) - static_cast<float>(z[at])));
      }
    return w;
  }
};

// Eight outputs, eight inputs: one word each. Lowest nibble = input 0; zero points along the outputs, stored as z - 1.
TEST(import_gptq, reads_hand_made_words) {
  std::vector<std::int32_t> const qweight = {0x76543210, static_cast<std::int32_t>(0xfedcba98),
                                             0x0000000f, static_cast<std::int32_t>(0xf0000000),
                                             0,          0x11111111,
                                             0x00010000, static_cast<std::int32_t>(0x88888888)};
  std::vector<std::int32_t> const qzeros  = {static_cast<std::int32_t>(0xf6543210)};  // z of the outputs: 1..7, 0
  std::vector<float> const        scales  = {1, 2, 3, 4, 5, 6, 7, 8};
  quantized_weight                w;
  expect_ok(tenon::import_gptq(
      w, {tenon::dense(qweight.data(), 1, 8), tenon::dense(qzeros.data(), 1, 1), tenon::dense(scales.data(), 1, 8), {}},
      {.bits = 4, .group_size = -1, .zeros = gptq_zeros::one_less}));
  EXPECT_EQ(to_string(w.format), "int4, one scale per row, zero points");
  auto const d = w.dequantized();
  for (int k = 0; k < 8; ++k) {
    auto const row = [&](int i) { return d[static_cast<std::size_t>(8 * i + k)]; };
    EXPECT_EQ(row(0), 1.f * static_cast<float>(k - 1));
    EXPECT_EQ(row(1), 2.f * static_cast<float>(8 + k - 2));
    EXPECT_EQ(row(2), 3.f * static_cast<float>((k == 0 ? 15 : 0) - 3));
    EXPECT_EQ(row(3), 4.f * static_cast<float>((k == 7 ? 15 : 0) - 4));
    EXPECT_EQ(row(4), 5.f * -5.f);
    EXPECT_EQ(row(5), 6.f * (1 - 6));
    EXPECT_EQ(row(6), 7.f * static_cast<float>((k == 4 ? 1 : 0) - 7));
    EXPECT_EQ(row(7), 8.f * 8);  // stored 15 is 15 + 1 modulo 16, not 16
  }
}

// Three bits: fields 10 and 21 of 32 straddle words.
TEST(import_gptq, three_bit_fields_straddle_words) {
  for (int field = 0; field < 32; ++field) {
    std::vector<std::uint32_t> column(32);
    column[static_cast<std::size_t>(field)] = 5;
    auto const                words         = pack(column, 3);
    std::vector<std::int32_t> qweight(96), qzeros(3);
    for (std::size_t r = 0; r < 3; ++r) qweight[32 * r + 9] = static_cast<std::int32_t>(words[r]);  // output 9
    std::vector<float> const scales(32, 1.f);
    quantized_weight         w;
    expect_ok(tenon::import_gptq(w,
                                 {tenon::dense(qweight.data(), 3, 32),
                                  tenon::dense(qzeros.data(), 1, 3),
                                  tenon::dense(scales.data(), 1, 32),
                                  {}},
                                 {.bits = 3, .group_size = 32, .zeros = gptq_zeros::as_is}));
    for (index_t i = 0; i < 32; ++i)
      for (index_t k = 0; k < 32; ++k) EXPECT_EQ(w.number(i, k), i == 9 && k == field ? 5.f : 0.f);
  }
}

TEST(import_gptq, every_width_and_version_agrees_with_the_definition) {
  for (int const bits : {2, 3, 4, 8})
    for (auto const zeros : {gptq_zeros::one_less, gptq_zeros::as_is})
      for (int const group_size : {-1, 32, 24, 64}) {
        file const       f(32, 96, {.bits = bits, .group_size = group_size, .zeros = zeros}, 5);
        quantized_weight w;
        expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
        EXPECT_EQ(w.dequantized(), f.weights()) << bits << " bits, groups of " << group_size;
        EXPECT_EQ(w.format.code, bits == 8 ? weight_code::int8 : weight_code::int4);
        EXPECT_EQ(w.format.zero_points, bits == 4);
        EXPECT_TRUE(w.order.empty());
      }
}

// The words of version 1 plus 0x11111111 would carry from a field of 15 into its neighbour.
TEST(import_gptq, zero_points_wrap_field_by_field) {
  file f(8, 8, {.group_size = 8});
  for (std::size_t i = 0; i < 8; ++i) f.z[i] = i == 3 ? 0 : 8;
  f.store();
  EXPECT_EQ(static_cast<std::uint32_t>(f.qzeros[0]), 0x7777f777u);
  quantized_weight w;
  expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
  EXPECT_EQ(w.zeros, (std::vector<std::uint8_t>{8, 8, 8, 0, 8, 8, 8, 8}));
}

TEST(import_gptq, symmetric_files_have_no_zero_points) {
  for (int const bits : {2, 3, 4, 8})
    for (auto const zeros : {gptq_zeros::one_less, gptq_zeros::as_is}) {
      file f(32, 64, {.bits = bits, .group_size = 32, .zeros = zeros, .sym = true});
      f.z.assign(f.z.size(), 1u << (bits - 1));
      f.store();
      quantized_weight w, without;
      expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
      EXPECT_FALSE(w.format.zero_points);
      EXPECT_EQ(w.dequantized(), f.weights());
      auto in   = f.tensors();
      in.qzeros = {};
      expect_ok(tenon::import_gptq(without, in, f.options));
      expect_equal(without, w);
    }
}

TEST(import_gptq, trap_a_symmetric_file_of_the_other_version) {
  for (int const bits : {2, 3, 4, 8})
    for (auto const zeros : {gptq_zeros::one_less, gptq_zeros::as_is}) {
      file f(32, 64, {.bits = bits, .group_size = 32, .zeros = zeros});
      f.z.assign(f.z.size(), 1u << (bits - 1));
      f.store();
      if (bits == 4) {
        EXPECT_EQ(static_cast<std::uint32_t>(f.qzeros[0]), zeros == gptq_zeros::one_less ? 0x77777777u : 0x88888888u);
      }
      auto declared  = f.options;
      declared.zeros = zeros == gptq_zeros::one_less ? gptq_zeros::as_is : gptq_zeros::one_less;
      quantized_weight w;
      auto const       s = tenon::import_gptq(w, f.tensors(), declared);
      expect_error(s, errc::unsupported,
                   zeros == gptq_zeros::one_less
                       ? "qzeros: declared z (gptq_v2), but every field is a symmetric z - 1 (gptq)"
                       : "qzeros: declared z - 1 (gptq), but every field is a symmetric z (gptq_v2)");
      EXPECT_EQ(s.got, (1 << (bits - 1)) - (zeros == gptq_zeros::one_less ? 1 : 0));
      // Told to, the importer reads what is declared: every weight moves by one scale, or no longer fits.
      declared.policy = on_contradiction::trust_the_file;
      auto const t    = tenon::import_gptq(w, f.tensors(), declared);
      if (!t.ok()) {
        EXPECT_EQ(bits, 8);
        continue;
      }
      auto const  off = w.dequantized(), right = f.weights();
      float const step = zeros == gptq_zeros::one_less ? 1.f : -1.f;
      for (index_t i = 0; i < f.rows; ++i)
        for (index_t k = 0; k < f.columns; ++k) {
          auto const at = static_cast<std::size_t>(i * f.columns + k);
          EXPECT_NEAR(off[at], right[at] + step * w.scale(i, k), 1e-6f);
        }
    }
}

TEST(import_gptq, trap_declared_symmetric_with_zero_points_that_differ) {
  file             f(32, 64, {.group_size = 32, .sym = true});
  quantized_weight w;
  expect_error(tenon::import_gptq(w, f.tensors(), f.options), errc::unsupported,
               "qzeros: declared sym, but the zero points differ");
  f.options.policy = on_contradiction::trust_the_file;
  expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
  EXPECT_EQ(w.dequantized(), f.weights());
}

TEST(import_gptq, eight_bits_with_zero_points_only_where_int8_holds_the_difference) {
  file f(8, 16, {.bits = 8, .group_size = 8, .zeros = gptq_zeros::as_is});
  f.z[3] = 100;  // output 3, first group: its codes must be below 228
  for (index_t k = 0; k < 8; ++k) f.q[static_cast<std::size_t>(k * 8 + 3)] = static_cast<std::uint32_t>(220 + k);
  f.store();
  quantized_weight w;
  expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
  EXPECT_EQ(w.dequantized(), f.weights());
  f.q[static_cast<std::size_t>(7 * 8 + 3)] = 228;
  f.store();
  auto const s = tenon::import_gptq(w, f.tensors(), f.options);
  expect_error(s, errc::unsupported, "qzeros: an 8-bit code less its zero point is not an int8");
  EXPECT_EQ(s.got, 7);
}

TEST(import_gptq, sorts_inputs_by_group) {
  for (int const bits : {2, 3, 4, 8})
    for (int const group_size : {32, 24, 40}) {  // the last group of 40 has 16 inputs
      file f(32, 96, {.bits = bits, .group_size = group_size});
      std::shuffle(f.g_idx.begin(), f.g_idx.end(), std::mt19937(11));
      quantized_weight w;
      expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
      EXPECT_EQ(w.dequantized(), f.weights());
      ASSERT_EQ(w.order.size(), 96u);
      for (index_t j = 0; j < 96; ++j) {
        auto const k = static_cast<std::size_t>(w.order[static_cast<std::size_t>(j)]);
        EXPECT_EQ(f.g_idx[k], j / group_size);
        if (j % group_size != 0) {
          EXPECT_LT(w.order[static_cast<std::size_t>(j - 1)], w.order[static_cast<std::size_t>(j)]);
        }
      }
    }
}

TEST(import_gptq, refuses_groups_that_are_not_of_one_size) {
  file             f(32, 96, {.group_size = 32});
  quantized_weight w;
  f.g_idx[0]   = 1;
  auto const s = tenon::import_gptq(w, f.tensors(), f.options);
  expect_error(s, errc::unsupported, "g_idx: groups of unequal size");
  EXPECT_EQ(s.got, 31);
  EXPECT_EQ(s.want, 32);
  f.g_idx[0] = 3;
  expect_error(tenon::import_gptq(w, f.tensors(), f.options), errc::out_of_range, "g_idx");
  f.g_idx[0] = -1;
  expect_error(tenon::import_gptq(w, f.tensors(), f.options), errc::out_of_range, "g_idx");
}

TEST(import_gptq, round_trips) {
  for (bool const ordered : {false, true})
    for (auto const zeros : {gptq_zeros::one_less, gptq_zeros::as_is})
      for (int const bits : {2, 3, 4, 8})
        for (int const group : {0, 32, 40}) {
          // Fewer bits: codes around 8, which is what such a file's become.
          int const  count = bits == 8 ? 256 : 1 << bits, lowest = bits == 8 ? 0 : 8 - count / 2;
          auto const code = bits == 8 ? weight_code::int8 : weight_code::int4;
          auto from = test::random_weight(96, 128, {.code = code, .group = group, .zero_points = bits == 4 && ordered},
                                          static_cast<unsigned>(bits), lowest, count);
          if (ordered && group > 0) test::shuffle_order(from, 5);
          tenon::gptq_checkpoint<> file, again;
          quantized_weight         to;
          expect_ok(tenon::export_gptq(file, from, {.bits = bits, .zeros = zeros}));
          expect_ok(tenon::import_gptq(to, file.tensors(), file.options));
          expect_equal(to, from);
          expect_ok(tenon::export_gptq(again, to, {.bits = bits, .zeros = zeros}));
          EXPECT_EQ(again.qweight, file.qweight);
          EXPECT_EQ(again.qzeros, file.qzeros);
          EXPECT_EQ(again.g_idx, file.g_idx);
        }
}

TEST(import_gptq, exported_words_are_those_of_the_file) {
  for (int const bits : {4, 8})
    for (auto const zeros : {gptq_zeros::one_less, gptq_zeros::as_is}) {
      file                          f(32, 64, {.bits = bits, .group_size = 32, .zeros = zeros});
      tenon::gptq_checkpoint<float> back;
      quantized_weight              w;
      std::shuffle(f.g_idx.begin(), f.g_idx.end(), std::mt19937(2));
      expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
      expect_ok(tenon::export_gptq(back, w, {.zeros = zeros}));
      EXPECT_EQ(back.qweight, f.qweight);
      EXPECT_EQ(back.qzeros, f.qzeros);
      EXPECT_EQ(back.scales, f.scales);
      EXPECT_EQ(back.g_idx, f.g_idx);
    }
}

// Two and three bits keep the weights, not the zero points: any that hold the codes will do.
TEST(import_gptq, asymmetric_fields_of_three_bits_keep_their_weights) {
  for (int const bits : {2, 3}) {
    file const                    f(32, 64, {.bits = bits, .group_size = 32});
    tenon::gptq_checkpoint<float> back;
    quantized_weight              w, again;
    expect_ok(tenon::import_gptq(w, f.tensors(), f.options));
    expect_ok(tenon::export_gptq(back, w, {.bits = bits}));
    expect_ok(tenon::import_gptq(again, back.tensors(), back.options));
    expect_equal(again, w);
  }
}

TEST(import_gptq, names_what_is_wrong_and_leaves_the_output) {
  file             f(32, 96, {.group_size = 32});
  quantized_weight w;
  w.rows          = 77;
  auto const with = [&](auto const& change) {
    auto in      = f.tensors();
    auto options = f.options;
    change(in, options);
    return tenon::import_gptq(w, in, options);
  };
  expect_error(with([](auto&, auto& o) { o.bits = 5; }), errc::unsupported, "bits");
  expect_error(with([](auto&, auto& o) { o.group_size = 48; }), errc::shape_mismatch, "groups");
  expect_error(with([](auto& in, auto&) { in.qzeros.extent[1] = 5; }), errc::shape_mismatch, "words of qzeros");
  expect_error(with([](auto& in, auto&) { in.g_idx.extent[0] = 95; }), errc::shape_mismatch, "inputs");
  expect_error(with([&](auto& in, auto&) { in.scales = tenon::dense(f.scales.data(), 3, 31); }), errc::shape_mismatch,
               "outputs");
  expect_error(with([](auto& in, auto&) { in.scales = {}; }), errc::shape_mismatch, "groups");
  expect_error(with([](auto& in, auto& o) { in.qweight.extent[0] = 10, o.bits = 3; }), errc::shape_mismatch,
               "words of qweight % 3");
  expect_error(with([](auto& in, auto&) { in.qweight.extent[1] = 31; }), errc::shape_mismatch, "outputs * bits % 32");
  expect_error(with([](auto& in, auto&) { in.qweight.extent[0] = 0x7fffffff; }), errc::out_of_range, "inputs");
  expect_error(with([](auto& in, auto&) { in.g_idx.extent[0] = -4; }), errc::out_of_range, "g_idx");
  expect_error(with([](auto& in, auto&) { in.qzeros.data = nullptr; }), errc::out_of_range, "qzeros");
  expect_error(with([](auto& in, auto&) {
                 in.scales = {nullptr, tenon::scale_element::f16, 3, 32};
               }),
               errc::out_of_range, "scales");
  f.scales[0] = std::numeric_limits<float>::quiet_NaN();
  expect_error(with([](auto&, auto&) {}), errc::out_of_range, "scales");
  EXPECT_EQ(w.rows, 77);
}

TEST(export_gptq, refuses_what_the_format_cannot_say) {
  tenon::gptq_checkpoint<> file;
  expect_error(tenon::export_gptq(file, test::random_int4(32, 64, 32, true, 1), {.bits = 3}), errc::unsupported,
               "bits: a group's codes span more");
  expect_error(tenon::export_gptq(file, test::random_int4(32, 64, 32, true, 1), {.bits = 8}), errc::unsupported,
               "bits");
  expect_error(tenon::export_gptq(file, test::random_int4(32, 65, 0, true, 1)), errc::shape_mismatch,
               "inputs * bits % 32");
  expect_error(tenon::export_gptq(file, test::random_int4(33, 64, 0, true, 1)), errc::shape_mismatch,
               "outputs * bits % 32");
  auto w        = test::random_int4(32, 64, 32, false, 1);
  w.format.code = weight_code::fp8;
  expect_error(tenon::export_gptq(file, w), errc::unsupported, "code: GPTQ has integers only");
  w = test::random_weight(32, 64, {.code = weight_code::int8, .group = 32, .block_rows = 16}, 1, 0, 256);
  expect_error(tenon::export_gptq(file, w), errc::unsupported, "block_rows");
}

}  // namespace
