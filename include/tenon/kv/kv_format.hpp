#pragma once
//  How keys and values are stored in a cache: numbers (f32, f16, bf16), or codes of 8 or 4 bits with scales beside them.
//
//    format    code               value                  scales
//    kv_fp8    e4m3               scale code             f32, one per token and head; one for a head or for all is the same
//                                                        view with strides of 0
//    kv_int8   -128..127          scale code + offset    a kv_range per token and head
//    kv_int4   -8..7, as code + 8 scale code + offset    a kv_range per token, head and 32 columns
//
//  K and V choose apart. Asymmetric ranges because keys are: a channel's mean is often far from 0 (Liu et al. 2024, "KIVI").
//  Docs: docs/operators/kv_formats.md.   Test tests/kv/kv_format_test.cpp.
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/nearest_code.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tenon {

/// value = scale code + offset. A range always covers what it was made from: no value is off by more than scale / 2, but for
/// the rounding of fp32. One word, so that it moves as one.
struct alignas(4) kv_range {
  f16 scale, offset;
};

struct kv_fp8 {
  static constexpr int bits = 8, group = 0;  // group: columns that share a scale; 0: all of a head
  using scale_type = float;
};
struct kv_int8 {
  static constexpr int bits = 8, group = 0;
  using scale_type = kv_range;
};
struct kv_int4 {
  static constexpr int bits = 4, group = 32;
  using scale_type = kv_range;
};

/// Formats of codes, read-only ones too.
template <class E>
inline constexpr bool is_kv_codes =
    std::is_same_v<std::remove_const_t<E>, kv_fp8> || std::is_same_v<std::remove_const_t<E>, kv_int8> ||
    std::is_same_v<std::remove_const_t<E>, kv_int4>;
template <class E>
concept kv_codes = is_kv_codes<E>;

/// What the elements of a cache may be.
template <class E>
concept kv_element = is_kv_codes<E> || floating<std::remove_const_t<E>>;

/// Scales of one head of one token.
template <kv_codes Format>
TENON_HD constexpr int kv_groups(index_t width) {
  return Format::group == 0 ? 1 : static_cast<int>(ceil_div(width, index_t{max(Format::group, 1)}));
}

/// Pages of codes. Any strides, the innermost ones 1; rows of codes lie in whole bytes.
template <kv_codes Format>
struct kv_code_pages {
  using format                = std::remove_const_t<Format>;
  static constexpr bool fixed = std::is_const_v<Format>;
  using byte                  = std::conditional_t<fixed, std::uint8_t const, std::uint8_t>;
  using scale_type = std::conditional_t<fixed, typename format::scale_type const, typename format::scale_type>;

  tensor_view<byte, 4>       code;   // (pages, page_size, kv_heads, width * bits / 8); int4: column 2i in the low half
  tensor_view<scale_type, 4> scale;  // (pages, page_size, kv_heads, groups)

  TENON_HD constexpr index_t width() const { return code.extent[3] * 8 / format::bits; }

  template <class Const>
  requires(std::is_same_v<Const, format const> && !fixed) constexpr operator kv_code_pages<Const>() const {
    return {code, scale};
  }
};

/// Pages of elements E: a view of numbers, or of codes and their scales.
template <class E>
struct kv_pages_of {
  using type = tensor_view<E, 4>;
};
template <kv_codes E>
struct kv_pages_of<E> {
  using type = kv_code_pages<E>;
};
template <kv_element E>
using kv_pages = typename kv_pages_of<E>::type;

// ---- a code's number

/// The number that the code of column d of a row of codes stands for, before scale and offset.
template <kv_codes Format>
TENON_HD constexpr float kv_code_number(std::uint8_t const* row, index_t d) {
  using format = std::remove_const_t<Format>;
  if constexpr (std::is_same_v<format, kv_fp8>) return static_cast<float>(e4m3::from_bits(row[d]));
  else if constexpr (std::is_same_v<format, kv_int8>) return static_cast<float>(static_cast<std::int8_t>(row[d]));
  else return static_cast<float>((row[d / 2] >> (d % 2 * 4) & 15) - 8);
}

TENON_HD constexpr float kv_scale(float const& s) { return s; }
TENON_HD constexpr float kv_scale(kv_range const& s) { return static_cast<float>(s.scale); }
TENON_HD constexpr float kv_offset(float const&) { return 0; }
TENON_HD constexpr float kv_offset(kv_range const& s) { return static_cast<float>(s.offset); }

/// Column d of one head of one token, as a float.
template <class E>
TENON_HD constexpr float kv_value(tensor_view<E, 4> const& pages, index_t page, index_t place, index_t head,
                                  index_t d) {
  return static_cast<float>(pages(page, place, head, d));
}
template <kv_codes Format>
TENON_HD constexpr float kv_value(kv_code_pages<Format> const& pages, index_t page, index_t place, index_t head,
                                  index_t d) {
  using format      = std::remove_const_t<Format>;
  auto const& scale = pages.scale(page, place, head, format::group == 0 ? 0 : d / max(format::group, 1));
  return kv_scale(scale) * kv_code_number<Format>(&pages.code(page, place, head, 0), d) + kv_offset(scale);
}

// ---- from values to codes

/// The least f16 that is not below v >= 0; the largest finite one where there is none.
TENON_HD constexpr f16 f16_above(float v) {
  f16 const nearest(v);
  if (static_cast<float>(nearest) < v) return f16::from_bits(static_cast<std::uint16_t>(nearest.bits + 1));
  return nearest.bits > 0x7bff ? f16::from_bits(0x7bff) : nearest;
}

/// The range of codes of kv_int8 or kv_int4 that covers least..most; numbers beyond +-65504, the largest f16, are taken for
/// that. NaN and infinities make the scale NaN, and so all that is read with it.
template <kv_codes Format>
TENON_HD constexpr kv_range kv_range_of(float least, float most) {
  constexpr float below = 1 << (Format::bits - 1), above = below - 1, infinity = bit_cast<float>(0x7f800000u);
  if (!(least > -infinity && most < infinity)) return {f16::from_bits(0x7e00), f16::from_bits(0)};
  least = min(max(least, -65504.f), 65504.f), most = min(max(most, -65504.f), 65504.f);
  // least + range below / (below + above), but for 1e-5 of the range (kv_int4: 2e-4): 1/2 + 1/512 (and 1/32) of it. Products
  // with powers of two are exact, so the sum has the same bits whether a compiler contracts it or not. No divisions: on a GPU
  // they are calls.
  constexpr float more  = Format::bits == 4 ? 0.03125f : 0.f;
  float const     range = most - least;
  f16 const       offset(least + range * 0.5f + range * more + range * 0.001953125f);
  float const     center = static_cast<float>(offset);
  float const     down = (center - least) * (1 / below), up = (most - center) * (1 / above);
  f16             scale = f16_above(max(down, up));
  if (scale.bits == 0) scale.bits = 1;
  return {scale, offset};
}

/// The scale of kv_fp8 that brings `magnitude` to the largest code, 448. NaN and infinity become the scale, and NaN what is
/// read with it.
TENON_HD constexpr float kv_fp8_scale(float magnitude) {
  float const scale = magnitude * (1 / 448.f);
  return scale < 1.17549435e-38f ? 1.17549435e-38f : scale;
}

/// What the scale of some columns follows from: the least and most of them, or their largest magnitude (kv_fp8). Integers in
/// the order of floats, where NaNs lie beyond the infinities: none is lost, and the columns may come in any order.
template <kv_codes Format>
struct kv_reach {
  static constexpr bool is_signed = !std::is_same_v<std::remove_const_t<Format>, kv_fp8>;

  std::int32_t least = is_signed ? 0x7fffffff : 0, most = is_signed ? -0x7fffffff - 1 : 0;

  TENON_HD constexpr void note(float v) {
    std::int32_t const bits = bit_cast<std::int32_t>(v);
    if constexpr (is_signed) {
      std::int32_t const place = in_order(bits);
      least = min(least, place), most = max(most, place);
    } else {
      most = max(most, bits & 0x7fffffff);
    }
  }
  TENON_HD constexpr void join(kv_reach const& other) { least = min(least, other.least), most = max(most, other.most); }
  TENON_HD constexpr typename Format::scale_type scale() const {
    if constexpr (is_signed)
      return kv_range_of<Format>(bit_cast<float>(in_order(least)), bit_cast<float>(in_order(most)));
    else return kv_fp8_scale(bit_cast<float>(most));
  }

 private:
  // Its own inverse.
  TENON_HD static constexpr std::int32_t in_order(std::int32_t bits) { return bits ^ (bits >> 31 & 0x7fffffff); }
};

/// Values to codes of one scale.
template <kv_codes Format>
struct kv_encoder {
  float inverse, offset;

  TENON_HD explicit constexpr kv_encoder(typename Format::scale_type const& s) : kv_encoder(s, 1 / kv_scale(s)) {}
  /// `inverse_scale` is 1 / scale, correctly rounded.
  TENON_HD constexpr kv_encoder(typename Format::scale_type const& s, float inverse_scale)
      : inverse(inverse_scale), offset(kv_offset(s)) {}

  /// The number whose nearest code stands for v.
  TENON_HD constexpr float number(float v) const {
    if constexpr (std::is_same_v<Format, kv_fp8>) return v * inverse;
    else return (v - offset) * inverse;
  }
  /// The code nearest to v, ties to even, in the low bits of a byte (kv_int4: code + 8). NaN: NaN, or any code.
  TENON_HD constexpr std::uint8_t code(float v) const {
    if constexpr (std::is_same_v<Format, kv_fp8>) {
      return nearest_code<e4m3>(number(v)).bits;
    } else {
      constexpr float below   = 1 << (Format::bits - 1);
      float const     x       = number(v);
      float const     clamped = x > -below ? min(x, below - 1) : -below;
      // 1.5 2^23: an ulp is 1 there, and the sum's low bits are the integer.
      std::uint32_t const bits = bit_cast<std::uint32_t>(clamped + 12582912.f);
      return static_cast<std::uint8_t>(std::is_same_v<Format, kv_int4> ? (bits & 15) ^ 8 : bits & 0xff);
    }
  }
};

/// One value's code.
template <kv_codes Format>
TENON_HD constexpr std::uint8_t kv_code_of(float v, typename Format::scale_type const& s) {
  return kv_encoder<Format>(s).code(v);
}

// ---- where pages lie

/// Bytes from the start of a page to its scales.
template <kv_codes Format>
constexpr index_t kv_code_bytes(index_t page_size, index_t kv_heads, index_t width) {
  return round_up(page_size * kv_heads * (width * Format::bits / 8), 16);
}
/// Bytes of one page: its codes and, behind them, its scales.
template <kv_codes Format>
constexpr index_t kv_page_bytes(index_t page_size, index_t kv_heads, index_t width) {
  index_t const scales = page_size * kv_heads * kv_groups<Format>(width);
  return kv_code_bytes<Format>(page_size, kv_heads, width) +
         round_up(scales * static_cast<index_t>(sizeof(typename Format::scale_type)), 16);
}

/// `pages` such pages, one after the other: memory of pages * kv_page_bytes, aligned to 16 bytes. width * bits is a multiple
/// of 8.
template <kv_codes Format>
inline kv_code_pages<Format> kv_pages_over(std::byte* data, index_t pages, index_t page_size, index_t kv_heads,
                                           index_t width) {
  using scale_type    = typename Format::scale_type;
  index_t const bytes = width * Format::bits / 8, groups = kv_groups<Format>(width);
  index_t const page   = kv_page_bytes<Format>(page_size, kv_heads, width);
  auto* const   scales = data ? data + kv_code_bytes<Format>(page_size, kv_heads, width) : data;
  return {
      {reinterpret_cast<std::uint8_t*>(data), {pages, page_size, kv_heads, bytes}, {page, kv_heads * bytes, bytes, 1}},
      {reinterpret_cast<scale_type*>(scales),
       {pages, page_size, kv_heads, groups},
       {page / static_cast<index_t>(sizeof(scale_type)), kv_heads * groups, groups, 1}}};
}

}  // namespace tenon
