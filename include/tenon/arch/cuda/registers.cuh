#pragma once
//  Registers handed from one warpgroup to another. PTX: setmaxnreg (sm_90a and later architecture-specific targets).
//
//  All four warps of a warpgroup, converged. A kernel launches with the same number for every thread; producers give some
//  back, consumers take them. Results do not depend on it, so other targets do nothing.

namespace tenon::inline cuda::arch {

namespace detail {
template <int N>
inline constexpr bool register_count = N >= 24 && N <= 256 && N % 8 == 0;
}  // namespace detail

/// Each thread may use N registers from here on; waits until the block has them.
template <int N>
__device__ inline void increase_registers() {
  static_assert(detail::register_count<N>, "tenon::arch::increase_registers: N must be a multiple of 8 from 24 to 256");
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(__CUDA_ARCH_SPECIFIC__) || defined(__CUDA_ARCH_FAMILY_SPECIFIC__)
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
#endif
}

/// Each thread gives back all but N.
template <int N>
__device__ inline void decrease_registers() {
  static_assert(detail::register_count<N>, "tenon::arch::decrease_registers: N must be a multiple of 8 from 24 to 256");
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(__CUDA_ARCH_SPECIFIC__) || defined(__CUDA_ARCH_FAMILY_SPECIFIC__)
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
#endif
}

}  // namespace tenon::inline cuda::arch
