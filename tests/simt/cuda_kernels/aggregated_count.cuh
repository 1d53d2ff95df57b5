// Counts of equal keys: the lanes of a warp that hold the same key agree on one of them, which adds for all.
// Planted: lanes without a key take another branch, which votes on its own.
#include <tenon/simt/cuda.hpp>

__global__ void aggregated_count(unsigned* count, unsigned* without, int const* key, int n) {
  int const      i    = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned const lane = threadIdx.x % 32;
  int const      k    = i < n ? key[i] : -1;
#if PLANTED
  if (k >= 0) {
    unsigned const same = __match_any_sync(0xffffffffu, k);  // [match]
    if (lane + 1 == static_cast<unsigned>(__ffs(same))) atomicAdd(&count[k], __popc(same));
  } else {
    unsigned const none = __ballot_sync(0xffffffffu, 1);  // [vote]
    if (lane + 1 == static_cast<unsigned>(__ffs(none))) atomicAdd(without, __popc(none));
  }
#else
  unsigned const same = __match_any_sync(0xffffffffu, k);
  if (lane + 1 == static_cast<unsigned>(__ffs(same))) atomicAdd(k >= 0 ? &count[k] : without, __popc(same));
#endif
}
