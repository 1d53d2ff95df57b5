//  7. "I don't understand why we need this sync"
//
//  ikawrakow/ik_llama.cpp#1649, April 2026. The recurrence of a delta net: a token's key goes to shared memory, the block
//  takes its product with the state, then updates the state with the key. A comment beside one barrier owned that its author
//  did not know what it was for, only that results varied from run to run without it. That one was right. The one that was
//  missing belongs behind the update, before the next token's key.
#pragma once
#include "exhibit.hpp"

namespace museum::delta_rule {

template <bool Mended>
__global__ void recur(float* y, float const* keys, float const* values, int tokens) {
  __shared__ float key[64];
  unsigned const   t         = threadIdx.x;
  float            state[64] = {};  // one row of the state
  for (int token = 0; token < tokens; ++token) {
    int const own = 64 * token + static_cast<int>(t);
    key[t]        = keys[own];  // [write]
    __syncthreads();
    float known = 0;
    for (int i = 0; i < 64; ++i) known += state[i] * key[i];
    __syncthreads();  // the one that nobody understood
    float const change = values[own] - known;
    for (int i = 0; i < 64; ++i) state[i] += change * key[i];  // [read]
    y[own] = known;
    if (Mended) __syncthreads();
  }
}

inline exhibit const shown{"\"I don't understand why we need this sync\"",
                           "ikawrakow/ik_llama.cpp#1649",
                           __FILE__,
                           {{kind::write_after_read, "write", "read"}, {kind::read_after_write, "write", "read"}},
                           [](check_options const& o, bool mended) {
                             buffer<float> keys(192, 0.1f), values(192, 1.f), y(192);
                             return check(o, mended ? recur<true> : recur<false>, 1, 64, 0, y.data(), keys.data(),
                                          values.data(), 3);
                           }};

}  // namespace museum::delta_rule

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  07_delta_rule.cuh:19: error: race: write after read, 122 times
//      19 | key[t]        = keys[own];  // [write]
//         | write of 4 bytes by thread 0 (warp 0, lane 0) of block (0, 0, 0)
//  07_delta_rule.cuh:25: read before it
//      25 | for (int i = 0; i < 64; ++i) state[i] += change * key[i];  // [read]
//         | by thread 62 (warp 1, lane 30) of block (0, 0, 0)
//    key[0] (float): static shared memory of recur<false>, bytes [0, 4) of 256
//    Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
//    __syncthreads) after the read of line 25 and before line 19 writes again.
//    Also: race: write after read within a warp, 4 times; race: read after write, 2048 times; race: read after
//    write within a warp, 1984 times.
