#pragma once
//  Where an operator runs. One name, two definitions: tenon::host::context and tenon::cuda::context.
#include <tenon/config.hpp>

#include <cstddef>
#if TENON_CUDA && !defined(__CUDACC_RTC__)
#  include <cuda_runtime_api.h>
#endif

namespace tenon {

/// Scratch memory of the caller; `<primitive>_workspace_bytes` says how much a call wants.
struct workspace {
  std::byte*  data = nullptr;
  std::size_t size = 0;  // bytes
};

/// Words that are zero before a call and zero after it: with them the blocks of one launch find out which of them comes
/// last. The caller clears them once; a launch that did not finish leaves them in any state.
struct counters {
  unsigned* data = nullptr;
  int       size = 0;  // words; kernels that split K want one per tile of D, others work without
};

#if !TENON_CUDA
namespace simt {
class session;
}
#endif

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

#if !TENON_CUDA
/// Runs on this machine's cores; results are ready on return.
struct context {
  int              arch      = 0;  // 0: the host's own policies; 80, 89, 90: act as that architecture, lane by lane
  tenon::workspace workspace = {};
  tenon::counters  counters  = {};
  int              multiprocessors = 0;        // to plan for; 0: those of the architecture's usual card
  bool             batch_invariant = true;     // choose kernels and splits without looking at the batch
  int              threads         = 0;        // cores to use; 0: all
  simt::session*   session         = nullptr;  // a checked run collects its findings here
};
#elif !defined(__CUDACC_RTC__)
/// Work is enqueued on `stream`. An operator never allocates, never synchronises, and is safe under graph capture.
struct context {
  int              arch            = 0;  // arch::built_for(), asked once when the context is made
  tenon::workspace workspace       = {};
  tenon::counters  counters        = {};
  int              multiprocessors = 0;  // of the device; 0: those of the architecture's usual card
  bool             batch_invariant = false;
  cudaStream_t     stream          = nullptr;
};
#endif

}  // namespace tenon::inline TENON_TARGET
