#pragma once
//  Random numbers that find rounding: of a format with E exponent and M fraction bits, as bit patterns.
#include <tenon/config.hpp>

#include <cstdint>

namespace probe {

enum class shape : unsigned {
  any,      // all bit patterns, NaN and infinity among them
  wide,     // finite, all exponents
  close,    // within a factor of 16
  tiny,     // subnormals and the least normals
  special,  // mostly zeros, infinities, NaN, extremes, ones
  count
};

template <int E, int M>
struct format {
  static constexpr int           bits = 1 + E + M;
  static constexpr std::uint32_t sign = 1u << (E + M), fraction = (1u << M) - 1, exponent = ((1u << E) - 1) << M;

  TENON_HD static std::uint32_t shaped(shape how, std::uint32_t r) {
    std::uint32_t const     low  = r & (sign | fraction);
    constexpr std::uint32_t one  = ((1u << (E - 1)) - 1) << M;
    std::uint32_t const     high = r * 0x9e3779b1u >> 8;  // independent of the low bits
    switch (how) {
      case shape::any: return r & (sign | exponent | fraction);
      case shape::wide: return low | (high % ((1u << E) - 1)) << M;
      case shape::close: return low | (one + (high % 4) * (1u << M) - (2u << M));
      case shape::tiny: return low | (high % 3) << M;
      default: break;
    }
    switch (high % 10) {
      case 0: return r & sign;
      case 1: return (r & sign) | exponent;             // infinity
      case 2: return (r & sign) | exponent | fraction;  // NaN
      case 3: return (r & sign) | (exponent - 1);       // the largest finite
      case 4: return (r & sign) | 1;                    // the least subnormal
      case 5: return (r & sign) | fraction;             // the largest subnormal
      case 6: return (r & sign) | 1u << M;              // the least normal
      case 7: return (r & sign) | one;
      case 8: return low | exponent;  // any NaN
      default: return low | (high / 10 % ((1u << E) - 1)) << M;
    }
  }

  /// As many as a word holds.
  TENON_HD static std::uint32_t packed(shape how, std::uint32_t r) {
    std::uint32_t word = 0;
    for (int at = 0; at + bits <= 32; at += bits) {
      word |= shaped(how, r) << at;
      r = r * 0x85ebca6bu + 0xc2b2ae35u;
      r ^= r >> 15;
    }
    return word;
  }
};

using f32_bits  = format<8, 23>;
using f16_bits  = format<5, 10>;
using bf16_bits = format<8, 7>;
using e4m3_bits = format<4, 3>;
using e5m2_bits = format<5, 2>;

}  // namespace probe
