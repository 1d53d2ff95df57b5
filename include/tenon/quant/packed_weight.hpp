#pragma once
//  The packed form of a quantised weight matrix: one layout for every kernel that reads it.
//
//  The atom is 16 rows x 64 columns, in the order in which the lanes of a warp hold the A operand of a tensor-core product
//  (PTX: mma.m16n8k16, mma.m16n8k32; each warp's quarter of a wgmma operand in registers is the same). So a lane loads 16
//  bytes and has its fragments, with no shuffle and no bank conflict, in a streaming kernel, an mma.sync tile and a wgmma
//  tile alike.
//
//    4 bits: 512 bytes     16 bytes per lane, word w of them = columns 16 w .. 16 w + 15 (pairs)
//    8 bits: 1024 bytes    two planes of 512 bytes, columns 0..31 and 32..63
//
//        atom (16 x 64)                         lane = 4 g + t holds rows g and g + 8 of it; in each 16 columns (pairs)
//        +----+----+----+----+  row 0            column      2t  2t+1  2t+8  2t+9
//        | w0 | w1 | w2 | w3 |                     row g     r0   r0'   r2    r2'        r0..r3: registers of the fragment,
//        +----+----+----+----+  row 15             row g+8   r1   r1'   r3    r3'        r' the upper half of each
//
//  Inside a word, the two halves of a register are 16 bits apart, so that one mask and one "or" make both into f16 or bf16
//  (quant/decode.cuh):
//
//    4 bits, pairs         r0  r1  r2  r3 | r0' r1' r2' r3'      from the lowest nibble
//    8 bits, pairs         r0  r1 | r0' r1'  then  r2  r3 | r2' r3'
//    8 bits, quads         four neighbouring columns of one register: what m16n8k32 of 8-bit inputs takes as it is
//    4 bits, quads         bytes of r0 in the low nibbles, of r1 in the high ones; then r2, r3
//
//  Four atoms make a panel block, 64 rows x 64 columns, contiguous; the blocks of a panel of 64 rows follow each other along
//  K. A run of K of a panel is one contiguous range: one bulk copy, no descriptor.
//
//    offset of atom (row / 16, column / 64) = ((row / 64 * blocks + column / 64) * 4 + row / 16 % 4) * atom bytes
//
//  Rows are padded to 64 with scale 0, columns to 64 with codes that decode to 0.
//
//  Scales      row: one f32 per row.   group: one f16 per row and group, times a factor of the whole matrix, rows r and r + 8
//              of an atom side by side; zero points as bytes in the same order.   block: one f32 per block of rows and group.
//
//  Source: layouts of PTX ISA 8.8, "Matrix fragments"; IST-DASLab/marlin (idea of packing into fragments).
//  Test tests/quant/pack_weight_test.cpp.
#include <tenon/config.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/weight_format.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tenon {

/// What a scale belongs to.
enum class scale_kind : std::uint8_t { row, group, block };

/// The order of columns inside an atom: pairs for products with 16-bit inputs (and f32), quads for those with 8-bit inputs.
enum class pack_order : std::uint8_t { pairs, quads };

namespace packed {

inline constexpr int atom_rows = 16, atom_columns = 64, panel_rows = 64, lanes = 32;

TENON_HD constexpr int words_per_lane(weight_code code) {
  return bits_of(code);
}  // 32-bit words: 16 * 64 * bits / (32 * 32)
TENON_HD constexpr int atom_bytes(weight_code code) { return words_per_lane(code) * lanes * 4; }

/// Where one code of an atom is: bits [shift, shift + bits) of word `word` of lane `lane`.
struct position {
  int lane, word, shift;

