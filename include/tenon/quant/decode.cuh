#pragma once
//  From the words of a packed atom (quant/packed_weight.hpp) to fragments of a tensor-core product, in registers, exactly:
//  what comes out is the number that the code stands for, less its zero point. Scales are applied to sums, in fp32.
//
//  Inputs of 16 bits (order pairs): both halves of a register lie 16 bits apart in a word, so each step serves two numbers.
//
//    int4   f16    code | 0x6400 is 1024 + code; one fma takes 1024 + zero away. Codes in bits 4..7 of a half stay there:
//                  1024 + 16 code, times 1/16, less 64 + zero.
//           bf16   code | 0x4300 is 128 + code, less 128 + zero
//    int8   f16    code ^ 0x6480 is 1024 + (code + 128), less 1152
//           bf16   its lower seven bits with 0x4300 are 128 + low; its sign bit in 0xc300 makes -128 into -256: their sum
//    fp8    f16    exponent and fraction moved into place, times 2^8, the difference of the exponents' biases: subnormals
//           bf16   become normal by the way. Times 2^120.
//    fp4           the same, times 2^14 and 2^126
//
//  Inputs of 8 bits (order quads): int8 and e4m3 registers are what the product takes; int4 becomes int8, four at a time.
//
//  Source: K. Kim et al., "Who says elephants can't run", 2022, section 3 (magic numbers of f16); PTX ISA 8.8, lop3.b32.
//  Test tests/quant/decode_test.cpp.
#include <tenon/arch/arch.cuh>
#include <tenon/core/numeric.hpp>
#include <tenon/quant/packed_weight.hpp>
#include <tenon/tile/mma.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon {

/// The number that a code (of bits_of(Code) bits) stands for, less the zero point of int4.
template <weight_code Code>
TENON_HD constexpr float decode_number(std::uint32_t code, int zero = 8) {
  if constexpr (Code == weight_code::int4) return static_cast<float>(static_cast<int>(code) - zero);
  else if constexpr (Code == weight_code::int8)
    return static_cast<float>(static_cast<int>(code) - static_cast<int>(code & 128) * 2);
  else if constexpr (Code == weight_code::fp8)
    return static_cast<float>(e4m3::from_bits(static_cast<std::uint8_t>(code)));
  else return static_cast<float>(e2m1::from_bits(static_cast<std::uint8_t>(code)));
}

/// Whether inputs of T meet weights of this code on tensor cores: 16 bits all of them, int8_t integers, e4m3 fp8.
template <weight_code Code, class T>
concept decodes_for = std::is_same_v<T, f16> || std::is_same_v<T, bf16> ||
                      (std::is_same_v<T, std::int8_t> && (Code == weight_code::int4 || Code == weight_code::int8)) ||
                      (std::is_same_v<T, e4m3> && Code == weight_code::fp8);

/// The order in which weights for inputs of T are packed.
template <class T>
inline constexpr pack_order pack_order_of =
    std::is_same_v<T, std::int8_t> || std::is_same_v<T, e4m3> ? pack_order::quads : pack_order::pairs;

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

