#pragma once
//  Fragments of mma.sync m16n8k16 from swizzled shared tiles, and what becomes of an accumulator.
//
//  With g = lane / 4 and t = lane % 4 (arch/cuda/matrix.cuh has the register maps):
//    fragment_a      16 rows x 16 k                            registers 0..3
//    fragment_b      16 k x 8 columns                          registers 0..1
//    accumulator     element v is row g + 8 * (v >> 1), column 2 * t + (v & 1) of 16 x 8, fp32
//
//  A product over K: load_a and load_b of each k16 step, then mma. Storage and load must agree:
//    A stored (row, k), k contiguous       load_a                e.g. Q, P in shared memory, activations
//    B stored (column, k), k contiguous    load_b                e.g. weights (n, k), K of attention (key, head_dim)
//    B stored (k, column), column cont.    load_b_transposed     e.g. V of attention (key, head_dim)
//
//  All functions are collective over the warp and without a barrier: who wrote the tile must have synchronised.
//  Test tests/gemm/mma_test.cpp.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/tile/swizzle.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::tile {

struct fragment_a {
  std::uint32_t r[4];
};
struct fragment_b {
  std::uint32_t r[2];
};
struct accumulator {
  float v[4] = {};
};

struct integer_accumulator {
  std::int32_t v[4] = {};
};
/// What products of elements of T are summed in.
template <class T>
using accumulator_of = std::conditional_t<std::is_same_v<T, std::int8_t>, integer_accumulator, accumulator>;

/// Row (0..15) and column (0..7) of an accumulator's element v in this lane.
__device__ constexpr int accumulator_row(int lane, int v) { return lane / 4 + 8 * (v >> 1); }
__device__ constexpr int accumulator_column(int lane, int v) { return 2 * (lane % 4) + (v & 1); }

/// Rows row..row+15, columns 16 * step..16 * step + 15 of a tile stored (row, k). One ldmatrix.x4. Of f32 tiles eight columns
/// from 8 * step on, which m16n8k8 takes in the same registers; of 8-bit ones 32 from 32 * step on (m16n8k32).
template <class T, int Rows, int Columns>
__device__ inline fragment_a load_a(shared_tile<T, Rows, Columns> const& from, int row, int step) {
  static_assert(sizeof(T) <= 4, "tenon::tile::load_a: elements of 8, 16 or 32 bits");
  fragment_a f;
  arch::ldmatrix(f.r, from.chunk(row + arch::lane() % 16, 2 * step + arch::lane() / 16));
  return f;
}

/// Two fragments, columns column..column+7 and column+8..column+15, k 16 * step..16 * step + 15 of a tile stored
/// (column, k). One ldmatrix.x4. Of f32 tiles k from 8 * step on, of 8-bit ones from 32 * step on (m16n8k32).
template <class T, int Rows, int Columns>
__device__ inline void load_b(fragment_b (&f)[2], shared_tile<T, Rows, Columns> const& from, int column, int step) {
  static_assert(sizeof(T) <= 4, "tenon::tile::load_b: elements of 8, 16 or 32 bits");
  int const     lane = arch::lane();
  std::uint32_t r[4];
  arch::ldmatrix(r, from.chunk(column + lane % 8 + 8 * (lane / 16), 2 * step + lane / 8 % 2));
  f[0].r[0] = r[0], f[0].r[1] = r[1], f[1].r[0] = r[2], f[1].r[1] = r[3];
}

/// One fragment, columns column..column+7, k 16 * step..16 * step + 15 of a tile stored (column, k). One ldmatrix.x2.
template <class T, int Rows, int Columns>
__device__ inline void load_b(fragment_b& f, shared_tile<T, Rows, Columns> const& from, int column, int step) {
  static_assert(sizeof(T) == 2, "tenon::tile::load_b: elements of 16 bits");
  int const lane = arch::lane() % 16;  // the upper half's addresses are not used
  arch::ldmatrix(f.r, from.chunk(column + lane % 8, 2 * step + lane / 8));
}

