#pragma once
//  One mma.sync as a value, and what a lane brings to it.
#include <cstddef>
#include <cstdint>

namespace tenon::simt {

enum class operand { f16, bf16, tf32, e4m3, e5m2, s8, u8, s4, u4 };
enum class accumulator { f32, f16, s32 };

/// One mma.sync: d (m x n) += a (m x k) b (k x n).
struct mma_operation {
  int         m, n, k;
  operand     a, b;
  accumulator d;
  bool        saturate;  // s32 only
  char const* name;
};

/// How the tensor core sums floating-point products: `f32` in fp32 in the order of k, the others bit for bit as that
/// generation does (tensor_core/model.hpp).
enum class numerics { f32, ampere, ada, hopper };

struct mma_lane {
  mma_operation const* what;
  void*                d;  // float, half2 words or int32, as PTX lays fragments out
  std::uint32_t const* a;
  std::uint32_t const* b;
};

/// Several of one kind in one step: d[i][j] += a[i] b[j]. Distances in bytes, from one fragment of a lane to the next.
struct mma_tiles {
  int            high = 1, wide = 1;
  std::ptrdiff_t d_down = 0, d_across = 0, a_down = 0, b_across = 0;
};

constexpr int operand_bits(operand o) {
  switch (o) {
    case operand::f16:
    case operand::bf16: return 16;
    case operand::tf32: return 32;
    case operand::e4m3:
    case operand::e5m2:
    case operand::s8:
    case operand::u8: return 8;
    case operand::s4:
    case operand::u4: return 4;
  }
  return 0;
}
constexpr bool is_fp8(operand o) { return o == operand::e4m3 || o == operand::e5m2; }

/// Exponent of the smallest normal value: subnormals count with it.
constexpr int least_exponent(operand o) {
  switch (o) {
    case operand::f16:
    case operand::e5m2: return -14;
    case operand::e4m3: return -6;
    default: return -126;
  }
}

}  // namespace tenon::simt
