// The packed layout: its map as a bijection and as PTX's fragments, round trips, what padding holds, every error.
#include <tenon/quant/pack_weight.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "random_weight.hpp"

namespace {

using namespace tenon;
using enum weight_code;
namespace packed = tenon::packed;

// Every bit of an atom belongs to exactly one code.
constexpr bool covers(weight_code code, pack_order order) {
  std::array<bool, packed::atom_rows * packed::atom_columns> taken{};
  int const                                                  bits = bits_of(code), per_word = 32 / bits;
  for (int row = 0; row < packed::atom_rows; ++row)
    for (int column = 0; column < packed::atom_columns; ++column) {
      auto const at = packed::position_of(code, order, row, column);
      if (at.lane < 0 || at.lane >= 32 || at.word < 0 || at.word >= packed::words_per_lane(code) ||
          at.shift % bits != 0)
        return false;
      auto const place = static_cast<std::size_t>((at.byte() / 4) * per_word + at.shift / bits);
      if (place >= taken.size() || taken[place]) return false;
      taken[place] = true;
    }
  return true;
}
static_assert(covers(int4, pack_order::pairs) && covers(int4, pack_order::quads) && covers(fp4, pack_order::pairs));
static_assert(covers(int8, pack_order::pairs) && covers(int8, pack_order::quads) && covers(fp8, pack_order::pairs));

/// Where a lane of a warp of a warpgroup holds element `i` of its four registers, in the 64 rows of wgmma's A operand:
/// PTX ISA 8.8, "Register fragments for wgmma.mma_async.m64nNk16" and "...m64nNk32", matrix A. mma.m16n8k16 and
/// mma.m16n8k32 are the same with one warp.
struct element {
  int row, column;
};
constexpr element wgmma_a(int warp, int lane, int i, int per_register) {
  int const  group = lane / 4, in_group = lane % 4;
  bool const upper_rows = i / per_register % 2 == 1, upper_columns = i >= 2 * per_register;
  return {16 * warp + group + (upper_rows ? 8 : 0),
          in_group * per_register + i % per_register + (upper_columns ? 4 * per_register : 0)};
}

// A lane of warp w of a warpgroup finds in atom w of a panel block the elements that wgmma wants of it, register by register.
constexpr bool suits_wgmma(weight_code code, pack_order order) {
  int const per_register = order == pack_order::pairs ? 2 : 4, step_columns = 8 * per_register;
  for (int warp = 0; warp < 4; ++warp)
    for (int lane = 0; lane < 32; ++lane)
      for (int step = 0; step < 64 / step_columns; ++step)
        for (int i = 0; i < 4 * per_register; ++i) {
          auto const e  = wgmma_a(warp, lane, i, per_register);
          auto const at = packed::position_of(code, order, e.row % 16, step * step_columns + e.column);
          if (e.row / 16 != warp || at.lane != lane) return false;
          // Words of a step are neighbours; halves (pairs) lie 16 bits apart, bytes (quads) in order.
          int const words = packed::words_per_lane(code) * step_columns / 64;
          if (at.word / words != step) return false;
          auto const first =
              packed::position_of(code, order, e.row % 16, step * step_columns + e.column - i % per_register);
          if (at.word != first.word || at.shift - first.shift != i % per_register * (32 / per_register)) return false;
        }
  return true;
}
static_assert(suits_wgmma(int4, pack_order::pairs) && suits_wgmma(int4, pack_order::quads));
static_assert(suits_wgmma(int8, pack_order::pairs) && suits_wgmma(int8, pack_order::quads));

TEST(packed_layout, runs_of_k_are_contiguous) {
  auto const    l     = packed_layout_of({int4, 128}, 130, 300, pack_order::pairs);
  index_t const block = 4 * packed::atom_bytes(int4);
  EXPECT_EQ(l.panels(), 3);
  EXPECT_EQ(l.blocks(), 5);
  EXPECT_EQ(l.groups(), 3);
  EXPECT_EQ(l.atom_offset(0, 64), block);
  EXPECT_EQ(l.atom_offset(16, 0), packed::atom_bytes(int4));
  EXPECT_EQ(l.atom_offset(64, 0), 5 * block);
  EXPECT_EQ(l.group_index(8, 0), 1);  // beside row 0
  EXPECT_EQ(l.group_index(1, 0), 2);
  EXPECT_EQ(l.group_index(0, 1), 64);
  EXPECT_EQ(l.scales_offset() % 128, 0);
  EXPECT_EQ(l.zeros_offset() % 128, 0);
  EXPECT_GE(l.scales_offset(), l.atoms_bytes());
  EXPECT_GE(l.zeros_offset(), l.scales_offset() + l.scales_bytes());
}

quantized_weight some(weight_format const& format, index_t rows, index_t columns) {
  bool const fp8_codes = format.code == fp8;
  auto       w         = test::random_weight(rows, columns, format, 11, 0, fp8_codes ? 127 : 1 << bits_of(format.code));
  for (std::size_t i = 0; i < w.codes.size(); i += 3)
    if (fp8_codes) w.codes[i] |= 0x80;
  for (std::size_t i = 0; i < w.scales.size(); i += 5) w.scales[i] = -w.scales[i];
  return w;
}

void round_trip(weight_format const& format, pack_order order) {
  for (auto const& [rows, columns] : {std::pair<index_t, index_t>{1, 1}, {75, 203}, {64, 64}, {129, 320}}) {
    SCOPED_TRACE(to_string(format) + ", " + std::to_string(rows) + " x " + std::to_string(columns));
    auto w   = some(format, rows, columns);
    w.factor = 0.375f;
    packed_matrix packed;
    test::expect_ok(pack_weight(packed, w, order));
    EXPECT_EQ(static_cast<index_t>(packed.bytes.size()), packed.layout.bytes());
    auto const back = unpack_weight(packed.layout, packed.bytes.data());
    EXPECT_EQ(back.codes, w.codes);
    EXPECT_EQ(back.zeros, w.zeros);
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; j += 16) {
        // Only the rows' scales carry the factor; those of groups lie apart from it.
        float const kept = packed.layout.scales == scale_kind::group
                               ? back.scale(i, j)
                               : back.scales[static_cast<std::size_t>(i / format.block_rows * back.groups() +
                                                                      (format.group > 0 ? j / format.group : 0))];
        ASSERT_EQ(kept, w.scale(i, j)) << i << ", " << j;
      }
    // Again from what came back: the same bytes.
    packed_matrix again;
    test::expect_ok(pack_weight(again, back, order));
    EXPECT_EQ(again.bytes, packed.bytes);
  }
}

