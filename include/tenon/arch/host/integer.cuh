#pragma once
//  Bits of registers, see cuda/integer.cuh.
#include <cstdint>

namespace tenon::inline host::arch {

template <int Lut>
constexpr std::uint32_t lop3(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  static_assert(Lut >= 0 && Lut < 256, "tenon::arch::lop3: Lut has 8 bits");
  std::uint32_t d = 0;
  for (int i = 0; i < 8; ++i)
    if (Lut >> i & 1) d |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return d;
}

constexpr std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  std::uint64_t const bytes = a | static_cast<std::uint64_t>(b) << 32;
  std::uint32_t       d     = 0;
  for (int i = 0; i < 4; ++i) {
    unsigned const nibble = selector >> (4 * i) & 15;
    auto           byte   = static_cast<std::uint32_t>(bytes >> (8 * (nibble & 7)) & 0xff);
    if (nibble & 8) byte = byte & 0x80 ? 0xff : 0;
    d |= byte << (8 * i);
  }
  return d;
}

}  // namespace tenon::inline host::arch
