#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] w[j,k]) with packed weights, by blocks of one thread: the host's product.
//
//  A block computes `tokens` rows of D for the rows of B that one run of the epilogue wants, 64 at the least. It decodes 16
//  rows x `depth` columns at a time into plain rows and multiplies them with every token, four by four, one vector register
//  along K for each product. Scales are multiplied into the numbers in fp32. Eight-bit inputs with row scales stay integers
//  to the end of the sum. An element's sum depends on k alone, so a row has the same bits in every batch.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/store_as.hpp>
#include <tenon/gemm/packed_gemm_params.hpp>
#include <tenon/gemm/packed_gemm_policy.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// Rows of B that a block computes, with an epilogue that looks along `segment` columns of D.
template <class Pipeline>
constexpr int packed_gemm_lanes_rows(packed_gemm_policy const& policy) {
  return max(policy.rows, Pipeline::segment * (Pipeline::paired ? 2 : 1));
}

/// Where every code of an atom is, in units of its bits from the start.
template <weight_code Code, pack_order Order>
struct atom_map {
  std::uint16_t at[packed::atom_rows][packed::atom_columns];

  constexpr atom_map() : at{} {
    for (int r = 0; r < packed::atom_rows; ++r)
      for (int c = 0; c < packed::atom_columns; ++c) {
        auto const p = packed::position_of(Code, Order, r, c);
        at[r][c]     = static_cast<std::uint16_t>((p.byte() * 8 + p.shift) / bits_of(Code));
      }
  }
};

/// The number of each code.
template <weight_code Code>
struct code_numbers {
  float value[1 << bits_of(Code)];

  constexpr code_numbers() : value{} {
    for (int c = 0; c < 1 << bits_of(Code); ++c) {
      auto const bits = static_cast<std::uint8_t>(c);
      value[c]        = Code == weight_code::int4   ? static_cast<float>(c)
                        : Code == weight_code::int8 ? static_cast<float>(static_cast<std::int8_t>(bits))
                        : Code == weight_code::fp8  ? static_cast<float>(e4m3::from_bits(bits))
                                                    : static_cast<float>(e2m1::from_bits(bits));
    }
  }
};

template <class Policy, class A, class Weight, class Pipeline>
struct packed_gemm_lanes_storage {
  /// int8 inputs and row scales: sums are integers.
  static constexpr bool whole_numbers = std::is_same_v<A, std::int8_t> && Weight::scales == scale_kind::row;
  using element                       = std::conditional_t<whole_numbers, std::int8_t, float>;
  using sum                           = std::conditional_t<whole_numbers, std::int32_t, float>;
  static constexpr int rows = packed_gemm_lanes_rows<Pipeline>(Policy::value), tile = 4;

  sum     sums[Policy::value.tokens][rows];
  element w[packed::atom_rows][Policy::value.depth];
  element a[tile][Policy::value.depth];
};