/// Two fragments, columns 16 * block..16 * block + 7 and the eight after, k k..k+15 of a tile stored (k, column).
/// One transposing ldmatrix.x4.
template <class T, int Rows, int Columns>
__device__ inline void load_b_transposed(fragment_b (&f)[2], shared_tile<T, Rows, Columns> const& from, int k,
                                         int block) {
  static_assert(sizeof(T) == 2, "tenon::tile::load_b_transposed: elements of 16 bits");
  std::uint32_t r[4];
  arch::ldmatrix_transposed(r, from.chunk(k + arch::lane() % 16, 2 * block + arch::lane() / 16));
  f[0].r[0] = r[0], f[0].r[1] = r[1], f[1].r[0] = r[2], f[1].r[1] = r[3];
}

/// One fragment, columns 8 * block..8 * block + 7, k k..k+15 of a tile stored (k, column). One transposing ldmatrix.x2.
template <class T, int Rows, int Columns>
__device__ inline void load_b_transposed(fragment_b& f, shared_tile<T, Rows, Columns> const& from, int k, int block) {
  static_assert(sizeof(T) == 2, "tenon::tile::load_b_transposed: elements of 16 bits");
  arch::ldmatrix_transposed(f.r, from.chunk(k + arch::lane() % 16, block));
}

/// d[i][j] += a[i] b[j] for a warp's whole tile, b in pairs of columns as load_b brings them. T = tf32: m16n8k8.
template <class T, int High, int Wide, int Pairs>
__device__ inline void mma(accumulator (&d)[High][Wide], fragment_a const (&a)[High], fragment_b const (&b)[Pairs][2]) {
  if constexpr (sizeof(T) == 2) {
    arch::mma_m16n8k16_tiles<T>(d, a, b);
  } else {
    TENON_UNROLL_DEVICE
    for (int i = 0; i < High; ++i) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < Wide; ++j) arch::mma_m16n8k8<T>(d[i][j].v, a[i].r, b[j / 2][j % 2].r);
    }
  }
}

/// The same for int8 by int8, 32 of K: exact.
template <class T, int High, int Wide, int Pairs>
__device__ inline void mma(integer_accumulator (&d)[High][Wide], fragment_a const (&a)[High],
                           fragment_b const (&b)[Pairs][2]) {
  static_assert(std::is_same_v<T, std::int8_t>, "tenon::tile::mma: integer sums are of int8");
  TENON_UNROLL_DEVICE
  for (int i = 0; i < High; ++i) {
    TENON_UNROLL_DEVICE
    for (int j = 0; j < Wide; ++j) arch::mma_m16n8k32<T>(d[i][j].v, a[i].r, b[j / 2][j % 2].r);
  }
}

/// A fragment of f32 elements rounded to tf32, to nearest, ties away from zero.
template <int N>
__device__ inline void round_to_tf32(std::uint32_t (&r)[N]) {
  TENON_UNROLL_DEVICE
  for (int i = 0; i < N; ++i) r[i] = arch::convert<tf32>(bit_cast<float>(r[i])).bits;
}

/// first += a b[0], second += a b[1].
template <class T>
__device__ inline void mma(accumulator& first, accumulator& second, fragment_a const& a, fragment_b const (&b)[2]) {
  arch::mma_m16n8k16_pair<T>(first, second, a, b);
}

/// d += a b for elements of T (f16 or bf16).
template <class T>
__device__ inline void mma(accumulator& d, fragment_a const& a, fragment_b const& b) {
  arch::mma_m16n8k16<T>(d.v, a.r, b.r);
}

/// Two values as one register, `low` in the lower half.
template <class T>
__device__ inline std::uint32_t pack(float low, float high) {
  static_assert(sizeof(T) == 2, "tenon::tile::pack: elements of 16 bits");
  return static_cast<std::uint32_t>(T(low).bits) | static_cast<std::uint32_t>(T(high).bits) << 16;
}

/// The accumulators of columns 0..7 and 8..15 as the A fragment of the next product (attention: P = softmax(S), then P V).
/// No data crosses lanes: the maps agree.
template <class T>
__device__ inline fragment_a as_fragment_a(accumulator const& left, accumulator const& right) {
  return {{pack<T>(left.v[0], left.v[1]), pack<T>(left.v[2], left.v[3]), pack<T>(right.v[0], right.v[1]),
           pack<T>(right.v[2], right.v[3])}};
}

}  // namespace tenon::inline TENON_TARGET::tile
