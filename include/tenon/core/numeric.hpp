#pragma once
//  The narrow floating-point types, bit-compatible with CUDA's; the host target needs no toolkit header for them.
//
//            sign  exponent  fraction  bias  largest   infinities
//  f16          1         5        10    15    65504   yes            IEEE 754-2008 binary16
//  bf16         1         8         7   127  3.39e38   yes            the upper half of binary32
//  tf32         1         8        10   127  3.40e38   yes            binary32 without its lower 13 bits
//  e4m3         1         4         3     7      448   no, one NaN    Micikevicius et al., "FP8 formats for deep learning",
//  e5m2         1         5         2    15    57344   yes            2022
//  e3m2         1         3         2     3       28   no, no NaN     Open Compute Project, "OCP microscaling formats (MX)
//  e2m3         1         2         3     1      7.5   no, no NaN     specification", version 1.0, 2023
//  e2m1         1         2         1     1        6   no, no NaN     the same
//  ue8m0        0         8         0   127    2^127   no, one NaN    the same; a scale, always a power of two
//
//  Conversion from float rounds to nearest even (tf32: to nearest, ties away from zero); e4m3, e5m2 and narrower saturate
//  to the largest finite value, as cvt.rn.satfinite does. The conversions of f16 and bf16 are the machine's own instructions
//  on CUDA: with arch/ this is the only file that spells them. More ways to round, and pairs: arch/cuda/convert.cuh.
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>

#include <cstdint>

namespace tenon {

namespace detail {

/// The value of a small float with E exponent and M fraction bits, subnormals included; specials are the caller's.
template <int E, int M>
TENON_HD constexpr float expand_small_float(std::uint32_t bits) {
  constexpr int       bias     = (1 << (E - 1)) - 1;
  std::uint32_t const sign     = (bits >> (E + M)) << 31;
  std::uint32_t const exponent = (bits >> M) & ((1u << E) - 1);
  std::uint32_t       fraction = bits & ((1u << M) - 1);
  if (exponent != 0) return bit_cast<float>(sign | ((exponent + 127 - bias) << 23) | (fraction << (23 - M)));
  if (fraction == 0) return bit_cast<float>(sign);
  int shift = 0;
  while (!(fraction & (1u << M))) fraction <<= 1, ++shift;
  fraction &= (1u << M) - 1;
  return bit_cast<float>(sign | (static_cast<std::uint32_t>(128 - bias - shift) << 23) | (fraction << (23 - M)));
}

/// Magnitude bits of |v| rounded to nearest even with E exponent and M fraction bits; may exceed the largest finite
/// pattern by one step, which the caller maps to infinity or saturates. `magnitude` holds the float's lower 31 bits.
template <int E, int M>
TENON_HD constexpr std::uint32_t round_small_float(std::uint32_t magnitude) {
  constexpr int bias     = (1 << (E - 1)) - 1;
  int const     exponent = static_cast<int>(magnitude >> 23) - 127 + bias;
  int           drop     = 23 - M;  // fraction bits that go
  std::uint32_t value    = (magnitude & 0x7fffff) | 0x800000;
  if (exponent <= 0) {  // subnormal in the small format: the leading one moves into the fraction
    drop += 1 - exponent;
    if (drop > 24) return 0;
  }
  std::uint32_t const half = 1u << (drop - 1);
  std::uint32_t const odd  = (value >> drop) & 1;
  value                    = (value + half - 1 + odd) >> drop;
  return exponent <= 0 ? value : value + (static_cast<std::uint32_t>(exponent - 1) << M);
}

TENON_HD constexpr float f16_to_float(std::uint16_t bits) {
#if defined(__CUDA_ARCH__)
  float v;
  asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
  return v;
#elif defined(__FLT16_MANT_DIG__) && !defined(__clang__) && (!defined(__aarch64__) || __GNUC__ >= 13)
  return static_cast<float>(bit_cast<_Float16>(bits));
#else
  if ((bits & 0x7c00) == 0x7c00)
    return bit_cast<float>(((bits & 0x8000u) << 16) | 0x7f800000u | ((bits & 0x3ffu) << 13));
  return expand_small_float<5, 10>(bits);
#endif
}

TENON_HD constexpr std::uint16_t float_to_f16(float v) {
#if defined(__CUDA_ARCH__)
  std::uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
  return bits;
#elif defined(__FLT16_MANT_DIG__) && !defined(__clang__) && (!defined(__aarch64__) || __GNUC__ >= 13)
  return bit_cast<std::uint16_t>(static_cast<_Float16>(v));
#else
  std::uint32_t const u = bit_cast<std::uint32_t>(v), magnitude = u & 0x7fffffff;
  std::uint32_t const sign = (u >> 16) & 0x8000;
  if (magnitude > 0x7f800000) return static_cast<std::uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x1ff));
  std::uint32_t const rounded = round_small_float<5, 10>(magnitude);
  return static_cast<std::uint16_t>(sign | (magnitude >= 0x477ff000 ? 0x7c00 : rounded));
#endif
}

