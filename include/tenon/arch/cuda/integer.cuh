#pragma once
//  Bits of registers. PTX: lop3.b32, prmt.b32.
#include <cstdint>

namespace tenon::inline cuda::arch {

/// Any bitwise function of three words: bit 4 a + 2 b + c of Lut is its value at (a, b, c). So the table of an expression
/// is the expression itself of 0xf0, 0xcc and 0xaa: lop3<(0xf0 & 0xcc) | 0xaa>(a, b, c) is (a & b) | c.
template <int Lut>
__device__ inline std::uint32_t lop3(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  static_assert(Lut >= 0 && Lut < 256, "tenon::arch::lop3: Lut has 8 bits");
  std::uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(Lut));
  return d;
}

/// Four of the eight bytes of a (0 to 3) and b (4 to 7): nibble i of `selector` names byte i of the result by its lower
/// three bits; with its highest bit set the result is that byte's sign, eight times.
__device__ inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  std::uint32_t d;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(selector));
  return d;
}

}  // namespace tenon::inline cuda::arch