  /// Bytes from the atom's start to the word.
  TENON_HD constexpr int byte() const { return word / 4 * (lanes * 16) + lane * 16 + word % 4 * 4; }
};

/// row 0..15, column 0..63
TENON_HD constexpr position position_of(weight_code code, pack_order order, int row, int column) {
  int const upper = row / 8, bits = bits_of(code);
  if (order == pack_order::pairs) {
    int const step = column / 16, c = column % 16, half = c % 2, reg = upper + 2 * (c / 8);
    int const lane = 4 * (row % 8) + c % 8 / 2;
    return bits == 4 ? position{lane, step, 4 * reg + 16 * half}
                     : position{lane, 2 * step + reg / 2, 8 * (reg % 2) + 16 * half};
  }
  int const step = column / 32, c = column % 32, byte = c % 4, reg = upper + 2 * (c / 16);
  int const lane = 4 * (row % 8) + c % 16 / 4;
  return bits == 4 ? position{lane, 2 * step + reg / 2, 8 * byte + 4 * (reg % 2)}
                   : position{lane, 4 * step + reg, 8 * byte};
}

}  // namespace packed

/// Everything about a packed matrix but its address: a printable value. Sections of one block of memory, each from a
/// multiple of 128 bytes on: atoms, scales, zero points.
struct packed_layout {
  weight_code code        = weight_code::int8;
  scale_kind  scales      = scale_kind::row;
  pack_order  order       = pack_order::pairs;
  bool        zero_points = false;
  int         group       = 0;  // columns per scale (group: 16, 32 or a multiple of 64; block: a multiple of 64)
  int         block_rows  = 1;  // rows per scale (block: a multiple of 64)
  index_t     rows        = 0;  // of the matrix, n
  index_t     columns     = 0;  // of the matrix, k
  float       factor      = 1;  // of all scales (group)

  friend constexpr bool operator==(packed_layout const&, packed_layout const&) = default;

  TENON_HD constexpr index_t panels() const { return ceil_div(rows, packed::panel_rows); }
  TENON_HD constexpr index_t blocks() const { return ceil_div(columns, packed::atom_columns); }  // of a panel
  TENON_HD constexpr index_t groups() const { return scales == scale_kind::row ? 1 : ceil_div(columns, group); }

  TENON_HD constexpr index_t atoms_bytes() const { return panels() * blocks() * 4 * packed::atom_bytes(code); }
  TENON_HD constexpr index_t scales_offset() const { return round_up(atoms_bytes(), 128); }
  TENON_HD constexpr index_t scales_bytes() const {
    switch (scales) {
      case scale_kind::row: return panels() * packed::panel_rows * 4;
      case scale_kind::group: return panels() * groups() * packed::panel_rows * 2;
      default: return ceil_div(rows, block_rows) * groups() * 4;
    }
  }
  TENON_HD constexpr index_t zeros_offset() const { return round_up(scales_offset() + scales_bytes(), 128); }
  TENON_HD constexpr index_t bytes() const {
    return zeros_offset() + (zero_points ? panels() * groups() * packed::panel_rows : 0);
  }

  /// Bytes from the start to atom (row / 16, column / 64).
  TENON_HD constexpr index_t atom_offset(index_t row, index_t column) const {
    return ((row / packed::panel_rows * blocks() + column / packed::atom_columns) * 4 + row / packed::atom_rows % 4) *
           packed::atom_bytes(code);
  }
  /// Index of a row's scale (and zero point) of group g, among the f16 (or bytes) of their section. Rows r and r + 8 of an
  /// atom are neighbours.
  TENON_HD constexpr index_t group_index(index_t row, index_t g) const {
    index_t const in_panel = row % packed::panel_rows, r = in_panel % 16;
    return (row / packed::panel_rows * groups() + g) * packed::panel_rows + in_panel / 16 * 16 + r % 8 * 2 + r / 8;
  }
};

#if !defined(__CUDACC_RTC__)
/// "int4 14336 x 4096, group 128, zero points, pairs, 31.4 MB"
inline std::string to_string(packed_layout const& l) {
  std::string s = name_of(l.code);
  s += ' ';
  s += std::to_string(l.rows) + " x " + std::to_string(l.columns);
  s += l.scales == scale_kind::row ? ", scale per row"
       : l.scales == scale_kind::group
           ? ", groups of " + std::to_string(l.group)
           : ", blocks of " + std::to_string(l.block_rows) + " x " + std::to_string(l.group);
  if (l.zero_points) s += ", zero points";
  s += l.order == pack_order::pairs ? ", pairs" : ", quads";
  return s + ", " + std::to_string(l.bytes()) + " bytes";
}
#endif