namespace decode {

/// (a & b) | c, (a & b) ^ c
__device__ inline std::uint32_t and_or(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return arch::lop3<(0xf0 & 0xcc) | 0xaa>(a, b, c);
}
__device__ inline std::uint32_t and_xor(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return arch::lop3<(0xf0 & 0xcc) ^ 0xaa>(a, b, c);
}

/// A word moved by a number of bits that the compiler knows: left where it is positive.
template <int By>
__device__ constexpr std::uint32_t moved(std::uint32_t word) {
  if constexpr (By >= 0) return word << By;
  else return word >> -By;
}

/// Two small floats with `Exponent` and `Fraction` bits whose lowest bits are bits `At` and At + 16 of a word, as T.
template <class T, int Exponent, int Fraction, int At>
__device__ inline std::uint32_t widen_small(std::uint32_t word) {
  constexpr int           top = At + Exponent + Fraction, fraction = std::is_same_v<T, f16> ? 10 : 7;
  constexpr int           bias = (std::is_same_v<T, f16> ? 15 : 127) - ((1 << (Exponent - 1)) - 1);
  constexpr std::uint32_t body = ((1u << (Exponent + Fraction)) - 1) << (fraction - Fraction), minus_zero = 0x80008000u;
  std::uint32_t const     magnitude = moved<fraction - Fraction - At>(word) & (body * 0x10001u);
  std::uint32_t const     v         = and_or(moved<15 - top>(word), minus_zero, magnitude);
  // 2^bias, by its exponent field
  constexpr std::uint32_t scale = static_cast<std::uint32_t>(bias + (std::is_same_v<T, f16> ? 15 : 127)) << fraction;
  return arch::fma_pair<T>(v, scale * 0x10001u, minus_zero);
}

/// Codes `Register` and Register + 2 of the four bytes in a word, int8 or fp8, as a pair of T. Exact.
template <weight_code Code, class T, int Register>
__device__ inline std::uint32_t eights(std::uint32_t word) {
  static_assert(bits_of(Code) == 8 && (Register == 0 || Register == 1));
  if constexpr (Code == weight_code::fp8) {
    return widen_small<T, 4, 3, 8 * Register>(word);
  } else {
    std::uint32_t const w = Register == 0 ? word : word >> 8;
    if constexpr (std::is_same_v<T, f16>)
      return arch::fma_pair<f16>(and_xor(w, 0x00ff00ffu, 0x64806480u), 0x3c003c00u, 0xe480e480u);
    else
      return arch::fma_pair<bf16>(and_or(w, 0x007f007fu, 0x43004300u), 0x3f803f80u,
                                  and_or(w, 0x00800080u, 0xc300c300u));
  }
}

/// What nibbles() adds to bring a zero point to 0: to registers 0 and 2 (f16: units of the last place are one), and to 1 and
/// 3 (f16: sixteenths).
template <class T>
__device__ constexpr std::uint32_t even_offset(std::uint32_t zero) {
  return (std::is_same_v<T, f16> ? 0xe400e400u : 0xc300c300u) + zero * 0x10001u;  // -(1024 + zero), -(128 + zero)
}
template <class T>
__device__ constexpr std::uint32_t odd_offset(std::uint32_t zero) {
  return std::is_same_v<T, f16> ? 0xd400d400u + (zero << 4) * 0x10001u : even_offset<T>(zero);  // -(64 + zero)
}

/// Codes `Register` and Register + 4 of the eight int4 in a word, as a pair of T; `offset` as above. Exact.
template <class T, int Register>
__device__ inline std::uint32_t nibbles(std::uint32_t word, std::uint32_t offset) {
  if constexpr (std::is_same_v<T, f16>) {
    std::uint32_t const w = Register < 2 ? word : word >> 8;
    if constexpr (Register % 2 == 0)
      return arch::fma_pair<f16>(and_or(w, 0x000f000fu, 0x64006400u), 0x3c003c00u, offset);
    else return arch::fma_pair<f16>(and_or(w, 0x00f000f0u, 0x64006400u), 0x2c002c00u, offset);
  } else {
    return arch::fma_pair<bf16>(and_or(word >> (4 * Register), 0x000f000fu, 0x43004300u), 0x3f803f80u, offset);
  }
}

}  // namespace decode

/// The words of one lane -> the A fragments of an atom, for inputs of T. `steps` of them: 16 columns each for T of 16
/// bits, 32 for 8 bits. Word w is at packed::position::byte(): 8-bit atoms have words 4..7 512 bytes after 0..3.
///
/// One object serves rows g and g + 8 of an atom; int4 with zero points wants another for each group.
template <weight_code Code, class T>
requires decodes_for<Code, T>
struct packed_decoder {
  static constexpr weight_code code  = Code;
  static constexpr int         words = packed::words_per_lane(Code);
  static constexpr bool        pairs = pack_order_of<T> == pack_order::pairs;
  static constexpr int         steps = pairs ? 4 : 2;
  static constexpr bool        zeros = Code == weight_code::int4;  // have a meaning

  std::uint32_t offset[2] = {};  // of rows g and g + 8