TENON_HD constexpr std::uint16_t float_to_bf16(float v) {
#if defined(__CUDA_ARCH__)
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(v));
  return bits;
#else
  std::uint32_t const u = bit_cast<std::uint32_t>(v);
  if ((u & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>((u >> 16) | 0x40);
  return static_cast<std::uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);
#endif
}

template <int E, int M>
TENON_HD constexpr std::uint8_t float_to_f8(float v) {
  constexpr std::uint32_t largest = E == 4 ? 0x7e : 0x7b;
  std::uint32_t const     u = bit_cast<std::uint32_t>(v), magnitude = u & 0x7fffffff;
  std::uint32_t const     sign = (u >> 24) & 0x80;
  if (magnitude > 0x7f800000) return static_cast<std::uint8_t>(sign | 0x7f);
  std::uint32_t const rounded = magnitude >= 0x47800000 ? largest : round_small_float<E, M>(magnitude);
  return static_cast<std::uint8_t>(sign | (rounded > largest ? largest : rounded));
}

/// e3m2, e2m3, e2m1: no infinity, no NaN (which becomes the largest value), saturating.
template <int E, int M>
TENON_HD constexpr std::uint8_t float_to_tiny(float v) {
  constexpr std::uint32_t largest = (1u << (E + M)) - 1;
  std::uint32_t const     u = bit_cast<std::uint32_t>(v), magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<std::uint8_t>(largest);
  std::uint32_t const rounded = magnitude >= 0x47800000 ? largest : round_small_float<E, M>(magnitude);
  return static_cast<std::uint8_t>((u >> 31) << (E + M) | (rounded > largest ? largest : rounded));
}

TENON_HD constexpr std::uint32_t float_to_tf32(float v) {
  std::uint32_t const u = bit_cast<std::uint32_t>(v);
  if ((u & 0x7fffffff) > 0x7f800000) return 0x7fffe000u;
  return (u + 0x1000u) & ~0x1fffu;
}

/// The power of two below or above |v|; 2^-127 is the smallest, 2^127 the largest, 0xff is NaN.
TENON_HD constexpr std::uint8_t float_to_ue8m0(float v, bool up) {
  std::uint32_t const magnitude = bit_cast<std::uint32_t>(v) & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0xff;
  std::uint32_t exponent = magnitude >> 23;
  // 2^-127, the value of exponent 0, lies in the middle of the subnormals.
  if (up && (exponent == 0 ? magnitude > 0x400000 : (magnitude & 0x7fffff) != 0)) ++exponent;
  return static_cast<std::uint8_t>(exponent > 0xfe ? 0xfe : exponent);
}

}  // namespace detail

struct f16 {
  std::uint16_t bits;

  f16() = default;
  TENON_HD explicit constexpr f16(float v) : bits(detail::float_to_f16(v)) {}
  TENON_HD explicit constexpr   operator float() const { return detail::f16_to_float(bits); }
  TENON_HD static constexpr f16 from_bits(std::uint16_t b) { return bit_cast<f16>(b); }
};

struct bf16 {
  std::uint16_t bits;