TEST(pack_weight, round_trips) {
  for (auto const order : {pack_order::pairs, pack_order::quads}) {
    for (int const group : {0, 16, 32, 64, 128, 192})
      for (bool const zero_points : {false, true}) round_trip({int4, group, 1, zero_points}, order);
    round_trip({int8, 0}, order);
    round_trip({fp8, 0}, order);
    round_trip({fp8, 128, 128}, order);
    round_trip({fp8, 64, 64}, order);
  }
  for (int const group : {16, 32, 64, 192}) round_trip({int8, group}, pack_order::pairs);
  for (int const group : {16, 32, 128}) round_trip({fp4, group}, pack_order::pairs);
}

// What lies past the last row and column takes no part: scales 0, and codes that decode to 0.
TEST(pack_weight, padding_counts_as_zero) {
  auto const    w = some({int4, 64, 1, true}, 70, 100);
  packed_matrix packed;
  test::expect_ok(pack_weight(packed, w, pack_order::pairs));
  auto const& l       = packed.layout;
  int         checked = 0;
  for (index_t row = 0; row < 128; ++row)
    for (index_t column = 0; column < 128; ++column) {
      auto const at   = packed::position_of(int4, l.order, static_cast<int>(row % 16), static_cast<int>(column % 64));
      auto const byte = static_cast<unsigned>(
          packed.bytes[static_cast<std::size_t>(l.atom_offset(row, column) + at.byte() + at.shift / 8)]);
      unsigned const code = byte >> at.shift % 8 & 15;
      auto const     i    = static_cast<std::size_t>(l.group_index(row, column / 64));
      f16            scale;
      std::memcpy(&scale, packed.bytes.data() + static_cast<std::size_t>(l.scales_offset()) + 2 * i, 2);
      if (row >= 70) {
        EXPECT_EQ(static_cast<float>(scale), 0.f);
      } else if (column >= 100) {
        EXPECT_EQ(code, static_cast<unsigned>(packed.bytes[static_cast<std::size_t>(l.zeros_offset()) + i])) << column;
      } else {
        continue;
      }
      ++checked;
    }
  EXPECT_EQ(checked, 128 * 128 - 70 * 100);
}

