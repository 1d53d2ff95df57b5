//  6. The reduction that was no barrier
//
//  ggml-org/llama.cpp#28475, September 2026 (reported in #28376; ikawrakow/ik_llama.cpp#2502 carries the fix over). One warp
//  gathers the rows that are routed to an expert: lanes write what they find into shared memory, side by side, then the warp
//  adds up a count, then lanes read what others wrote. Between the two stands a whole warp reduction, and yet nothing:
//  shuffles make lanes meet, but they order no memory. 3400 comparisons with the CPU were right before the fix and after it.
#pragma once
#include "exhibit.hpp"

namespace museum::rows_of_an_expert {

template <bool Mended>
__global__ void gather(int* rows, int* count, int const* expert_of, int tokens, int expert) {
  __shared__ int store[128];
  int const      lane  = static_cast<int>(threadIdx.x);
  int            found = 0, earlier = 0;
  for (int first = 0; first < tokens; first += 32) {
    int const      own  = expert_of[first + lane];
    unsigned const ours = __ballot_sync(~0u, own == expert);
    if (own == expert) store[found + __popc(ours & ((1u << lane) - 1))] = first + lane;  // [write]
    found += __popc(ours);
    earlier += own < expert;
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) earlier += __shfl_xor_sync(~0u, earlier, lanes);
  if (Mended) __syncwarp();
  for (int i = lane; i < found; i += 32) rows[earlier + i] = store[i];  // [read]
  if (lane == 0) *count = found;
}

inline exhibit const shown{"The reduction that was no barrier",
                           "ggml-org/llama.cpp#28475",
                           __FILE__,
                           {{kind::read_after_write, "read", "write"}},
                           [](check_options const& o, bool mended) {
                             buffer<int> expert_of(128), rows(128), count(1);
                             for (int i = 0; i < 128; ++i) expert_of.data()[i] = i * 7 % 3;
                             return check(o, mended ? gather<true> : gather<false>, 1, 32, 0, rows.data(), count.data(),
                                          expert_of.data(), 128, 1);
                           }};

}  // namespace museum::rows_of_an_expert

// clang-format off: the report of the first kernel (museum --record)
//  1 finding (schedule in_order, delivery late, seed 1)
//  06_rows_of_an_expert.cuh:26: error: race: read after write, 43 times
//      26 | for (int i = lane; i < found; i += 32) rows[earlier + i] = store[i];  // [read]
//         | read of 4 bytes by thread 23 (warp 0, lane 23) of block (0, 0, 0)
//  06_rows_of_an_expert.cuh:20: write before it
//      20 | if (own == expert) store[found + __popc(ours & ((1u << lane) - 1))] = first + lane;  // [write]
//         | by thread 6 (warp 0, lane 6) of block (0, 0, 0)
//    store[23] (int): static shared memory of gather<false>, bytes [92, 96) of 512
//    Lanes of a warp do not run in lock-step, and shuffles, votes, ldmatrix and mma order no memory. Missing: a
//    warp barrier (sync_warp, __syncwarp) after line 20 and before line 26, or a block barrier.
