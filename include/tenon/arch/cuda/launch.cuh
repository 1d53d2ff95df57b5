#pragma once
//  A kernel onto a stream.
#if !defined(__CUDACC_RTC__)
#  include <tenon/core/context.hpp>
#  include <tenon/core/status.hpp>

#  include <cuda_runtime_api.h>
#  include <cstddef>

namespace tenon::inline cuda::arch {

using dim3 = ::dim3;

namespace detail {
template <class = void>
__global__ void probe() {}
}  // namespace detail

/// 10 * major + minor of the virtual architecture this binary's code was compiled for on the current device; 0 where
/// the binary has none. Not the device's own number: sm_80 code on an sm_86 device answers 80, as __CUDA_ARCH__ does in
/// kernels.
inline int built_for() {
  cudaFuncAttributes attributes{};
  return cudaFuncGetAttributes(&attributes, detail::probe<>) == cudaSuccess ? attributes.ptxVersion : 0;
}

struct launch_shape {
  dim3        grid              = 1;
  dim3        block             = 1;
  std::size_t shared_bytes      = 0;
  double      work_per_block    = 0;      // scalar operations; the host target decides by it how many cores to wake
  bool        overlaps_previous = false;  // the kernel waits for earlier launches itself (dependency.cuh)
};

/// Enqueues kernel(params).
template <class Params>
status launch(char const* primitive, context const& where, launch_shape const& shape, void (*kernel)(Params const),
              Params const& params) {
  constexpr std::size_t without_opt_in = 48 * 1024;
  if (shape.shared_bytes > without_opt_in) {
    cudaError_t const error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (error != cudaSuccess) return {errc::launch_failed, primitive, cudaGetErrorName(error), error, 0};
  }
  cudaLaunchConfig_t config{};
  config.gridDim          = shape.grid;
  config.blockDim         = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream           = where.stream;
  cudaLaunchAttribute overlap{};
  overlap.id                                         = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  if (shape.overlaps_previous && where.arch >= 90) config.attrs = &overlap, config.numAttrs = 1;
  cudaError_t const error = cudaLaunchKernelEx(&config, kernel, params);
  return error == cudaSuccess ? status{} : status{errc::launch_failed, primitive, cudaGetErrorName(error), error, 0};
}

}  // namespace tenon::inline cuda::arch
#endif
