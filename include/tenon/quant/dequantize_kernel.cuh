#pragma once
//  w[i,j] = scale * (code - zero), from the packed form
//
//  A block makes a panel block, 64 rows x 64 columns; a warp one atom of it. A thread takes sixteen neighbouring columns of
//  rows g and g + 8: their codes are in the same words of the four lanes 4 g .. 4 g + 3, whatever their order and number of
//  bits, and the shifts are constants. Four threads store 64 columns of a row.
//  Traffic: codes once (each 32-byte sector by two or four loads, the later ones from L1), w once.
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/quant/decode.cuh>
#include <tenon/quant/dequantize_policy.hpp>
#include <tenon/quant/packed_weight.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class W, class Weight>
struct dequantize_params {
  tensor_view<W, 2> w;  // (n, k)
  Weight            b;  // (n, k)
};

/// Sixteen neighbours of a row of w, the first `count` of them.
template <int Vector, class W>
__device__ inline void store_sixteen(tensor_view<W, 2> const& w, index_t row, index_t column, W const (&v)[16],
                                     int count) {
  W* const to = w.data + row * w.stride[0] + column * w.stride[1];
  if constexpr (Vector > 1) {
    constexpr int N = Vector / static_cast<int>(sizeof(W));
    if (count == 16) {
      TENON_UNROLL_DEVICE
      for (int i = 0; i < 16; i += N) {
        vec<W, N> some;
        TENON_UNROLL_DEVICE
        for (int e = 0; e < N; ++e) some[e] = v[i + e];
        arch::store<N>(to + i, some);
      }
      return;
    }
  }
  TENON_UNROLL_DEVICE
  for (int e = 0; e < 16; ++e)
    if (e < count) to[e * w.stride[1]] = v[e];
}

template <class Policy, class W, class Weight>
__global__ __launch_bounds__(Policy::value.threads_per_block) void dequantize(
    __grid_constant__ dequantize_params<W, Weight> const p) {
  constexpr int        threads = Policy::value.threads_per_block;
  constexpr int        bits = bits_of(Weight::code), words = bits / 4;  // of a lane in sixteen columns
  constexpr int        units  = 4 * 8 * 4;                              // atoms, rows g, sixteen columns
  packed_layout const& layout = p.b.layout;

  // Index map: the blocks of a panel, then panels.
  index_t const blocks = layout.blocks(), panel = blockIdx.x / blocks, block = blockIdx.x - panel * blocks;

  for (int unit = static_cast<int>(threadIdx.x); unit < units; unit += threads) {
    int const     chunk = unit % 4, g = unit / 4 % 8, atom = unit / 32;
    index_t const row    = panel * packed::panel_rows + atom * packed::atom_rows + g;
    index_t const column = block * packed::atom_columns + chunk * 16, left = p.w.extent[1] - column;
    int const     count = left <= 0 ? 0 : left < 16 ? static_cast<int>(left) : 16;
    if (row >= p.w.extent[0] || count == 0) continue;

    // Load.
    std::byte const* const from = p.b.atom(row, column) + (bits == 4 ? chunk * 4 : chunk / 2 * 512 + chunk % 2 * 8);
    std::uint32_t          word[4][words];
    TENON_UNROLL
    for (int lane = 0; lane < 4; ++lane) {
      auto const some = arch::load_constant<words>(reinterpret_cast<std::uint32_t const*>(from + (4 * g + lane) * 16));
      TENON_UNROLL
      for (int i = 0; i < words; ++i) word[lane][i] = some[i];
    }
    index_t const group = Weight::scales == scale_kind::row
                              ? 0
                              : static_cast<std::uint32_t>(column) / static_cast<std::uint32_t>(layout.group);

    // Decode, scale, store: rows g and g + 8.
    TENON_UNROLL
    for (int upper = 0; upper < 2; ++upper) {
      index_t const r = row + 8 * upper;
      if (r >= p.w.extent[0]) break;
      float scale = 0;
      int   zero  = 8;
      if constexpr (Weight::scales == scale_kind::row) scale = p.b.row_scales()[r];
      if constexpr (Weight::scales == scale_kind::block) scale = p.b.block_scale(r, group);
      if constexpr (Weight::scales == scale_kind::group) {
        index_t const at = layout.group_index(r, group);
        scale            = layout.factor * static_cast<float>(p.b.group_scales()[at]);
        if (layout.zero_points) zero = p.b.zeros()[at];
      }
      W v[16];
      TENON_UNROLL
      for (int c = 0; c < 16; ++c) {
        auto const          at   = packed::position_of(Weight::code, Weight::order, 8 * upper, c);
        std::uint32_t const code = word[at.lane][at.word] >> at.shift & ((1u << bits) - 1);
        v[c]                     = static_cast<W>(scale * decode_number<Weight::code>(code, zero));
      }
      store_sixteen<Policy::value.vector>(p.w, r, column, v, count);
    }
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