/// Codes of 16 rows, `columns` columns from `column` on (both multiples of 64), as numbers times their scales.
template <class Weight, class E, int Depth>
__device__ inline void decode_rows(E (&to)[packed::atom_rows][Depth], Weight const& b, index_t row, index_t column,
                                   int columns) {
  constexpr weight_code                          code = Weight::code;
  static constexpr atom_map<code, Weight::order> map;
  static constexpr code_numbers<code>            numbers;
  packed_layout const&                           l = b.layout;
  for (int c0 = 0; c0 < columns; c0 += packed::atom_columns) {
    auto const* const atom = reinterpret_cast<std::uint8_t const*>(b.atom(row, column + c0));
    for (int r = 0; r < packed::atom_rows; ++r) {
      E* const   out     = to[r] + c0;
      auto const code_at = [&](int c) {
        int const i = map.at[r][c];
        return bits_of(code) == 8 ? atom[i] : atom[i / 2] >> i % 2 * 4 & 15;
      };
      if constexpr (std::is_same_v<E, std::int8_t>) {
        for (int c = 0; c < packed::atom_columns; ++c) out[c] = static_cast<std::int8_t>(code_at(c));
      } else if constexpr (Weight::scales == scale_kind::row) {
        float const scale = b.row_scales()[row + r];
        for (int c = 0; c < packed::atom_columns; ++c) out[c] = scale * numbers.value[code_at(c)];
      } else {
        int const run = min(l.group, packed::atom_columns);
        for (int c1 = 0; c1 < packed::atom_columns; c1 += run) {
          index_t const g = min((column + c0 + c1) / l.group, l.groups() - 1);
          float         scale, zero = 0;
          if constexpr (Weight::scales == scale_kind::group) {
            scale = l.factor * static_cast<float>(b.group_scales()[l.group_index(row + r, g)]);
            if constexpr (code == weight_code::int4)
              zero = l.zero_points ? static_cast<float>(b.zeros()[l.group_index(row + r, g)]) : 8.f;
          } else {
            scale = row + r < l.rows ? b.block_scale(row + r, g) : 0.f;
          }
          for (int c = c1; c < c1 + run; ++c) out[c] = scale * (numbers.value[code_at(c)] - zero);
        }
      }
    }
  }
}

/// sums[t][r] += a[t] w[r] over `columns` columns, a multiple of 16.
template <int T, int Depth, int Rows>
__device__ inline void multiply_rows(float (*sums)[Rows], float const (*a)[Depth],
                                     float const (&w)[packed::atom_rows][Depth], int columns) {
  constexpr int N = 16, C = 4;
  for (int r0 = 0; r0 < packed::atom_rows; r0 += C) {
    arch::stripe<N> sum[T][C] = {};
    for (int k = 0; k < columns; k += N) {
      arch::stripe<N> row[T];
      TENON_UNROLL
      for (int t = 0; t < T; ++t) row[t] = arch::load_stripe<N>(a[t] + k);
      TENON_UNROLL
      for (int c = 0; c < C; ++c) {
        auto const column = arch::load_stripe<N>(w[r0 + c] + k);
        TENON_UNROLL
        for (int t = 0; t < T; ++t) arch::multiply_add(sum[t][c], row[t], column);
      }
    }
    TENON_UNROLL
    for (int t = 0; t < T; ++t) {
      float products[C];
      arch::sum(products, sum[t]);
      TENON_UNROLL
      for (int c = 0; c < C; ++c) sums[t][r0 + c] += products[c];
    }
  }
}
template <int T, int Depth, int Rows>
__device__ inline void multiply_rows(std::int32_t (*sums)[Rows], std::int8_t const (*a)[Depth],
                                     std::int8_t const (&w)[packed::atom_rows][Depth], int columns) {
  for (int r = 0; r < packed::atom_rows; ++r)
    for (int t = 0; t < T; ++t) {
      std::int32_t sum = 0;
      for (int k = 0; k < columns; ++k) sum += std::int32_t{a[t][k]} * std::int32_t{w[r][k]};
      sums[t][r] += sum;
    }
}