/// The layout that `format` of a rows x columns matrix packs into: pure, so sizes are known before anything is allocated.
/// int4 and fp4 have group scales (a whole row is one group), 8-bit codes row scales, or group or block scales where the
/// format has them. `factor` is filled in by pack_weight.
constexpr packed_layout packed_layout_of(weight_format const& format, index_t rows, index_t columns, pack_order order) {
  packed_layout l;
  l.code = format.code, l.order = order, l.rows = rows, l.columns = columns, l.zero_points = format.zero_points;
  if (format.block_rows > 1) {
    l.scales = scale_kind::block, l.group = format.group, l.block_rows = format.block_rows;
  } else if (format.group > 0) {
    l.scales = scale_kind::group, l.group = format.group;
  } else if (bits_of(format.code) == 4) {
    l.scales = scale_kind::group, l.group = static_cast<int>(round_up(max<index_t>(columns, 1), packed::atom_columns));
  }
  return l;
}

/// A packed matrix in memory, as kernels take it: what the compiler must know is in the type.
template <weight_code Code, scale_kind Scales, pack_order Order>
struct packed_weight {
  static constexpr weight_code code   = Code;
  static constexpr scale_kind  scales = Scales;
  static constexpr pack_order  order  = Order;

  packed_layout    layout;
  std::byte const* data = nullptr;  // layout.bytes() of them, on a multiple of 16 bytes (128 for speed)

  TENON_HD std::byte const* atom(index_t row, index_t column) const {
    return data + ((row / packed::panel_rows * layout.blocks() + column / packed::atom_columns) * 4 +
                   row / packed::atom_rows % 4) *
                      packed::atom_bytes(Code);
  }
  TENON_HD float const* row_scales() const { return reinterpret_cast<float const*>(data + layout.scales_offset()); }
  TENON_HD f16 const*   group_scales() const { return reinterpret_cast<f16 const*>(data + layout.scales_offset()); }
  TENON_HD float        block_scale(index_t row, index_t g) const {
           return row_scales()[row / layout.block_rows * layout.groups() + g];
  }
  /// null where the format has none
  TENON_HD std::uint8_t const* zeros() const {
    return layout.zero_points ? reinterpret_cast<std::uint8_t const*>(data + layout.zeros_offset()) : nullptr;
  }
};

/// The order in which weights are packed for inputs of A.
template <class A>
inline constexpr pack_order pack_order_for = sizeof(A) == 1 ? pack_order::quads : pack_order::pairs;

/// Whether inputs of A are multiplied with such weights.
template <class A>
constexpr bool multiplies(weight_code code, scale_kind scales) {
  using enum weight_code;
  if constexpr (std::is_same_v<A, std::int8_t>)
    return (code == int4 && scales == scale_kind::group) || (code == int8 && scales == scale_kind::row);
  else if constexpr (sizeof(A) == 1) return code == fp8 && scales != scale_kind::group;
  else
    return code == int8  ? scales != scale_kind::block
           : code == fp8 ? scales != scale_kind::group
                         : scales == scale_kind::group;
}

/// Calls f(packed_weight<...>) for the layout that is there, of all that inputs of A (f32, f16, bf16, int8_t or e4m3) are
/// multiplied with; another one gives unsupported.
template <class A, class F>
constexpr status visit_packed(packed_layout const& layout, std::byte const* data, F&& f) {
  using enum weight_code;
  constexpr pack_order order = pack_order_for<A>;
  if (layout.order != order) return {errc::unsupported, "visit_packed", "order"};
  status     s{errc::unsupported, "visit_packed", "layout"};
  auto const as = [&]<weight_code Code, scale_kind Scales>() {
    if constexpr (multiplies<A>(Code, Scales))
      if (layout.code == Code && layout.scales == Scales) s = f(packed_weight<Code, Scales, order>{layout, data});
  };
  as.template operator()<int4, scale_kind::group>();
  as.template operator()<int8, scale_kind::row>();
  as.template operator()<int8, scale_kind::group>();
  as.template operator()<fp8, scale_kind::row>();
  as.template operator()<fp8, scale_kind::block>();
  as.template operator()<fp4, scale_kind::group>();
  return s;
}

}  // namespace tenon