  __device__ packed_decoder() { set_zeros(8, 8); }
  /// Zero points of rows g and g + 8.
  __device__ void set_zeros(std::uint32_t low, std::uint32_t high) {
    if constexpr (zeros && pairs) {
      offset[0] = decode::even_offset<T>(low), offset[1] = decode::odd_offset<T>(high);
    } else if constexpr (zeros) {
      offset[0] = low * 0x01010101u, offset[1] = high * 0x01010101u;
    }
  }

  /// Step `Step`.
  template <int Step>
  __device__ tile::fragment_a at(std::uint32_t const (&word)[words]) const {
    static_assert(Step >= 0 && Step < steps);
    tile::fragment_a f;
    if constexpr (!pairs && Code == weight_code::int4) {
      f.r[0] = bytes(word[2 * Step], 0), f.r[1] = bytes(word[2 * Step] >> 4, 1);
      f.r[2] = bytes(word[2 * Step + 1], 0), f.r[3] = bytes(word[2 * Step + 1] >> 4, 1);
    } else if constexpr (!pairs) {
      TENON_UNROLL_DEVICE
      for (int r = 0; r < 4; ++r) f.r[r] = word[4 * Step + r];
    } else if constexpr (bits_of(Code) == 4) {
      f.r[0] = nibbles<0>(word[Step]), f.r[1] = nibbles<1>(word[Step]);
      f.r[2] = nibbles<2>(word[Step]), f.r[3] = nibbles<3>(word[Step]);
    } else {
      f.r[0] = decode::eights<Code, T, 0>(word[2 * Step]), f.r[1] = decode::eights<Code, T, 1>(word[2 * Step]);
      f.r[2] = decode::eights<Code, T, 0>(word[2 * Step + 1]), f.r[3] = decode::eights<Code, T, 1>(word[2 * Step + 1]);
    }
    return f;
  }

 private:
  /// Register `Register` of the four in a word of nibbles.
  template <int Register>
  __device__ std::uint32_t nibbles(std::uint32_t word) const {
    if constexpr (Code == weight_code::fp4) return decode::widen_small<T, 2, 1, 4 * Register>(word);
    else return decode::nibbles<T, Register>(word, offset[Register % 2]);
  }
  /// Four codes in the low nibbles, less the zero point: no byte borrows from its neighbour.
  __device__ std::uint32_t bytes(std::uint32_t word, int half) const {
    return (decode::and_or(word, 0x0f0f0f0fu, 0x80808080u) - offset[half]) ^ 0x80808080u;
  }
};

namespace tile {

/// d += a b for e4m3, 32 columns. a without NaN (weights); of b any. Native: by an instruction (sm_89); else as two
/// products of f16, columns in another order on both sides. Sums may differ in the last bits.
template <bool Native>
__device__ inline void mma_fp8(accumulator& d, fragment_a const& a, fragment_b const& b) {
  if constexpr (Native) {
    arch::mma_m16n8k32<e4m3>(d.v, a.r, b.r);
  } else {
    TENON_UNROLL_DEVICE
    for (int h = 0; h < 2; ++h) {  // bytes 0, 2 of every word are the first eight columns, 1, 3 the others
      fragment_a wide;
      wide.r[0]                 = decode::widen_small<f16, 4, 3, 0>(a.r[2 * h]);
      wide.r[1]                 = decode::widen_small<f16, 4, 3, 0>(a.r[2 * h + 1]);
      wide.r[2]                 = decode::widen_small<f16, 4, 3, 8>(a.r[2 * h]);
      wide.r[3]                 = decode::widen_small<f16, 4, 3, 8>(a.r[2 * h + 1]);
      std::uint32_t const apart = arch::permute_bytes(b.r[h], 0, 0x3120);  // bytes 0, 2, 1, 3
      fragment_b          narrow;
      narrow.r[0] = arch::widen_pair<e4m3>(static_cast<packed_pair<e4m3>>(apart));
      narrow.r[1] = arch::widen_pair<e4m3>(static_cast<packed_pair<e4m3>>(apart >> 16));
      mma<f16>(d, wide, narrow);
    }
  }
}

}  // namespace tile

}  // namespace tenon::inline TENON_TARGET