template <class Policy, class D, class A, class Weight, class Epilogue>
__global__ __launch_bounds__(Policy::value.threads) void packed_gemm_lanes(
    __grid_constant__ packed_gemm_params<D, A, Weight, Epilogue> const p) {
  using pipeline        = typename packed_gemm_params<D, A, Weight, Epilogue>::pipeline;
  using storage         = packed_gemm_lanes_storage<Policy, A, Weight, pipeline>;
  using E               = typename storage::element;
  constexpr bool paired = pipeline::paired;
  constexpr int  depth = Policy::value.depth, tile = storage::tile;
  constexpr bool whole_numbers = storage::whole_numbers;
  auto&          s             = arch::shared<storage>();

  // Index map: rows of B across, tokens down.
  index_t const m = p.d.extent[0], n = p.d.extent[1], k = p.a.extent[1];
  index_t const across = ceil_div(paired ? paired_rows(n) : n, storage::rows);
  index_t const token  = static_cast<index_t>(blockIdx.x) / across * Policy::value.tokens;
  index_t const b_row  = static_cast<index_t>(blockIdx.x) % across * storage::rows;
  int const     tokens = static_cast<int>(min<index_t>(m - token, Policy::value.tokens));
  int const     rows = static_cast<int>(min<index_t>(p.b.layout.panels() * packed::panel_rows - b_row, storage::rows));

  for (int t = 0; t < tokens; ++t)
    for (int r = 0; r < storage::rows; ++r) s.sums[t][r] = 0;

  // Load, decode, multiply.
  for (index_t k0 = 0; k0 < k; k0 += depth) {
    int const columns = static_cast<int>(min<index_t>(k - k0, depth));
    int const padded  = static_cast<int>(round_up(columns, packed::atom_columns));
    for (int r0 = 0; r0 < rows; r0 += packed::atom_rows) {
      decode_rows(s.w, p.b, b_row + r0, k0, padded);
      for (int t0 = 0; t0 < tokens; t0 += tile) {
        int const count = min(tokens - t0, tile);
        for (int t = 0; t < count; ++t) {
          A const* const from = p.a.data + (token + t0 + t) * p.a.stride[0] + k0 * p.a.stride[1];
          index_t const  step = p.a.stride[1];
          if constexpr (whole_numbers) {
            for (int c = 0; c < columns; ++c) s.a[t][c] = from[c * step];
          } else if constexpr (sizeof(A) == 1) {
            for (int c = 0; c < columns; ++c)
              s.a[t][c] = static_cast<float>(from[c * step]) *
                          p.a_scales(token + t0 + t, p.a_group > 0 ? (k0 + c) / p.a_group : 0);
          } else if (step == 1) {
            for (int c = 0; c < columns; ++c) s.a[t][c] = static_cast<float>(from[c]);
          } else {
            for (int c = 0; c < columns; ++c) s.a[t][c] = static_cast<float>(from[c * step]);
          }
          for (int c = columns; c < padded; ++c) s.a[t][c] = E(0);
        }
        auto const sums = [&](int t) {
          return reinterpret_cast<typename storage::sum(*)[storage::rows]>(&s.sums[t0 + t][r0]);
        };
        if (count == tile) {
          multiply_rows<tile>(sums(0), s.a, s.w, padded);
        } else {
          for (int t = 0; t < count; ++t) multiply_rows<1>(sums(t), s.a + t, s.w, padded);
        }
      }
    }
  }

  // Fuse, store.
  constexpr int run   = max(pipeline::segment, 16);
  index_t const first = paired ? b_row / 2 : b_row, last = min(n, first + (paired ? storage::rows / 2 : storage::rows));
  for (int t = 0; t < tokens; ++t) {
    index_t const row                              = token + t;
    float         values[pipeline::row_values + 1] = {};
    p.epilogue.each_row_value(
        [&](auto const& stage, int v) { values[v] = stage.row_value(stage.row_term(row, 0, 1)); });
    auto const total = [&](index_t r) {
      if constexpr (whole_numbers)
        return static_cast<float>(s.sums[t][r]) * p.b.row_scales()[b_row + r] * p.a_scales(row, 0);
      else return s.sums[t][r];
    };
    for (index_t column = first; column < last; column += run) {
      int const count  = static_cast<int>(min<index_t>(last - column, run));
      float     v[run] = {};
      if constexpr (paired) {
        float up[run] = {};
        for (int e = 0; e < count; ++e)
          v[e] = total(gate_row(column + e) - b_row), up[e] = total(up_row(column + e) - b_row);
        p.epilogue.run(epilogue::own_segment{}, v, up, row, column, count, values);
      } else {
        for (int e = 0; e < count; ++e) v[e] = total(column + e - b_row);
        p.epilogue.run(epilogue::own_segment{}, v, row, column, count, values);
      }
      D* const to = p.d.data + row * p.d.stride[0] + column * p.d.stride[1];
      for (int e = 0; e < count; ++e) to[e * p.d.stride[1]] = store_as<D>(v[e]);
    }
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
