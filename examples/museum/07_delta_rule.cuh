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
