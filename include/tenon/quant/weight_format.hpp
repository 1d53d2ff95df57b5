#pragma once
//  What the codes of a quantised weight are and how they share scales, as values.
#include <tenon/config.hpp>

#include <cstdint>
#if !defined(__CUDACC_RTC__)
#  include <string>
#endif

namespace tenon {

/// What one code is.
enum class weight_code : std::uint8_t {
  int4,  // 0..15, less its zero point, which is 8 where the format has none
  int8,  // two's complement, -128..127
  fp8,   // e4m3 (OCP 8-bit floating point, rev. 1.0)
  fp4,   // e2m1 (OCP microscaling formats, v1.0), in the lower four bits
};

constexpr char const* name_of(weight_code code) {
  switch (code) {
    case weight_code::int4: return "int4";
    case weight_code::int8: return "int8";
    case weight_code::fp8: return "fp8";
    case weight_code::fp4: return "fp4";
  }
  return "?";
}

/// Bits that one code takes in memory.
TENON_HD constexpr int bits_of(weight_code code) {
  return code == weight_code::int4 || code == weight_code::fp4 ? 4 : 8;
}

/// How a matrix is quantised, as a value: compare it, print it.
struct weight_format {
  weight_code code        = weight_code::int8;
  int         group       = 0;      // columns that share a scale; 0: a whole row
  int         block_rows  = 1;      // rows that share a scale: 1, or those of a block (DeepSeek's fp8: 128)
  bool        zero_points = false;  // int4 only: one per row and group

  friend constexpr bool operator==(weight_format const&, weight_format const&) = default;
};

#if !defined(__CUDACC_RTC__)
/// "int4, groups of 128, zero points"
inline std::string to_string(weight_format const& f) {
  std::string s = name_of(f.code);
  if (f.block_rows > 1) s += ", blocks of " + std::to_string(f.block_rows) + " x " + std::to_string(f.group);
  else if (f.group > 0) s += ", groups of " + std::to_string(f.group);
  else s += ", one scale per row";
  return f.zero_points ? s + ", zero points" : s;
}
#endif

}  // namespace tenon
