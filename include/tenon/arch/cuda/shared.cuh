#pragma once
//  The block's dynamic shared memory.
#include <cstddef>

namespace tenon::inline cuda::arch {

/// All of it, seen as one Storage, 1024-byte aligned. The launch gives sizeof(Storage) bytes.
template <class Storage>
__device__ Storage& shared() {
  extern __shared__ __align__(1024) std::byte tenon_arch_shared[];
  return *reinterpret_cast<Storage*>(tenon_arch_shared);
}

}  // namespace tenon::inline cuda::arch
