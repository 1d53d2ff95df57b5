#pragma once
//  Bulk copies between global and shared memory, made by the copy engine on behalf of one thread; from sm_90 on, before
//  they trap. PTX: cp.async.bulk. Addresses and sizes are multiples of 16 bytes.
//
//  The engine sees memory through a proxy of its own: what threads wrote with plain stores reaches it after
//  fence_proxy_async() by the writer and then an ordinary hand-over (a barrier) to the thread that starts the copy. What
//  it wrote is visible to whoever waited for it.
#include <tenon/arch/cuda/mbarrier.cuh>
#include <tenon/arch/cuda/shared.cuh>

namespace tenon::inline cuda::arch {

/// Starts a copy global -> shared; `bytes` bytes complete on the barrier when they have landed, so it must expect them.
__device__ inline void bulk_load([[maybe_unused]] void* shared, [[maybe_unused]] void const* global,
                                 [[maybe_unused]] int bytes, [[maybe_unused]] mbarrier* b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   detail::shared_address(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(detail::shared_address(b))
               : "memory");
#else
  __trap();
#endif
}

/// Starts a copy shared -> global in this thread's current group.
__device__ inline void bulk_store([[maybe_unused]] void* global, [[maybe_unused]] void const* shared,
                                  [[maybe_unused]] int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(__cvta_generic_to_global(global)),
               "r"(detail::shared_address(shared)), "r"(bytes)
               : "memory");
#else
  __trap();
#endif
}

/// Closes the group of stores started since the last commit.
__device__ inline void bulk_commit() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#else
  __trap();
#endif
}

/// Waits until at most `Pending` of this thread's groups are unfinished: their writes are made.
template <int Pending>
__device__ inline void bulk_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Pending) : "memory");
#else
  __trap();
#endif
}

/// The same for their reads only: the source may be written again, the destination is not yet to be read.
template <int Pending>
__device__ inline void bulk_wait_read() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Pending) : "memory");
#else
  __trap();
#endif
}

/// Asks for `bytes` bytes in L2. A hint.
__device__ inline void bulk_prefetch([[maybe_unused]] void const* global, [[maybe_unused]] int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
#endif
}

}  // namespace tenon::inline cuda::arch
