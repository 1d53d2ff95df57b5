#pragma once
//  Barriers and fences. PTX: bar.sync, bar.warp.sync, membar, fence.proxy.async, fence.mbarrier_init.

namespace tenon::inline cuda::arch {

/// Block barrier: every thread of the block comes; orders shared and global memory among them.
__device__ inline void sync_block() { __syncthreads(); }

/// Warp barrier over `mask`; orders memory among its lanes. Shuffles, votes and mma do not.
__device__ inline void sync_warp(unsigned mask = ~0u) { __syncwarp(mask); }

/// Orders this thread's accesses before it against those after it, as seen by the whole device.
__device__ inline void fence_device() { __threadfence(); }

/// The same, as seen by the block.
__device__ inline void fence_block() { __threadfence_block(); }

/// Orders this thread's plain accesses (shared and global) before it against those of asynchronous engines (bulk copies)
/// that are started after it. Every thread that wrote calls it, before the barrier that hands over to the thread that
/// starts the copy. Before sm_90 there are no such engines and nothing to do.
__device__ inline void fence_proxy_async() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async;" ::: "memory");
#endif
}

/// After mbarrier_init, before the barrier that tells the others: makes it known to the asynchronous engines, and to the
/// other blocks of a cluster.
__device__ inline void fence_mbarrier_init() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

}  // namespace tenon::inline cuda::arch
