#pragma once
//  What a warp's matrix instructions compute, over the operands of its 32 lanes (layouts: arch/cuda/matrix.cuh).
#include <tenon/config.hpp>
#include <tenon/simt/tensor_core/operation.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

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

/// The same for every a[i] and b[j].
inline void mma_warp(mma_operation const& what, mma_tiles const& tiles, numerics how, void* const* lanes) {
  if (tiles.high == 1 && tiles.wide == 1) return mma_warp(what, how, lanes);
  mma_lane lane[32];
  void*    pointers[32];
  for (int l = 0; l < 32; ++l) pointers[l] = &lane[l];
  auto const at = [](auto* p, std::ptrdiff_t bytes) {
    using to = std::conditional_t<std::is_const_v<std::remove_pointer_t<decltype(p)>>, char const*, char*>;
    return reinterpret_cast<decltype(p)>(reinterpret_cast<to>(p) + bytes);
  };
  for (int i = 0; i < tiles.high; ++i)
    for (int j = 0; j < tiles.wide; ++j) {
      for (int l = 0; l < 32; ++l) {
        auto const& from = *static_cast<mma_lane const*>(lanes[l]);
        lane[l]          = {from.what, static_cast<char*>(from.d) + i * tiles.d_down + j * tiles.d_across,
                            at(from.a, i * tiles.a_down), at(from.b, j * tiles.b_across)};
      }
      mma_warp(what, how, pointers);
    }
}

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
inline thread_local numerics tensor_core_numerics = numerics::f32;

/// Rows of eight 16-bit elements, four words each.
typedef std::uint16_t matrix_row __attribute__((vector_size(16)));

inline void transpose(matrix_row (&r)[8]) {
  matrix_row a[8], b[8];
  for (int i = 0; i < 4; ++i) {
    a[2 * i]     = __builtin_shufflevector(r[i], r[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
    a[2 * i + 1] = __builtin_shufflevector(r[i], r[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
  }
  for (int i = 0; i < 4; ++i) {
    b[2 * i]     = __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
    b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
  }
  for (int i = 0; i < 4; ++i) {
    r[2 * i]     = __builtin_shufflevector(b[i], b[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
    r[2 * i + 1] = __builtin_shufflevector(b[i], b[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
  }
}

/// Lane 8 m + i names row i of matrix m; lane l gets row l / 4, columns 2 (l % 4) and one more, of each matrix.
inline void ldmatrix_warp(void* const* lanes, int count, bool transposed) {
  for (int m = 0; m < count; ++m) {
    matrix_row r[8];
    for (int i = 0; i < 8; ++i) std::memcpy(&r[i], static_cast<ldmatrix_lane const*>(lanes[8 * m + i])->row, 16);
    if (transposed) transpose(r);
    for (int g = 0; g < 8; ++g) {
      std::uint32_t words[4];
      std::memcpy(words, &r[g], 16);
      for (int t = 0; t < 4; ++t) static_cast<ldmatrix_lane const*>(lanes[4 * g + t])->r[m] = words[t];
    }
  }
}

/// The inverse of ldmatrix_warp.
inline void stmatrix_warp(void* const* lanes, int count, bool transposed) {
  for (int m = 0; m < count; ++m) {
    matrix_row r[8];
    for (int g = 0; g < 8; ++g) {
      std::uint32_t words[4];
      for (int t = 0; t < 4; ++t) words[t] = static_cast<stmatrix_lane const*>(lanes[4 * g + t])->r[m];
      std::memcpy(&r[g], words, 16);
    }
    if (transposed) transpose(r);
    for (int i = 0; i < 8; ++i) std::memcpy(static_cast<stmatrix_lane const*>(lanes[8 * m + i])->row, &r[i], 16);
  }
}

/// One 8 x 8 matrix of 16-bit elements in registers, transposed into registers. `lanes` are movmatrix_lane.
inline void movmatrix_warp(void* const* lanes) {
  matrix_row r[8];
  for (int l = 0; l < 32; ++l) {
    auto const from                             = static_cast<movmatrix_lane const*>(lanes[l])->from;
    r[l / 4][2 * (l % 4)]                       = static_cast<std::uint16_t>(from),
                      r[l / 4][2 * (l % 4) + 1] = static_cast<std::uint16_t>(from >> 16);
  }
  transpose(r);
  for (int l = 0; l < 32; ++l)
    static_cast<movmatrix_lane*>(lanes[l])->to =
        r[l / 4][2 * (l % 4)] | static_cast<std::uint32_t>(r[l / 4][2 * (l % 4) + 1]) << 16;
}

}  // namespace tenon::simt
