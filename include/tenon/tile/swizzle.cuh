#pragma once
//  Tiles in shared memory whose 8-row, 16-byte-wide reads and writes touch every bank once.
//
//  A row is a run of 16-byte chunks. Eight rows read at one chunk (what ldmatrix does) must fall on eight different
//  groups of four banks; with C chunks per row, row r starts at group r * C mod 8. With p = min(3, trailing zeros of C)
//  chunk c of row r is stored at
//
//      c ^ ((r >> (3 - p)) & (2^p - 1))
//
//  so that the upper 3 - p bits of the group differ by the rows' starts and the lower p bits by the exclusive or. Any C
//  works (head_dim 80 has C = 10, 96 has 12), nothing is padded, and eight consecutive chunks of one row stay distinct.
//
//        C = 8 (128-byte rows)                C = 4 (64-byte rows, two to a line of 32 banks)
//        row 0   0 1 2 3 4 5 6 7              rows 0, 1   0 1 2 3 | 0 1 2 3
//        row 1   1 0 3 2 5 4 7 6              rows 2, 3   1 0 3 2 | 1 0 3 2
//        row 2   2 3 0 1 6 7 4 5              rows 4, 5   2 3 0 1 | 2 3 0 1
//
//  Test tests/gemm/swizzle_test.cpp.
#include <tenon/arch/arch.cuh>
#include <tenon/config.hpp>
#include <tenon/core/vec.hpp>

namespace tenon::inline TENON_TARGET::tile {

/// Where chunk `chunk` of row `row` is stored, in chunks from the start of that row; its own inverse.
template <int ChunksPerRow>
TENON_HD constexpr int swizzle(int row, int chunk) {
  static_assert(ChunksPerRow > 0, "tenon::tile::swizzle: a row has at least one chunk");
  constexpr int p = ChunksPerRow % 8 == 0 ? 3 : ChunksPerRow % 4 == 0 ? 2 : ChunksPerRow % 2 == 0 ? 1 : 0;
  return chunk ^ ((row >> (3 - p)) & ((1 << p) - 1));
}

/// A Rows x Columns tile in shared memory, swizzled. Rows are contiguous runs of Columns elements, a multiple of 16 bytes.
template <class T, int Rows, int Columns>
struct alignas(128) shared_tile {
  static constexpr int rows           = Rows;
  static constexpr int columns        = Columns;
  static constexpr int per_chunk      = 16 / static_cast<int>(sizeof(T));  // elements of one chunk
  static constexpr int chunks_per_row = Columns / per_chunk;
  static_assert(Columns % per_chunk == 0, "tenon::tile::shared_tile: a row must be a multiple of 16 bytes");

  T element[Rows * Columns];

  /// The 16-byte aligned address of chunk `chunk` (columns chunk * per_chunk and on) of row `row`.
  __device__ T* chunk(int row, int chunk) {
    return element + row * Columns + swizzle<chunks_per_row>(row, chunk) * per_chunk;
  }
  __device__ T const* chunk(int row, int chunk) const {
    return element + row * Columns + swizzle<chunks_per_row>(row, chunk) * per_chunk;
  }
  __device__ T&       operator()(int row, int column) { return chunk(row, column / per_chunk)[column % per_chunk]; }
  __device__ T const& operator()(int row, int column) const {
    return chunk(row, column / per_chunk)[column % per_chunk];
  }
};

}  // namespace tenon::inline TENON_TARGET::tile
