//  4. A decision that changed while it was taken
//
//  ggml-org/llama.cpp#13742, May 2025. A tile of keys that the mask hides entirely is skipped. Every warp looks through the
//  whole mask in shared memory, so all come to the same conclusion without a barrier; and the first to `continue` writes the
//  next tile's mask over the one that the others are still looking through. They may then decide otherwise, and from there
//  on the warps are out of step. It came in with an optimisation (#13584) and was seen by a user (#13733); the backend's
//  tests did not reach it yet.
#pragma once
#include "exhibit.hpp"

namespace museum::skipped_tiles {

template <bool Mended>
__global__ void attend(float* y, float const* mask, float const* x, int tiles) {
  __shared__ float hidden[64];
  unsigned const   t = threadIdx.x, lane = t % 32;
  float            sum = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    hidden[t] = mask[64 * tile + static_cast<int>(t)];  // [write]
    __syncthreads();
    bool skip = true;
    for (unsigned key = lane; key < 64; key += 32) skip = skip && hidden[key] < 0;  // [read]
    skip = __all_sync(~0u, skip);
    if (Mended) __syncthreads();
    if (skip) continue;
    for (int key = 0; key < 64; ++key) sum += x[64 * tile + key];
  }
  y[t] = sum;
}

inline exhibit const shown{"A decision that changed while it was taken",
                           "ggml-org/llama.cpp#13742",
                           __FILE__,
                           {{kind::write_after_read, "write", "read"}, {kind::read_after_write, "write", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> x(256, 1.f), mask(256, 0.f), y(64);
                             for (int i = 64; i < 192; ++i) mask.data()[i] = -1;
                             return check(o, mended ? attend<true> : attend<false>, 1, 64, 0, y.data(), mask.data(),
                                          x.data(), 4);
                           }};

}  // namespace museum::skipped_tiles

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  04_skipped_tiles.cuh:19: error: race: write after read, 160 times
//      19 | hidden[t] = mask[64 * tile + static_cast<int>(t)];  // [write]
//         | write of 4 bytes by thread 31 (warp 0, lane 31) of block (0, 0, 0)
//  04_skipped_tiles.cuh:22: read before it
//      22 | for (unsigned key = lane; key < 64; key += 32) skip = skip && hidden[key] < 0;  // [read]
//         | by thread 63 (warp 1, lane 31) of block (0, 0, 0)
//    hidden[31] (float): static shared memory of attend<false>, bytes [124, 128) of 256
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 22 and before line 19 writes again.
