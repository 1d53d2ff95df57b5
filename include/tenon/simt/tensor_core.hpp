#pragma once
//  What a warp's matrix instructions compute, over the operands of its 32 lanes (layouts: arch/cuda/matrix.cuh).
#include <tenon/config.hpp>
#include <tenon/simt/tensor_core/operation.hpp>

#include <cstdint>
#include <cstring>

namespace tenon::simt {

/// Executes one mma.sync over the lanes' fragments (32 mma_lane).
#if TENON_CHECKED
void mma_warp(mma_operation const& what, numerics how, void* const* lanes);
#else
inline void mma_warp(mma_operation const& what, numerics how, void* const* lanes);
#endif

}  // namespace tenon::simt

// In a checked program checked_runtime.cpp alone has the arithmetic: instrumented code, of which this is no part, is slow.
#if defined(__SANITIZE_THREAD__)
#  define TENON_SIMT_INSTRUMENTED 1
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define TENON_SIMT_INSTRUMENTED 1
#  endif
#endif
#if !TENON_CHECKED || !defined(TENON_SIMT_INSTRUMENTED)
#  include <tenon/simt/tensor_core/mma.hpp>
#endif
#undef TENON_SIMT_INSTRUMENTED

namespace tenon::simt {

struct ldmatrix_lane {
  void const*    row;
  std::uint32_t* r;
};

struct stmatrix_lane {
  void*                row;
  std::uint32_t const* r;
};

struct movmatrix_lane {
  std::uint32_t from;
  std::uint32_t to;
};

/// Of the plain runs of this OS thread.
inline thread_local numerics tensor_core_numerics = numerics::fast;

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

/// One 8 x 8 matrix of 16-bit elements in registers, transposed into registers. `lanes` are movmatrix_lane.
inline void movmatrix_warp(void* const* lanes) {
  for (int l = 0; l < 32; ++l) {
    // Rows 2t and 2t + 1 of column g lie in lanes 8t + g / 2 and 8t + 4 + g / 2, half g % 2.
    int const           g = l / 4, t = l % 4, half = 16 * (g % 2);
    auto const          word = [&](int lane) { return static_cast<movmatrix_lane const*>(lanes[lane])->from >> half; };
    std::uint32_t const low = word(8 * t + g / 2) & 0xffffu, high = word(8 * t + 4 + g / 2) & 0xffffu;
    static_cast<movmatrix_lane*>(lanes[l])->to = low | high << 16;
  }
}

}  // namespace tenon::simt
