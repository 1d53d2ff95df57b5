//  2. The next tile's rows
//
//  ggml-org/llama.cpp#13294 and #13299, May 2025. A persistent block of the quantised matrix product takes one tile after
//  the other; the rows that a tile goes to are kept in shared memory. Faster warps loaded the next tile's rows while slower
//  ones still wrote the last tile to the old ones. Whether that happened depended on the matrix's shape and on the number of
//  multiprocessors (#13287). On the day of the fix the author saw that the fix-up kernel of the same scheme had the same gap.
#pragma once
#include "exhibit.hpp"

namespace museum::next_tile {

template <bool Mended>
__global__ void scattered_rows(float* y, float const* x, int const* rows, int tiles) {
  __shared__ int row_of[64];
  unsigned const t = threadIdx.x;
  for (int tile = 0; tile < tiles; ++tile) {
    if (Mended && tile > 0) __syncthreads();
    row_of[t] = rows[64 * tile + static_cast<int>(t)];  // [write]
    __syncthreads();
    float const v            = 2 * x[64 * tile + static_cast<int>(t)];
    y[row_of[(t + 32) % 64]] = v;  // [read]
  }
}

inline exhibit const shown{"The next tile's rows",
                           "ggml-org/llama.cpp#13294, #13299",
                           __FILE__,
                           {{kind::write_after_read, "write", "read"}, {kind::read_after_write, "write", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<int>   rows(256);
                             buffer<float> x(256, 1.f), y(256);
                             for (int i = 0; i < 256; ++i) rows.data()[i] = 255 - i;
                             return check(o, mended ? scattered_rows<true> : scattered_rows<false>, 1, 64, 0, y.data(),
                                          x.data(), rows.data(), 4);
                           }};

}  // namespace museum::next_tile

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  02_next_tile.cuh:18: error: race: write after read, 96 times
//      18 | row_of[t] = rows[64 * tile + static_cast<int>(t)];  // [write]
//         | write of 4 bytes by thread 31 (warp 0, lane 31) of block (0, 0, 0)
//  02_next_tile.cuh:21: read before it
//      21 | y[row_of[(t + 32) % 64]] = v;  // [read]
//         | by thread 63 (warp 1, lane 31) of block (0, 0, 0)
//    row_of[31] (int): static shared memory of scattered_rows<false>, bytes [124, 128) of 256
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 21 and before line 18 writes again.
//    Also: race: read after write, 96 times.
