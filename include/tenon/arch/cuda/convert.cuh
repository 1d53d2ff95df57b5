#pragma once
//  Conversions between float and the narrow formats of core/numeric.hpp, single and packed. PTX: cvt.
//
//    to                     roundings                    from        instruction since
//    f16, bf16              nearest_even, toward_zero    float       sm_80
//    tf32                   nearest_away                 float       sm_80
//    e4m3, e5m2             nearest_even, saturating     float, f16  sm_89
//    e3m2, e2m3, e2m1       nearest_even, saturating     float       sm_100a
//    ue8m0                  up, toward_zero, saturating  float       sm_100a
//    int8_t, uint8_t        nearest_even, saturating     float       sm_80
//
//  Machines that lack an instruction compute the same with integers. A packed pair has its first value in the lower half:
//  32 bits of f16 and bf16, 8 bits of e2m1, 16 bits of the other formats (those of six bits in a byte each).
//
//  NaN becomes the format's one NaN (f16, bf16: 0x7fff; e4m3, e5m2: 0x7f; ue8m0: 0xff), the largest value where there is
//  none, 0 of an integer. Of a tf32 only the upper 19 bits count.
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/conversion.hpp>
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline cuda::arch {

namespace detail {

/// Whether the compilation is for a machine with conversions below eight bits.
#if (defined(__CUDA_ARCH_SPECIFIC__) || defined(__CUDA_ARCH_FAMILY_SPECIFIC__)) && defined(__CUDA_ARCH__) && \
    __CUDA_ARCH__ >= 1000
#  define TENON_TINY_CONVERSIONS 1
#else
#  define TENON_TINY_CONVERSIONS 0
#endif

/// A format of eight bits or fewer by integers.
template <class T, rounding How>
__device__ inline std::uint8_t narrow(float v) {
  if constexpr (std::is_same_v<T, ue8m0>) return tenon::detail::float_to_ue8m0(v, How == rounding::up);
  else if constexpr (tenon::detail::is_tiny<T>) return T(v).bits;
  else return v == v ? T(v).bits : std::uint8_t{0x7f};
}

}  // namespace detail

/// Two floats as T.
template <class T, rounding How = tenon::detail::default_rounding<T>>
__device__ inline packed_pair<T> convert_pair(float low, float high) {
  static_assert((tenon::detail::is_half<T> || tenon::detail::is_eight_bit_float<T> || tenon::detail::is_tiny<T> ||
                 std::is_same_v<T, ue8m0>)&&tenon::detail::is_rounding<T, How>,
                "tenon::arch::convert_pair: no such format and rounding");
  [[maybe_unused]] std::uint32_t d = 0;
  [[maybe_unused]] std::uint16_t h = 0;
  if constexpr (std::is_same_v<T, f16> && How == rounding::nearest_even) {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
  } else if constexpr (std::is_same_v<T, f16>) {
    asm("cvt.rz.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
  } else if constexpr (std::is_same_v<T, bf16> && How == rounding::nearest_even) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
  } else if constexpr (std::is_same_v<T, bf16>) {
    asm("cvt.rz.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
  } else {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    if constexpr (std::is_same_v<T, e4m3>) {
      asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(h) : "f"(high), "f"(low));
      return h;
    } else if constexpr (std::is_same_v<T, e5m2>) {
      asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(h) : "f"(high), "f"(low));
      return h;
    }
#endif
#if TENON_TINY_CONVERSIONS
    if constexpr (std::is_same_v<T, e3m2>) {
      asm("cvt.rn.satfinite.e3m2x2.f32 %0, %1, %2;" : "=h"(h) : "f"(high), "f"(low));
      return h;
    } else if constexpr (std::is_same_v<T, e2m3>) {
      asm("cvt.rn.satfinite.e2m3x2.f32 %0, %1, %2;" : "=h"(h) : "f"(high), "f"(low));
      return h;
    } else if constexpr (std::is_same_v<T, e2m1>) {
      asm("{ .reg .b8 d; cvt.rn.satfinite.e2m1x2.f32 d, %1, %2; cvt.u16.u8 %0, d; }" : "=h"(h) : "f"(high), "f"(low));
      return static_cast<std::uint8_t>(h);
    } else if constexpr (std::is_same_v<T, ue8m0> && How == rounding::up) {
      asm("cvt.rp.satfinite.ue8m0x2.f32 %0, %1, %2;" : "=h"(h) : "f"(high), "f"(low));
      return h;
    } else if constexpr (std::is_same_v<T, ue8m0>) {
      asm("cvt.rz.satfinite.ue8m0x2.f32 %0, %1, %2;" : "=h"(h) : "f"(high), "f"(low));
      return h;
    }
#endif
    constexpr int bits = std::is_same_v<T, e2m1> ? 4 : 8;
    return static_cast<packed_pair<T>>(detail::narrow<T, How>(low) | detail::narrow<T, How>(high) << bits);
  }
}

