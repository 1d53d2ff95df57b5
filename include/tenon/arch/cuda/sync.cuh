#pragma once
//  Barriers and fences. PTX: bar.sync, bar.warp.sync, membar.

namespace tenon::inline cuda::arch {

/// Block barrier: every thread of the block comes; orders shared and global memory among them.
__device__ inline void sync_block() { __syncthreads(); }

/// Warp barrier over `mask`; orders memory among its lanes. Shuffles, votes and mma do not.
__device__ inline void sync_warp(unsigned mask = ~0u) { __syncwarp(mask); }

/// Orders this thread's accesses before it against those after it, as seen by the whole device.
__device__ inline void fence_device() { __threadfence(); }

/// The same, as seen by the block.
__device__ inline void fence_block() { __threadfence_block(); }

}  // namespace tenon::inline cuda::arch
