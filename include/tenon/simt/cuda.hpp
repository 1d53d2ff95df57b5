#pragma once
//  CUDA's vocabulary for a plain C++ file: include this, write kernels as for nvcc, run them with tenon::simt::launch or
//  check them with tenon::simt::check. Under nvcc the same file is CUDA; only dynamic shared memory is reached through an
//  accessor that works in both, instead of `extern __shared__`:
//
//    __global__ void reverse(float* y, float const* x) {
//      auto* const tile = tenon::simt::dynamic_shared<float>();
//      tile[threadIdx.x] = x[threadIdx.x];
//      __syncthreads();
//      y[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
//    }
//
//  What is not here does not compile. Unlike the rest of tenon this header defines global names, as CUDA does. Files that
//  include the toolkit's own headers (<cuda_fp16.h>, <cooperative_groups.h>, ...) find them in simt/cuda/toolkit, which
//  tenon_add_checked_test() puts on the include path.
#include <tenon/config.hpp>

#if TENON_CUDA

namespace tenon::simt {

/// The block's dynamic shared memory, seen as an array of T, 1024-byte aligned.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char tenon_dynamic_shared[];
  return reinterpret_cast<T*>(tenon_dynamic_shared);
}

}  // namespace tenon::simt

#else

#  include <tenon/simt/cuda/atomics.hpp>
#  include <tenon/simt/cuda/cooperative_groups.hpp>
#  include <tenon/simt/cuda/half.hpp>
#  include <tenon/simt/cuda/integers.hpp>
#  include <tenon/simt/cuda/math.hpp>
#  include <tenon/simt/cuda/memory.hpp>
#  include <tenon/simt/cuda/qualifiers.hpp>
#  include <tenon/simt/cuda/refused.hpp>
#  include <tenon/simt/cuda/synchronisation.hpp>
#  include <tenon/simt/cuda/thread.hpp>
#  include <tenon/simt/cuda/vector_types.hpp>
#  include <tenon/simt/cuda/warp.hpp>

#  include <stddef.h>
#  include <stdint.h>

#endif
