#pragma once
//  Tiles of a row-major matrix in global memory into swizzled shared tiles, zeros where the matrix ends.
//
//  Consecutive threads take consecutive 16-byte chunks of a row, so a warp reads whole 128-byte lines where the tile has
//  them. Two ways in: cp.async for rows that start on 16-byte boundaries, and element loads for everything else (any
//  strides, a transposed matrix among them).
#include <tenon/arch/arch.cuh>
#include <tenon/config.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/tile/swizzle.cuh>

#include <type_traits>

namespace tenon::inline TENON_TARGET::tile {

/// Starts the copy of rows row..row+Rows-1, columns column..column+Columns-1 of `from`, zeros outside its extents.
/// Collective over Threads threads, `thread` in [0, Threads). Columns contiguous, rows and `column` on 16 bytes
/// (is_vectorised<16 / sizeof(T)>). The caller commits the group, waits and synchronises.
template <int Threads, class T, int Rows, int Columns>
__device__ inline void copy_async(shared_tile<std::remove_const_t<T>, Rows, Columns>& to, tensor_view<T, 2> const& from,
                                  index_t row, index_t column, int thread) {
  using tile_type         = shared_tile<std::remove_const_t<T>, Rows, Columns>;
  constexpr int per_chunk = tile_type::per_chunk, chunks = tile_type::chunks_per_row;
  if constexpr (Threads % chunks == 0) {  // a thread stays in its column of chunks
    constexpr int step = Threads / chunks;
    int const     r = thread / chunks, c = thread % chunks;
    index_t const left   = from.extent[1] - column - c * per_chunk;  // elements up to the end of the row
    int const     bytes  = left > 0 ? static_cast<int>(min<index_t>(left, per_chunk)) * static_cast<int>(sizeof(T)) : 0;
    int const     rows   = static_cast<int>(min<index_t>(from.extent[0] - row, Rows));
    T const*      source = from.data + (row + r) * from.stride[0] + column + c * per_chunk;
    index_t const stride = step * from.stride[0];
    TENON_UNROLL_DEVICE
    for (int i = 0; i < Rows; i += step) {
      if (Rows % step != 0 && r + i >= Rows) break;
      bool const alive = r + i < rows && bytes > 0;
      arch::cp_async<16>(to.chunk(r + i, c), alive ? source : from.data, alive ? bytes : 0);
      source += stride;
    }
  } else {
    constexpr int total = Rows * chunks;
    TENON_UNROLL_DEVICE
    for (int first = 0; first < total; first += Threads) {
      int const i = first + thread;
      if (total % Threads != 0 && i >= total) break;
      int const     r = i / chunks, c = i % chunks;
      index_t const left  = from.extent[1] - column - c * per_chunk;
      bool const    alive = row + r < from.extent[0] && left > 0;
      int const     bytes = alive ? static_cast<int>(min<index_t>(left, per_chunk)) * static_cast<int>(sizeof(T)) : 0;
      arch::cp_async<16>(to.chunk(r, c),
                         alive ? from.data + (row + r) * from.stride[0] + column + c * per_chunk : from.data, bytes);
    }
  }
}

/// The same for any strides and alignment, by element loads; done on return, for this thread.
template <int Threads, class T, int Rows, int Columns>
__device__ inline void copy_elements(shared_tile<std::remove_const_t<T>, Rows, Columns>& to,
                                     tensor_view<T, 2> const& from, index_t row, index_t column, int thread) {
  using E                 = std::remove_const_t<T>;
  using tile_type         = shared_tile<E, Rows, Columns>;
  constexpr int per_chunk = tile_type::per_chunk, chunks = tile_type::chunks_per_row;
  constexpr int total = Rows * chunks;
  for (int i = thread; i < total; i += Threads) {
    int const         r = i / chunks, c = i % chunks;
    vec<E, per_chunk> v;
    TENON_UNROLL_DEVICE
    for (int e = 0; e < per_chunk; ++e) {
      index_t const k = column + c * per_chunk + e;
      v[e] = row + r < from.extent[0] && k < from.extent[1] ? from.data[(row + r) * from.stride[0] + k * from.stride[1]]
                                                            : E(0.f);
    }
    arch::store<per_chunk>(to.chunk(r, c), v);
  }
}

}  // namespace tenon::inline TENON_TARGET::tile
