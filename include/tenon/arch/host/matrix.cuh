#pragma once
//  Tensor-core fragments, see cuda/matrix.cuh for the layouts.
#include <tenon/core/numeric.hpp>
#include <tenon/simt/block.hpp>

#include <cstdint>
#include <cstring>

namespace tenon::inline host::arch {

namespace detail {

template <int N>
struct ldmatrix_lane {
  void const*    row;
  std::uint32_t* r;
};

template <int N, bool Transposed>
void ldmatrix_warp(void* const* lanes, unsigned) {
  for (int m = 0; m < N; ++m) {
    std::uint16_t matrix[8][8];
    for (int i = 0; i < 8; ++i) std::memcpy(matrix[i], static_cast<ldmatrix_lane<N> const*>(lanes[8 * m + i])->row, 16);
    for (int l = 0; l < 32; ++l) {
      int const           g = l / 4, t = l % 4;
      std::uint16_t const low                              = Transposed ? matrix[2 * t][g] : matrix[g][2 * t];
      std::uint16_t const high                             = Transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
      static_cast<ldmatrix_lane<N> const*>(lanes[l])->r[m] = low | static_cast<std::uint32_t>(high) << 16;
    }
  }
}

struct mma_lane {
  float*               d;
  std::uint32_t const* a;
  std::uint32_t const* b;
};

template <class T>
void mma_m16n8k16_warp(void* const* lanes, unsigned) {
  float a[16][16], b[8][16], d[16][8];
  auto  half = [](std::uint32_t r, int h) {
    return static_cast<float>(T::from_bits(static_cast<std::uint16_t>(r >> (16 * h))));
  };
  for (int l = 0; l < 32; ++l) {
    auto const& lane = *static_cast<mma_lane const*>(lanes[l]);
    int const   g = l / 4, t = l % 4;
    for (int r = 0; r < 4; ++r)
      for (int h = 0; h < 2; ++h) a[g + 8 * (r & 1)][2 * t + h + 8 * (r >> 1)] = half(lane.a[r], h);
    for (int r = 0; r < 2; ++r)
      for (int h = 0; h < 2; ++h) b[g][2 * t + h + 8 * r] = half(lane.b[r], h);
    for (int v = 0; v < 4; ++v) d[g + 8 * (v >> 1)][2 * t + (v & 1)] = lane.d[v];
  }
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      for (int k = 0; k < 16; ++k) d[i][j] += a[i][k] * b[j][k];
  for (int l = 0; l < 32; ++l) {
    auto const& lane = *static_cast<mma_lane const*>(lanes[l]);
    int const   g = l / 4, t = l % 4;
    for (int v = 0; v < 4; ++v) lane.d[v] = d[g + 8 * (v >> 1)][2 * t + (v & 1)];
  }
}

}  // namespace detail

template <int N>
inline void ldmatrix(std::uint32_t (&r)[N], void const* row, simt::site at = simt::site::here()) {
  detail::ldmatrix_lane<N> mine{row, r};
  simt::block::current->warp_collective(simt::warp_operation::ldmatrix, at, ~0u, &mine,
                                        detail::ldmatrix_warp<N, false>);
}

template <int N>
inline void ldmatrix_transposed(std::uint32_t (&r)[N], void const* row, simt::site at = simt::site::here()) {
  detail::ldmatrix_lane<N> mine{row, r};
  simt::block::current->warp_collective(simt::warp_operation::ldmatrix, at, ~0u, &mine, detail::ldmatrix_warp<N, true>);
}

template <class T>
inline void mma_m16n8k16(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2],
                         simt::site at = simt::site::here()) {
  detail::mma_lane mine{d, a, b};
  simt::block::current->warp_collective(simt::warp_operation::mma, at, ~0u, &mine, detail::mma_m16n8k16_warp<T>);
}

}  // namespace tenon::inline host::arch
