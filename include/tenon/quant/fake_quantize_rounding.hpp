#pragma once
//  The two roundings that quantise in this library, as functors: to the number that a code and its scale stand for,
//  without the code.
//
//    row_rounding     inputs as quantize_rows takes them   number = round_half_even(x * (1 / scale))
//    weight_rounding  weights as quantize_weight does      number = round_half_even(w / scale)
//
//  A product with the inverse and a quotient differ in the last bit now and then, and so do the codes near the middle
//  between two numbers. Training has to see the rounding that inference will use, hence both.
//
//    struct rounding {
//      float scale_of(float absmax, int group) const;   the scale of a cell, from its largest magnitude
//      template <bool Found> struct cell {              Found: whether scale_of made the scale, else somebody else did
//        explicit cell(float scale);
//        float operator()(float v) const;               scale * number
//      };
//      bool valid() const;                              whether its own members are in range
//    };
#include <tenon/config.hpp>
#include <tenon/core/nearest_code.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/quant/weight_format.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon {

/// scale * code, with the scale and the code of quantize_rows.
template <row_code Code>
struct row_rounding {
  /// absmax / 127 (int8) or 448 (e4m3); 0 where it has no reciprocal.
  TENON_HD constexpr float scale_of(float absmax, int) const {
    float const scale = absmax / largest_code<Code>;
    return scale < 0x1p-126f ? 0.f : scale;
  }

  template <bool>
  struct cell {
    float scale, inverse;

    TENON_HD constexpr explicit cell(float s) : scale(s), inverse(s == 0 ? 0.f : 1.f / s) {}
    TENON_HD constexpr float operator()(float v) const {
      return scale * static_cast<float>(nearest_code<Code>(v * inverse));
    }
  };

  constexpr bool valid() const { return true; }
};

/// scale * number, with the scale of weight_scale_method::absmax and the number of quantize_weight; Code is int4, int8,
/// fp8.
template <weight_code Code>
struct weight_rounding {
  static_assert(Code != weight_code::fp4, "tenon::weight_rounding: Code must be int4, int8 or fp8");
  static constexpr bool  integer = Code != weight_code::fp8;
  static constexpr float largest = Code == weight_code::int4 ? 7.f : Code == weight_code::int8 ? 127.f : 448.f;

  float factor = 1;  // quantized_weight::factor, a power of two: what keeps scales within the range of f16

  /// absmax / 7, 127 or 448; int4 and groups of int8 keep f16 scales. 0 where the format has none so small.
  TENON_HD constexpr float scale_of(float absmax, int group) const {
    float stored = absmax / factor / largest;
    if (Code == weight_code::int4 || (Code == weight_code::int8 && group > 0)) stored = static_cast<float>(f16(stored));
    float const scale = stored * factor;
    return scale < least_scale ? 0.f : scale;
  }

  template <bool Found>
  struct cell {
    float scale;

    TENON_HD constexpr explicit cell(float s) : scale(s) {}
    TENON_HD constexpr float operator()(float v) const {
      float const n = scale == 0 ? 0.f : v / scale;
      if constexpr (integer) {
        // Somebody else's scale may use the one code more that two's complement has.
        constexpr float lowest  = Found ? -largest : -largest - 1;
        float const     clamped = n < lowest ? lowest : n > largest ? largest : n;
        return scale * ((clamped + 12582912.f) - 12582912.f);  // 1.5 * 2^23: an ulp is 1 there
      } else {
        return scale * static_cast<float>(nearest_code<e4m3>(n));
      }
    }
  };

  constexpr bool valid() const { return factor >= 0x1p-126f && factor <= 0x1p126f; }

 private:
  // quantize_weight's 1.2e-38, which is no float: the least float above.
  static constexpr float least_scale = 0x1.05563ep-126f;
};

}  // namespace tenon
