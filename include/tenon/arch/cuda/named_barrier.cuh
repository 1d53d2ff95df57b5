#pragma once
//  Barriers of part of a block. PTX: bar.sync, bar.arrive.
//
//  A block has 16, numbered; sync_block() is number 0. Each opens when `threads` threads have come to it, a multiple of 32,
//  and is then ready for the next round. Whole warps, converged. Waiting orders memory among those who come.

namespace tenon::inline cuda::arch {

/// Waits at barrier `id` (1 to 15) until `threads` threads have come.
__device__ inline void sync_named(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// Comes to it without waiting: what this thread wrote before is visible to those who wait there.
__device__ inline void arrive_named(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace tenon::inline cuda::arch
