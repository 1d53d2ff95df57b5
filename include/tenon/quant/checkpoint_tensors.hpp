#pragma once
//  What importers and exporters of quantised checkpoints share: views of a file's tensors, and packed integer fields.
//
//  A file is not trusted: every extent is checked before it is multiplied, and all shapes before anything is allocated.
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace tenon {

/// What the elements of a checkpoint's scales are.
enum class scale_element : std::uint8_t { f32, f16, bf16, e4m3, ue8m0 };

/// Scales as a file has them: their element is known at run time only. Vectors are matrices of one column, a lone number
/// is a matrix of one element; a default-constructed view is a tensor that the file does not have.
class scale_view {
 public:
  scale_view() = default;

  template <class T>
  scale_view(tensor_view<T, 2> const& v)
      : data_(v.data),
        element_(element_of_type<T>()),
        rows_(v.extent[0]),
        columns_(v.extent[1]),
        row_stride_(v.stride[0]),
        column_stride_(v.stride[1]) {}
  template <class T>
  scale_view(tensor_view<T, 1> const& v) : scale_view(tensor_view<T, 2>{v.data, {v.extent[0], 1}, {v.stride[0], 1}}) {}

  /// A dense matrix of an element that a file's header names.
  scale_view(void const* data, scale_element element, index_t rows, index_t columns = 1)
      : data_(data), element_(element), rows_(rows), columns_(columns), row_stride_(columns), column_stride_(1) {}

  scale_element element() const { return element_; }
  index_t       rows() const { return rows_; }
  index_t       columns() const { return columns_; }
  bool          given() const { return data_ != nullptr || rows_ != 0; }

  float operator()(index_t row, index_t column) const {
    index_t const at = row * row_stride_ + column * column_stride_;
    switch (element_) {
      case scale_element::f32: return static_cast<float const*>(data_)[at];
      case scale_element::f16: return static_cast<float>(static_cast<f16 const*>(data_)[at]);
      case scale_element::bf16: return static_cast<float>(static_cast<bf16 const*>(data_)[at]);
      case scale_element::e4m3: return static_cast<float>(static_cast<e4m3 const*>(data_)[at]);
      case scale_element::ue8m0: return static_cast<float>(static_cast<ue8m0 const*>(data_)[at]);
    }
    return 0;
  }

  /// The same memory, for contracts: its extents and its address, in units of the element's alignment.
  template <class T>
  tensor_view<T const, 2> as() const {
    return {static_cast<T const*>(data_), {rows_, columns_}, {row_stride_, column_stride_}};
  }

 private:
  template <class T>
  static constexpr scale_element element_of_type() {
    using element = std::remove_const_t<T>;
    if constexpr (std::is_same_v<element, float>) return scale_element::f32;
    else if constexpr (std::is_same_v<element, f16>) return scale_element::f16;
    else if constexpr (std::is_same_v<element, bf16>) return scale_element::bf16;
    else if constexpr (std::is_same_v<element, e4m3>) return scale_element::e4m3;
    else {
      static_assert(std::is_same_v<element, ue8m0>, "tenon::scale_view: elements are float, f16, bf16, e4m3 or ue8m0");
      return scale_element::ue8m0;
    }
  }

  void const*   data_          = nullptr;
  scale_element element_       = scale_element::f32;
  index_t       rows_          = 0;
  index_t       columns_       = 0;
  index_t       row_stride_    = 0;
  index_t       column_stride_ = 0;
};

/// What to do with a file whose values contradict what its configuration says of them.
enum class on_contradiction : std::uint8_t { refuse, trust_the_file };

namespace checkpoint {

inline constexpr index_t largest_extent = 0x7fffffff;
inline constexpr index_t largest_weight = index_t{1} << 34;  // codes of one matrix

template <class Element, int Rank>
bool given(tensor_view<Element, Rank> const& v) {
  return v.data != nullptr || v.size() != 0;
}

/// A tensor whose extents may be multiplied and whose elements may be read.
template <class Element, int Rank>
status readable(char const* primitive, char const* subject, tensor_view<Element, Rank> const& v) {
  static_assert(Rank <= 2, "tenon::checkpoint::readable: the product of more extents could overflow");
  for (index_t const e : v.extent)
    if (e < 0 || e > largest_extent) return {errc::out_of_range, primitive, subject, e, largest_extent};
  return contract{primitive}.addressable(v, subject).result;
}
inline status readable(char const* primitive, char const* subject, scale_view const& v) {
  switch (v.element()) {
    case scale_element::f32: return readable(primitive, subject, v.as<float>());
    case scale_element::f16: return readable(primitive, subject, v.as<f16>());
    case scale_element::bf16: return readable(primitive, subject, v.as<bf16>());
    default: return readable(primitive, subject, v.as<std::uint8_t>());
  }
}

/// Extents of a matrix of scales.
inline status shaped(char const* primitive, scale_view const& v, extent& rows, extent& columns) {
  return contract{primitive}.shape(v.as<std::uint8_t>(), rows, columns).result;
}

template <class T>
status allocate(char const* primitive, std::vector<T>& v, index_t size, T value = T{}) {
  try {
    v.assign(static_cast<std::size_t>(size), value);
  } catch (std::bad_alloc const&) {
    return {errc::out_of_memory, primitive, "elements", size, 0};
  } catch (std::length_error const&) {
    return {errc::out_of_memory, primitive, "elements", size, 0};
  }
  return {};
}

/// Shapes `w` and fills its codes with zeros. A group that holds a whole row becomes 0, "one scale per row".
inline status shape_weight(char const* primitive, quantized_weight& w, index_t rows, index_t columns,
                           weight_format format) {
  if (rows > 0 && columns > largest_weight / rows)
    return {errc::out_of_range, primitive, "rows * columns", columns, largest_weight / rows};
  if (format.group >= columns) format.group = 0;
  w.format = format, w.rows = rows, w.columns = columns;
  TENON_TRY(allocate(primitive, w.codes, rows * columns));
  TENON_TRY(allocate(primitive, w.scales, w.scale_rows() * w.groups()));
  return format.zero_points ? allocate(primitive, w.zeros, rows * w.groups(), std::uint8_t{8}) : status{};
}

/// w.scales[i, g] = at(i, g), all finite
template <class At>
status fill_scales(char const* primitive, char const* subject, quantized_weight& w, At const& at) {
  index_t const rows = w.scale_rows(), groups = w.groups();
  for (index_t i = 0; i < rows; ++i)
    for (index_t g = 0; g < groups; ++g) {
      float const s = at(i, g);
      if (!std::isfinite(s)) return {errc::out_of_range, primitive, subject, i * groups + g, 0};
      w.scales[static_cast<std::size_t>(i * groups + g)] = s;
    }
  return {};
}

/// Columns per scale as files say it: 0 and -1 are whole rows.
inline index_t columns_per_scale(int group_size, index_t columns) {
  return group_size > 0 ? group_size : max(columns, index_t{1});
}

/// f(i, j, load(i, j)) for all i < rows and j < columns, where load runs along i and f along j: by tiles, through a buffer, so
/// that neither side's lines are fetched twice.
template <class Load, class F>
void transpose_tiles(index_t rows, index_t columns, Load const& load, F const& f) {
  constexpr index_t                                         tile_rows = 16, tile_columns = 64;
  std::remove_cvref_t<decltype(load(index_t{}, index_t{}))> tile[tile_rows][tile_columns];
  for (index_t i0 = 0; i0 < rows; i0 += tile_rows)
    for (index_t j0 = 0; j0 < columns; j0 += tile_columns) {
      index_t const tall = min(tile_rows, rows - i0), wide = min(tile_columns, columns - j0);
      for (index_t j = 0; j < wide; ++j)
        for (index_t i = 0; i < tall; ++i) tile[i][j] = load(i0 + i, j0 + j);
      for (index_t i = 0; i < tall; ++i)
        for (index_t j = 0; j < wide; ++j) f(i0 + i, j0 + j, tile[i][j]);
    }
}

/// f(std::integral_constant<int, bits>) for 2 to 8 bits: the width as a constant of the loops behind it.
template <class F>
auto with_bits(int bits, F const& f) {
  switch (bits) {
    case 2: return f(std::integral_constant<int, 2>{});
    case 3: return f(std::integral_constant<int, 3>{});
    case 4: return f(std::integral_constant<int, 4>{});
    case 5: return f(std::integral_constant<int, 5>{});
    case 6: return f(std::integral_constant<int, 6>{});
    case 7: return f(std::integral_constant<int, 7>{});
    default: return f(std::integral_constant<int, 8>{});
  }
}

constexpr std::uint32_t field_mask(int bits) { return (1u << bits) - 1; }

/// Field i of a stream of fields of `bits` bits, lowest first, which may straddle words: word(k) is the k-th.
template <class Word>
std::uint32_t stream_field(Word const& word, index_t i, int bits) {
  index_t const bit   = i * bits;
  int const     shift = static_cast<int>(bit % 32);
  std::uint64_t two   = static_cast<std::uint32_t>(word(bit / 32));
  if (shift + bits > 32) two |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(word(bit / 32 + 1))) << 32;
  return static_cast<std::uint32_t>(two >> shift) & field_mask(bits);
}

/// Puts a field where `stream_field` finds it; the words start as zeros.
template <class Word>
void put_stream_field(Word const& word, index_t i, int bits, std::uint32_t value) {
  index_t const       bit   = i * bits;
  int const           shift = static_cast<int>(bit % 32);
  std::uint64_t const two   = static_cast<std::uint64_t>(value & field_mask(bits)) << shift;
  auto const          add   = [](std::int32_t& to, std::uint64_t part) {
    to = static_cast<std::int32_t>(static_cast<std::uint32_t>(to) | static_cast<std::uint32_t>(part));
  };
  add(word(bit / 32), two);
  if (shift + bits > 32) add(word(bit / 32 + 1), two >> 32);
}

/// The code of q - z for a file's field q and zero point z of `bits` bits.
///   up to 3 bits: int4 around 8, always exact;    4 bits: int4, the zero point is kept beside it (z is not used);
///   5 to 8 bits: int8; false where q - z does not fit, which takes 8 bits.
inline bool code_of_field(std::uint8_t& code, int q, int z, int bits) {
  int const v = bits == 4 ? q : bits < 4 ? q - z + 8 : q - z;
  code        = static_cast<std::uint8_t>(v);
  return bits <= 4 || (v >= -128 && v <= 127);
}

/// Drops zero points that are all 8, which is what int4 without zero points means.
inline void drop_symmetric_zeros(quantized_weight& w) {
  for (std::uint8_t const z : w.zeros)
    if (z != 8) return;
  w.format.zero_points = false;
  std::vector<std::uint8_t>().swap(w.zeros);
}

/// Sets w.order so that the columns of a group stand together, each group in the order of the inputs. `position[k]` is
/// where input k went (empty: its own place). Groups other than the last must have w.format.group columns.
inline status sort_by_group(char const* primitive, char const* subject, quantized_weight& w,
                            tensor_view<std::int32_t const, 1> const& g_idx, std::vector<std::int32_t>& position) {
  index_t const        groups = w.groups(), group = columns_per_scale(w.format.group, w.columns);
  std::vector<index_t> next;
  TENON_TRY(allocate(primitive, next, groups));
  bool in_order = true;
  for (index_t k = 0; k < w.columns; ++k) {
    index_t const g = g_idx(k);
    if (g < 0 || g >= groups) return {errc::out_of_range, primitive, subject, g, groups};
    ++next[static_cast<std::size_t>(g)];
    in_order = in_order && g == k / group;
  }
  for (index_t g = 0; g < groups; ++g) {
    index_t const want = min(group, w.columns - g * group), got = next[static_cast<std::size_t>(g)];
    if (got != want) return {errc::unsupported, primitive, "g_idx: groups of unequal size", got, want};
    next[static_cast<std::size_t>(g)] = g * group;
  }
  position.clear(), w.order.clear();
  if (in_order) return {};
  TENON_TRY(allocate(primitive, position, w.columns));
  TENON_TRY(allocate(primitive, w.order, w.columns));
  for (index_t k = 0; k < w.columns; ++k) {
    index_t const j                       = next[static_cast<std::size_t>(g_idx(k))]++;
    position[static_cast<std::size_t>(k)] = static_cast<std::int32_t>(j);
    w.order[static_cast<std::size_t>(j)]  = static_cast<std::int32_t>(k);
  }
  return {};
}

/// A static scale of the inputs: one number, or none.
inline status input_scale_of(char const* primitive, scale_view const& v, std::optional<float>& to) {
  if (!v.given()) return {};
  TENON_TRY(readable(primitive, "input_scale", v));
  extent one{"elements of input_scale", 1}, rows = one, columns = one;
  TENON_TRY(shaped(primitive, v, rows, columns));
  if (!std::isfinite(v(0, 0))) return {errc::out_of_range, primitive, "input_scale", 0, 0};
  to = v(0, 0);
  return {};
}

/// What an exporter may rely on: vectors of the sizes that the format asks for, codes and zero points in range.
inline status well_formed(char const* primitive, quantized_weight const& w) {
  contract c{primitive};
  c.require(w.rows >= 0 && w.rows <= largest_extent, errc::out_of_range, "rows", w.rows, largest_extent)
      .require(w.columns >= 0 && w.columns <= largest_extent, errc::out_of_range, "columns", w.columns, largest_extent)
      .require(w.format.group >= 0, errc::out_of_range, "group", w.format.group, 0)
      .require(w.format.block_rows > 0, errc::out_of_range, "block_rows", w.format.block_rows, 1);
  if (!c.result.ok()) return c.result;
  auto const has = [&](char const* subject, std::size_t got, index_t want) {
    c.require(got == static_cast<std::size_t>(want), errc::shape_mismatch, subject, static_cast<index_t>(got), want);
  };
  has("codes", w.codes.size(), w.rows * w.columns);
  has("scales", w.scales.size(), w.scale_rows() * w.groups());
  has("zeros", w.zeros.size(), w.format.zero_points ? w.rows * w.groups() : 0);
  if (!w.order.empty()) has("order", w.order.size(), w.columns);
  if (!c.result.ok()) return c.result;
  if (bits_of(w.format.code) == 4)
    for (auto const* codes : {&w.codes, &w.zeros})
      for (std::uint8_t const q : *codes)
        if (q > 15) return {errc::out_of_range, primitive, codes == &w.codes ? "codes" : "zeros", q, 15};
  if (!w.order.empty()) {
    std::vector<bool> seen(w.order.size());
    for (std::int32_t const k : w.order) {
      if (k < 0 || k >= w.columns || seen[static_cast<std::size_t>(k)])
        return {errc::out_of_range, primitive, "order: not a permutation", k, w.columns};
      seen[static_cast<std::size_t>(k)] = true;
    }
  }
  return {};
}

/// Rounds a scale to the file's element; what becomes zero or infinite by that is refused.
template <class Scale>
status round_scale(char const* primitive, Scale& to, float s) {
  if constexpr (std::is_same_v<Scale, float>) to = s;
  else to = Scale(s);
  float const back = static_cast<float>(to);
  if (!std::isfinite(back) || (back == 0) != (s == 0))
    return {errc::out_of_range, primitive, "scales: outside the range of the file's element", 0, 0};
  return {};
}

/// The zero point of w at a row and a group, 8 where int4 has none.
inline int zero_of(quantized_weight const& w, index_t row, index_t group) {
  return w.format.zero_points ? w.zeros[static_cast<std::size_t>(row * w.groups() + group)] : 8;
}

/// Code less zero point of int4, the code of int8.
inline int integer_of(quantized_weight const& w, index_t row, index_t column, index_t group) {
  std::uint8_t const code = w.codes[static_cast<std::size_t>(row * w.columns + column)];
  return w.format.code == weight_code::int4 ? code - zero_of(w, row, group)
                                            : static_cast<int>(static_cast<std::int8_t>(code));
}

/// z = a zero point with which fields of `bits` bits hold a group: its own where the width is that of int4, else
/// 2^(bits - 1) where the group fits around that, else the nearest to it.
inline status zero_of_fields(char const* primitive, int& z, quantized_weight const& w, index_t row, index_t group,
                             int bits) {
  if (w.format.code == weight_code::int4 && bits == 4) return z = zero_of(w, row, group), status{};
  index_t const columns = columns_per_scale(w.format.group, w.columns);
  int const     top = (1 << bits) - 1, middle = 1 << (bits - 1);
  int           lowest = 0, highest = 0;
  for (index_t j = group * columns; j < min((group + 1) * columns, w.columns); ++j) {
    int const v = integer_of(w, row, j, group);
    lowest = min(lowest, v), highest = max(highest, v);
  }
  z = max(min(middle, top - highest), -lowest);
  if (highest - lowest > top)
    return {errc::unsupported, primitive, "bits: a group's codes span more", highest - lowest + 1, top + 1};
  return {};
}

}  // namespace checkpoint
}  // namespace tenon