// Scales that f16 does not hold lose bits, not range: a power of two of the whole matrix is set aside.
TEST(pack_weight, scales_of_any_magnitude_keep_eleven_bits) {
  for (float const magnitude : {1e-20f, 1.f, 1e20f}) {
    auto w = some({int4, 64}, 64, 256);
    for (auto& s : w.scales) s *= magnitude;
    packed_matrix packed;
    test::expect_ok(pack_weight(packed, w, pack_order::pairs));
    auto const back = unpack_weight(packed.layout, packed.bytes.data());
    for (index_t i = 0; i < 64; ++i)
      for (index_t j = 0; j < 256; j += 64) EXPECT_NEAR(back.scale(i, j) / w.scale(i, j), 1, 0x1p-11);
  }
}

void expect_refusal(quantized_weight const& w, errc code, std::string const& subject,
                    pack_order order = pack_order::pairs) {
  packed_matrix to;
  auto const    s = pack_weight(to, w, order);
  EXPECT_EQ(s.code, code) << s.subject;
  EXPECT_STREQ(s.primitive, "pack_weight");
  EXPECT_EQ(std::string(s.subject), subject);
}

TEST(pack_weight, errors) {
  auto const good = some({int4, 64, 1, true}, 8, 128);
  auto       w    = good;
  w.codes.pop_back();
  expect_refusal(w, errc::shape_mismatch, "codes");
  w = good, w.scales.pop_back();
  expect_refusal(w, errc::shape_mismatch, "scales");
  w = good, w.zeros.pop_back();
  expect_refusal(w, errc::shape_mismatch, "zeros");
  w = good, w.scales[3] = std::numeric_limits<float>::infinity();
  expect_refusal(w, errc::out_of_range, "scales: not finite");
  w = good, w.codes[5] = 16;
  expect_refusal(w, errc::out_of_range, "codes: more than 4 bits");
  w = some({fp8, 0}, 8, 64), w.codes[9] = 0xff;
  expect_refusal(w, errc::out_of_range, "codes: a NaN");
  expect_refusal(some({int4, 48}, 8, 96), errc::unsupported, "columns per group");
  expect_refusal(some({int4, 8}, 8, 64), errc::unsupported, "columns per group");
  expect_refusal(some({fp8, 128, 96}, 192, 128), errc::unsupported, "rows per block");
  expect_refusal(some({int8, 128, 128}, 128, 128), errc::unsupported, "rows per block");
  expect_refusal(some({int8, 64, 1, true}, 8, 64), errc::unsupported, "zero points of this code");
  expect_refusal(some({fp8, 64}, 8, 64), errc::unsupported, "groups of fp8");
  expect_refusal(some({fp4, 32}, 8, 64), errc::unsupported, "fp4 for inputs of 8 bits", pack_order::quads);
  expect_refusal(some({int8, 64}, 8, 64), errc::unsupported, "groups of int8 for inputs of 8 bits", pack_order::quads);

  packed_layout          layout;
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(packed_layout_of(good.format, 8, 128, pack_order::pairs).bytes()));
  auto const size = static_cast<index_t>(bytes.size());
  EXPECT_EQ(pack_weight(layout, dense(bytes.data(), size - 1), good, pack_order::pairs).code, errc::shape_mismatch);
  tensor_view<std::byte, 1> const spread{bytes.data(), {size}, {2}};
  EXPECT_EQ(pack_weight(layout, spread, good, pack_order::pairs).code, errc::misaligned);
}

TEST(pack_weight, nothing_is_packed_into_nothing) {
  packed_matrix to;
  test::expect_ok(pack_weight(to, some({int8, 0}, 0, 64), pack_order::pairs));
  EXPECT_EQ(to.layout.panels(), 0);
}

}  // namespace
