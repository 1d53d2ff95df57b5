#pragma once
//  D[i,j] = epilogue(a_scale[i] sum_k A[i,k] w[j,k]) on CUDA cores, w packed: f32 inputs, and any inputs that lie anyhow.
//
//  A block computes `tokens` rows of D from `rows` rows of B. Four warps share a panel, 64 rows: each takes every fourth
//  block of 64 columns, all four atoms. A lane holds rows g and g + 8 of an atom and a few of its columns (the words that
//  a lane of the tensor-core kernels decodes); it multiplies their numbers with the inputs of those columns in fp32, scales
//  the sums of each 16, and the four lanes of a row, then the warps, add theirs up in order.
//
//  Traffic: B once per `tokens` rows of A, 16 bytes per lane and load; A by elements, from cache.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/packed_gemm_params.hpp>
#include <tenon/gemm/packed_gemm_policy.hpp>
#include <tenon/quant/decode.cuh>
#include <tenon/tile/finish.cuh>

namespace tenon::inline TENON_TARGET::kernel {

/// Shared memory of a block: sums of each warp of a panel, tokens x rows of B.
template <class Policy, class Pipeline>
struct packed_gemm_vector_storage {
  static constexpr int tokens = Policy::value.tokens, rows = Policy::value.rows;
  static constexpr int warps = Policy::value.threads / 32 / (rows / packed::panel_rows);  // of a panel

