#pragma once
//  Launches that overlap: programmatic dependent launch, from sm_90 on; before, nothing happens. PTX: griddepcontrol.
//
//  A launch with launch_shape::overlaps_previous may begin while the one before it in the stream still runs. What it does
//  before wait_for_previous_launch() touches nothing that an earlier launch writes: weights, its own shared memory. Every
//  block calls it, before it reads inputs and before it writes anything to global memory.

namespace tenon::inline cuda::arch {

/// Until every earlier launch has ended and its writes are visible.
__device__ inline void wait_for_previous_launch() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// The next launch may begin once every block has said so, or ended: there are multiprocessors to spare.
__device__ inline void allow_next_launch() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace tenon::inline cuda::arch