  bf16() = default;
  TENON_HD explicit constexpr bf16(float v) : bits(detail::float_to_bf16(v)) {}
  TENON_HD explicit constexpr operator float() const { return bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  TENON_HD static constexpr bf16 from_bits(std::uint16_t b) { return bit_cast<bf16>(b); }
};

struct e4m3 {
  std::uint8_t bits;

  e4m3() = default;
  TENON_HD explicit constexpr e4m3(float v) : bits(detail::float_to_f8<4, 3>(v)) {}
  TENON_HD explicit constexpr operator float() const {
    if ((bits & 0x7f) == 0x7f) return bit_cast<float>(0x7fc00000u);
    return detail::expand_small_float<4, 3>(bits);
  }
  TENON_HD static constexpr e4m3 from_bits(std::uint8_t b) { return bit_cast<e4m3>(b); }
};

struct e5m2 {
  std::uint8_t bits;

  e5m2() = default;
  TENON_HD explicit constexpr e5m2(float v) : bits(detail::float_to_f8<5, 2>(v)) {}
  TENON_HD explicit constexpr operator float() const {
    // The upper half of binary16, specials included.
    return detail::f16_to_float(static_cast<std::uint16_t>(bits << 8));
  }
  TENON_HD static constexpr e5m2 from_bits(std::uint8_t b) { return bit_cast<e5m2>(b); }
};

struct tf32 {
  std::uint32_t bits;

  tf32() = default;
  TENON_HD explicit constexpr tf32(float v) : bits(detail::float_to_tf32(v)) {}
  TENON_HD explicit constexpr    operator float() const { return bit_cast<float>(bits & ~0x1fffu); }
  TENON_HD static constexpr tf32 from_bits(std::uint32_t b) { return bit_cast<tf32>(b); }
};

/// A format below eight bits, in the lower bits of a byte: a sign, Exponent and Mantissa bits, no infinities, no NaN.
template <int Exponent, int Mantissa>
struct tiny_float {
  std::uint8_t bits;

  tiny_float() = default;
  TENON_HD explicit constexpr tiny_float(float v) : bits(detail::float_to_tiny<Exponent, Mantissa>(v)) {}
  TENON_HD explicit constexpr operator float() const {
    return detail::expand_small_float<Exponent, Mantissa>(bits & ((2 << (Exponent + Mantissa)) - 1));
  }
  TENON_HD static constexpr tiny_float from_bits(std::uint8_t b) { return bit_cast<tiny_float>(b); }
};
using e3m2 = tiny_float<3, 2>;
using e2m3 = tiny_float<2, 3>;
using e2m1 = tiny_float<2, 1>;

/// The power of two at or above |v|, at most 2^127 (how a block's scale is chosen: nothing overflows).
struct ue8m0 {
  std::uint8_t bits;

  ue8m0() = default;
  TENON_HD explicit constexpr ue8m0(float v) : bits(detail::float_to_ue8m0(v, true)) {}
  TENON_HD explicit constexpr operator float() const {
    if (bits == 0xff) return bit_cast<float>(0x7fc00000u);
    return bit_cast<float>(bits == 0 ? 0x400000u : static_cast<std::uint32_t>(bits) << 23);
  }
  TENON_HD static constexpr ue8m0 from_bits(std::uint8_t b) { return bit_cast<ue8m0>(b); }
};

/// Four-bit integers, eight to a word, the first in the lowest bits: names of operand types, not storage.
struct s4;
struct u4;

/// What becomes of an integer result that its type cannot hold.
enum class overflow { wrap, saturate };

/// To which of the two neighbours a conversion goes. `up`: the larger magnitude.
enum class rounding { nearest_even, nearest_away, toward_zero, up };

/// What an element of a floating-point tensor may be.
template <class T>
inline constexpr bool is_floating = false;
template <>
inline constexpr bool is_floating<float> = true;
template <>
inline constexpr bool is_floating<double> = true;
template <>
inline constexpr bool is_floating<f16> = true;
template <>
inline constexpr bool is_floating<bf16> = true;
template <>
inline constexpr bool is_floating<e4m3> = true;
template <>
inline constexpr bool is_floating<e5m2> = true;

template <class T>
concept floating = is_floating<T>;

}  // namespace tenon
