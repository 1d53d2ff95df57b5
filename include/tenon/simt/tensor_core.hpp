#pragma once
//  What a warp's matrix instructions compute, over the operands of its 32 lanes (layouts: arch/cuda/matrix.cuh).
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tenon::simt {

struct ldmatrix_lane {
  void const*    row;
  std::uint32_t* r;
};

struct stmatrix_lane {
  void*                row;
  std::uint32_t const* r;
};

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

/// How the tensor core sums: `fast` in fp32 in the order of k, the others bit for bit as that generation does.
enum class numerics { fast, ampere, ada, hopper };

/// Of the plain runs of this OS thread.
inline thread_local numerics tensor_core_numerics = numerics::fast;

struct mma_lane {
  mma_operation const* what;
  void*                d;  // float, half2 words or int32, as PTX lays fragments out
  std::uint32_t const* a;
  std::uint32_t const* b;
};

/// Lane 8 m + i names row i of matrix m; lane l gets row l / 4, columns 2 (l % 4) and one more, of each matrix.
inline void ldmatrix_warp(void* const* lanes, int count, bool transposed) {
  for (int m = 0; m < count; ++m) {
    std::uint16_t matrix[8][8];
    for (int i = 0; i < 8; ++i) std::memcpy(matrix[i], static_cast<ldmatrix_lane const*>(lanes[8 * m + i])->row, 16);
    for (int l = 0; l < 32; ++l) {
      int const           g = l / 4, t = l % 4;
      std::uint16_t const low                           = transposed ? matrix[2 * t][g] : matrix[g][2 * t];
      std::uint16_t const high                          = transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
      static_cast<ldmatrix_lane const*>(lanes[l])->r[m] = low | static_cast<std::uint32_t>(high) << 16;
    }
  }
}

/// The inverse of ldmatrix_warp.
inline void stmatrix_warp(void* const* lanes, int count, bool transposed) {
  for (int m = 0; m < count; ++m) {
    std::uint16_t matrix[8][8];
    for (int l = 0; l < 32; ++l) {
      int const           g = l / 4, t = l % 4;
      std::uint32_t const r                                      = static_cast<stmatrix_lane const*>(lanes[l])->r[m];
      (transposed ? matrix[2 * t][g] : matrix[g][2 * t])         = static_cast<std::uint16_t>(r);
      (transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1]) = static_cast<std::uint16_t>(r >> 16);
    }
    for (int i = 0; i < 8; ++i) std::memcpy(static_cast<stmatrix_lane const*>(lanes[8 * m + i])->row, matrix[i], 16);
  }
}

/// The values of f16 or bf16 bit patterns, specials and subnormals included, in a loop without branches.
template <class T>
void widen(float* to, std::uint16_t const* bits, int count) {
  for (int i = 0; i < count; ++i) {
    std::uint32_t const b = bits[i];
    if constexpr (std::is_same_v<T, bf16>) {
      to[i] = tenon::bit_cast<float>(b << 16);
    } else {
      // The exponent's bias grows from 15 to 127 by a multiplication, which makes subnormals normal on the way.
      std::uint32_t const magnitude =
          tenon::bit_cast<std::uint32_t>(tenon::bit_cast<float>((b & 0x7fffu) << 13) * 0x1p112f);
      std::uint32_t const special = (b & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
      to[i]                       = tenon::bit_cast<float>(magnitude | special | (b & 0x8000u) << 16);
    }
  }
}

/// d += a b over k = 16, fp32 products and sums in the order of k.
template <class T>
void mma_m16n8k16_warp(void* const* lanes) {
  std::uint16_t a_bits[16][16], b_bits[16][8];
  float         a[16][16], b[16][8], d[16][8];
  auto const    half = [](std::uint32_t r, int h) { return static_cast<std::uint16_t>(r >> (16 * h)); };
  for (int l = 0; l < 32; ++l) {
    auto const& lane = *static_cast<mma_lane const*>(lanes[l]);
    int const   g = l / 4, t = l % 4;
    for (int r = 0; r < 4; ++r)
      for (int h = 0; h < 2; ++h) a_bits[g + 8 * (r & 1)][2 * t + h + 8 * (r >> 1)] = half(lane.a[r], h);
    for (int r = 0; r < 2; ++r)
      for (int h = 0; h < 2; ++h) b_bits[2 * t + h + 8 * r][g] = half(lane.b[r], h);
    for (int v = 0; v < 4; ++v) d[g + 8 * (v >> 1)][2 * t + (v & 1)] = static_cast<float const*>(lane.d)[v];
  }
  widen<T>(a[0], a_bits[0], 16 * 16);
  widen<T>(b[0], b_bits[0], 16 * 8);
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k)
      for (int j = 0; j < 8; ++j) d[i][j] += a[i][k] * b[k][j];
  for (int l = 0; l < 32; ++l) {
    auto const& lane = *static_cast<mma_lane const*>(lanes[l]);
    int const   g = l / 4, t = l % 4;
    for (int v = 0; v < 4; ++v) static_cast<float*>(lane.d)[v] = d[g + 8 * (v >> 1)][2 * t + (v & 1)];
  }
}

/// Executes one mma.sync over the lanes' fragments (32 mma_lane).
inline void mma_warp(mma_operation const& what, numerics, void* const* lanes) {
  if (what.a == operand::f16) mma_m16n8k16_warp<f16>(lanes);
  else mma_m16n8k16_warp<bf16>(lanes);
}

}  // namespace tenon::simt