/// The same of max(v, 0), rounded to nearest even. f16 and bf16.
template <class T>
__device__ inline std::uint32_t convert_pair_relu(float low, float high) {
  static_assert(tenon::detail::is_half<T>, "tenon::arch::convert_pair_relu: f16 or bf16");
  std::uint32_t d;
  if constexpr (std::is_same_v<T, f16>) asm("cvt.rn.relu.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  else asm("cvt.rn.relu.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}

/// Two f16 as e4m3 or e5m2.
template <class T>
__device__ inline std::uint16_t convert_pair(std::uint32_t f16_pair) {
  static_assert(tenon::detail::is_eight_bit_float<T>, "tenon::arch::convert_pair: e4m3 or e5m2");
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t h;
  if constexpr (std::is_same_v<T, e4m3>) asm("cvt.rn.satfinite.e4m3x2.f16x2 %0, %1;" : "=h"(h) : "r"(f16_pair));
  else asm("cvt.rn.satfinite.e5m2x2.f16x2 %0, %1;" : "=h"(h) : "r"(f16_pair));
  return h;
#else
  return convert_pair<T>(static_cast<float>(f16::from_bits(static_cast<std::uint16_t>(f16_pair))),
                         static_cast<float>(f16::from_bits(static_cast<std::uint16_t>(f16_pair >> 16))));
#endif
}

/// A packed pair as two f16, of ue8m0 as two bf16 (f16 has not its range): exact.
template <class T>
__device__ inline std::uint32_t widen_pair(packed_pair<T> v) {
  static_assert(tenon::detail::is_eight_bit_float<T> || tenon::detail::is_tiny<T> || std::is_same_v<T, ue8m0>,
                "tenon::arch::widen_pair: no such format");
  [[maybe_unused]] std::uint32_t d = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  if constexpr (std::is_same_v<T, e4m3>) {
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(d) : "h"(v));
    return d;
  } else if constexpr (std::is_same_v<T, e5m2>) {
    asm("cvt.rn.f16x2.e5m2x2 %0, %1;" : "=r"(d) : "h"(v));
    return d;
  }
#endif
#if TENON_TINY_CONVERSIONS
  if constexpr (std::is_same_v<T, e3m2>) {
    asm("cvt.rn.f16x2.e3m2x2 %0, %1;" : "=r"(d) : "h"(v));
    return d;
  } else if constexpr (std::is_same_v<T, e2m3>) {
    asm("cvt.rn.f16x2.e2m3x2 %0, %1;" : "=r"(d) : "h"(v));
    return d;
  } else if constexpr (std::is_same_v<T, e2m1>) {
    asm("{ .reg .b8 s; cvt.u8.u16 s, %1; cvt.rn.f16x2.e2m1x2 %0, s; }" : "=r"(d) : "h"(static_cast<std::uint16_t>(v)));
    return d;
  } else if constexpr (std::is_same_v<T, ue8m0>) {
    asm("cvt.rn.bf16x2.ue8m0x2 %0, %1;" : "=r"(d) : "h"(v));
    return d;
  }
#endif
  constexpr int bits = std::is_same_v<T, e2m1> ? 4 : 8;
  auto const    low  = T::from_bits(static_cast<std::uint8_t>(v & ((1 << bits) - 1))),
             high    = T::from_bits(static_cast<std::uint8_t>(v >> bits));
  if constexpr (std::is_same_v<T, ue8m0>) return convert_pair<bf16>(static_cast<float>(low), static_cast<float>(high));
  else return convert_pair<f16>(static_cast<float>(low), static_cast<float>(high));
}

/// A float as T.
template <class T, rounding How = tenon::detail::default_rounding<T>>
__device__ inline T convert(float v) {
  if constexpr (std::is_same_v<T, tf32>) {
    static_assert(How == rounding::nearest_away, "tenon::arch::convert: no such rounding");
    std::uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
    return tf32::from_bits(bits);
  } else if constexpr (std::is_same_v<T, std::int8_t>) {
    static_assert(How == rounding::nearest_even, "tenon::arch::convert: no such rounding");
    std::int32_t d;
    asm("cvt.rni.sat.s8.f32 %0, %1;" : "=r"(d) : "f"(v));
    return static_cast<std::int8_t>(d);
  } else if constexpr (std::is_same_v<T, std::uint8_t>) {
    static_assert(How == rounding::nearest_even, "tenon::arch::convert: no such rounding");
    std::uint32_t d;
    asm("cvt.rni.sat.u8.f32 %0, %1;" : "=r"(d) : "f"(v));
    return static_cast<std::uint8_t>(d);
  } else {
    constexpr int bits = tenon::detail::is_half<T> ? 16 : std::is_same_v<T, e2m1> ? 4 : 8;
    return T::from_bits(static_cast<decltype(T::bits)>(convert_pair<T, How>(v, 0.f) & ((1u << bits) - 1)));
  }
}

/// Four floats as integers of eight bits, the first in the lowest.
template <class T>
__device__ inline std::uint32_t convert_four(float a, float b, float c, float d) {
  static_assert(tenon::detail::is_byte<T>, "tenon::arch::convert_four: int8_t or uint8_t");
  // Two saturating conversions and packs; the third operand of the first becomes the upper half of the second.
  std::int32_t const w = __float2int_rn(a), x = __float2int_rn(b), y = __float2int_rn(c), z = __float2int_rn(d);
  std::uint32_t      high, all;
  if constexpr (std::is_same_v<T, std::int8_t>) {
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, 0;" : "=r"(high) : "r"(z), "r"(y));
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(all) : "r"(x), "r"(w), "r"(high));
  } else {
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, 0;" : "=r"(high) : "r"(z), "r"(y));
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(all) : "r"(x), "r"(w), "r"(high));
  }
  return all;
}

#undef TENON_TINY_CONVERSIONS

}  // namespace tenon::inline cuda::arch
