#pragma once
//  Memory barriers: barriers that live in shared memory and count arrivals and bytes. PTX: mbarrier.
//
//  A phase ends when `arrivals` arrivals have come and as many bytes have landed as were expected; the next one begins at
//  once. A wait names the parity of the phase that it waits for: 0, 1, 0, ... A wait for the parity of the phase before the
//  current one returns at once, so a producer that begins with parity 1 passes through an empty ring.
//
//  Arriving releases what the thread wrote before, a wait that succeeds acquires it, in the block. Bytes (expect, and
//  their completion by bulk copies) exist from sm_90 on; before, those functions trap.
#include <tenon/arch/cuda/shared.cuh>

#include <cstdint>

namespace tenon::inline cuda::arch {

/// In shared memory. Nothing but the functions below touches it.
struct alignas(8) mbarrier {
  std::uint64_t opaque;
};

/// By one thread, then fence_mbarrier_init() and sync_block() before anyone else comes. 1 <= arrivals < 2^20.
__device__ inline void mbarrier_init(mbarrier* b, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(detail::shared_address(b)), "r"(arrivals) : "memory");
}

/// Ends its life: the memory may serve other purposes.
__device__ inline void mbarrier_invalidate(mbarrier* b) {
  asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(detail::shared_address(b)) : "memory");
}

/// `count` arrivals at once; at most as many as the phase still waits for.
__device__ inline void mbarrier_arrive(mbarrier* b, int count = 1) {
  [[maybe_unused]] std::uint64_t state;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.shared.b64 %0, [%1], %2;"
               : "=l"(state)
               : "r"(detail::shared_address(b)), "r"(count)
               : "memory");
#else
  if (count > 1)  // all but the last one cannot end the phase
    asm volatile("mbarrier.arrive.noComplete.shared.b64 %0, [%1], %2;"
                 : "=l"(state)
                 : "r"(detail::shared_address(b)), "r"(count - 1)
                 : "memory");
  asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(state) : "r"(detail::shared_address(b)) : "memory");
#endif
}

/// The current phase also waits for `bytes` bytes of bulk copies. Before the copies or after, but before the arrival that
/// would end the phase without them.
__device__ inline void mbarrier_expect([[maybe_unused]] mbarrier* b, [[maybe_unused]] int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(detail::shared_address(b)), "r"(bytes)
               : "memory");
#else
  __trap();
#endif
}

/// Both in one step: expects `bytes` and arrives.
__device__ inline void mbarrier_arrive_expect([[maybe_unused]] mbarrier* b, [[maybe_unused]] int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(detail::shared_address(b)),
               "r"(bytes)
               : "memory");
#else
  __trap();
#endif
}

/// Whether the phase of this parity has ended. Never waits.
__device__ inline bool mbarrier_test(mbarrier* b, unsigned parity) {
  std::uint32_t over;
  asm volatile("{\n.reg .pred p;\nmbarrier.test_wait.parity.shared.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(over)
               : "r"(detail::shared_address(b)), "r"(parity)
               : "memory");
  return over != 0;
}

/// The same, but may wait for it for a while that the machine chooses (sm_90; else as test).
__device__ inline bool mbarrier_try_wait(mbarrier* b, unsigned parity) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  std::uint32_t over;
  asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(over)
               : "r"(detail::shared_address(b)), "r"(parity)
               : "memory");
  return over != 0;
#else
  return mbarrier_test(b, parity);
#endif
}

/// Waits until it has ended.
__device__ inline void mbarrier_wait(mbarrier* b, unsigned parity) {
  while (!mbarrier_try_wait(b, parity)) {
  }
}

/// One arrival of this thread (counted by mbarrier_init) when all its cp_async so far have landed.
/// PTX: cp.async.mbarrier.arrive.noinc.
__device__ inline void mbarrier_arrive_after_copies(mbarrier* b) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(detail::shared_address(b)) : "memory");
}

}  // namespace tenon::inline cuda::arch