  float                              part[warps][tokens][rows];
  tile::row_values<Pipeline, tokens> values;
};

template <class Policy, class D, class A, class Weight, class Epilogue>
__global__ __launch_bounds__(Policy::value.threads, 1) void packed_gemm_vector(
    __grid_constant__ packed_gemm_params<D, A, Weight, Epilogue> const p) {
  constexpr packed_gemm_policy policy = Policy::value;
  constexpr weight_code        code   = Weight::code;
  using pipeline                      = typename packed_gemm_params<D, A, Weight, Epilogue>::pipeline;
  using storage                       = packed_gemm_vector_storage<Policy, pipeline>;
  constexpr int  tokens = policy.tokens, warps = storage::warps, bits = bits_of(code), columns = policy.rows;
  constexpr int  words  = packed::words_per_lane(code);
  constexpr bool narrow = sizeof(A) == 1, grouped = Weight::scales == scale_kind::group;
  static_assert(policy.kind == packed_gemm_kind::vector &&
                warps * 32 * (columns / packed::panel_rows) == policy.threads);

  // Index map: blocks of B's rows, then blocks of tokens.
  auto&          shared = arch::shared<storage>();
  int const      lane = arch::lane(), warp = arch::warp() % warps, panel = arch::warp() / warps * packed::panel_rows;
  unsigned const across = static_cast<unsigned>(ceil_div(p.b.layout.rows, columns));
  index_t const  row = static_cast<index_t>(blockIdx.x / across) * tokens, m = p.d.extent[0];
  index_t const  first_row = static_cast<index_t>(blockIdx.x % across) * columns, b_row = first_row + panel;
  index_t const  b_rows = p.b.layout.panels() * packed::panel_rows;  // with padding
  int const      k      = static_cast<int>(p.a.extent[1]);
  int const      blocks = static_cast<int>(p.b.layout.blocks());
  bool const     zeros  = grouped && p.b.layout.zero_points;
  bool const     fine   = grouped && p.b.layout.group < packed::atom_columns;

  // A lane has four columns of each 16, from its first one on: 0, 1, 8, 9 (pairs) or 0, 1, 2, 3 (quads).
  constexpr bool pairs               = Weight::order == pack_order::pairs;
  constexpr int  apart[4]            = {0, 1, pairs ? 8 : 2, pairs ? 9 : 3};
  int const      mine                = lane % 4 * (pairs ? 2 : 4);
  float          total[4][2][tokens] = {};  // of four atoms, rows g and g + 8
  for (int block = b_row < b_rows ? warp : blocks; block < blocks; block += warps) {
    int const     first = block * packed::atom_columns;
    std::uint32_t word[4][words];
    TENON_UNROLL_DEVICE
    for (int atom = 0; atom < 4; ++atom) {
      auto const* const from =
          reinterpret_cast<std::uint32_t const*>(p.b.atom(b_row + atom * packed::atom_rows, first)) + lane * 4;
      TENON_UNROLL_DEVICE
      for (int w = 0; w < words; w += 4) {
        auto const four = arch::load_constant<4>(from + w * packed::lanes);
        TENON_UNROLL_DEVICE
        for (int e = 0; e < 4; ++e) word[atom][w + e] = four[e];
      }
    }
    float scale[4][2], of_token[tokens];
    int   zero[4][2];
    TENON_UNROLL_DEVICE
    for (int r = 0; r < tokens; ++r) {
      of_token[r] = 1;
      if constexpr (narrow)
        if (p.a_group > 0 && row + r < m)
          of_token[r] = p.a_scales.data[(row + r) * p.a_scales.stride[0] + first / p.a_group * p.a_scales.stride[1]];
    }
    TENON_UNROLL_DEVICE
    for (int s = 0; s < 4; ++s) {
      int const begin = first + 16 * s;
      if (begin >= k) break;
      if (s == 0 || fine) {
        index_t const group = Weight::scales == scale_kind::row ? 0 : begin / p.b.layout.group;
        TENON_UNROLL_DEVICE
        for (int i = 0; i < 8; ++i) {
          scale[i / 2][i % 2] = 1, zero[i / 2][i % 2] = 8;
          if constexpr (grouped) {
            index_t const at = p.b.layout.group_index(b_row + i / 2 * packed::atom_rows + lane / 4 + i % 2 * 8, group);
            scale[i / 2][i % 2] = static_cast<float>(p.b.group_scales()[at]);
            if (zeros) zero[i / 2][i % 2] = p.b.zeros()[at];
          } else if constexpr (Weight::scales == scale_kind::block) {
            scale[i / 2][i % 2] = p.b.block_scale(b_row, group);
          }
        }
      }
      float a[tokens][4];
      TENON_UNROLL_DEVICE
      for (int r = 0; r < tokens; ++r) {
        TENON_UNROLL_DEVICE
        for (int c = 0; c < 4; ++c) {
          int const column = begin + mine + apart[c];
          a[r][c]          = 0;
          if (row + r < m && column < k)
            a[r][c] = static_cast<float>(p.a.data[(row + r) * p.a.stride[0] + column * p.a.stride[1]]);
        }
      }
      TENON_UNROLL_DEVICE
      for (int i = 0; i < 8; ++i) {
        float number[4];
        TENON_UNROLL_DEVICE
        for (int c = 0; c < 4; ++c) {
          auto const at = packed::position_of(code, Weight::order, i % 2 * 8, 16 * s + apart[c]);
          number[c] = decode_number<code>(word[i / 2][at.word] >> at.shift & ((1u << bits) - 1), zero[i / 2][i % 2]);
        }
        TENON_UNROLL_DEVICE
        for (int r = 0; r < tokens; ++r) {
          float part = 0;
          TENON_UNROLL_DEVICE
          for (int c = 0; c < 4; ++c) part = arch::fma(a[r][c], number[c], part);
          total[i / 2][i % 2][r] = arch::fma(scale[i / 2][i % 2] * of_token[r], part, total[i / 2][i % 2][r]);
        }
      }
    }
  }

  // Sum over the four lanes of a row, then over the warps.
  TENON_UNROLL_DEVICE
  for (int atom = 0; atom < 4; ++atom) {
    TENON_UNROLL_DEVICE
    for (int h = 0; h < 2; ++h) {
      TENON_UNROLL_DEVICE
      for (int r = 0; r < tokens; ++r) {
        float v = total[atom][h][r];
        v += arch::shuffle_xor(v, 1);
        v += arch::shuffle_xor(v, 2);
        if (lane % 4 == 0) shared.part[warp][r][panel + atom * packed::atom_rows + 8 * h + lane / 4] = v;
      }
    }
  }
  shared.values.make(p.epilogue, row, m, warps);
  arch::sync_block();

  // Scale; fuse; store.
  auto const load = [&](float(&v)[4], int r, int c) {
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e) v[e] = 0;
    for (int w = 0; w < warps; ++w) {
      auto const more = arch::load<4>(&shared.part[w][r][c]);
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e) v[e] += more[e];
    }
    float common = grouped ? p.b.layout.factor : 1.f;
    if constexpr (narrow)
      if (p.a_group == 0) common *= p.a_scales.data[min(row + r, m - 1) * p.a_scales.stride[0]];
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e) {
      if constexpr (Weight::scales == scale_kind::row)
        if (first_row + c < b_rows) v[e] *= p.b.row_scales()[first_row + c + e];
      v[e] *= common;
    }
  };
  tile::finish<policy.threads, tokens, columns>(p.d, p.epilogue, shared.values, row, first_row,
                                                static_cast<int>(threadIdx.x), load);
}

}  // namespace tenon::inline TENON_TARGET::kernel
