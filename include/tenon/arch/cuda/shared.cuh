#pragma once
//  The block's dynamic shared memory.
#include <cstddef>
#include <cstdint>

namespace tenon::inline cuda::arch {

/// All of it, seen as one Storage, 1024-byte aligned. The launch gives sizeof(Storage) bytes.
template <class Storage>
__device__ Storage& shared() {
  extern __shared__ __align__(1024) std::byte tenon_arch_shared[];
  return *reinterpret_cast<Storage*>(tenon_arch_shared);
}

namespace detail {
/// The address within the shared window, as instructions on shared memory take it.
__device__ inline std::uint32_t shared_address(void const* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}
}  // namespace detail

}  // namespace tenon::inline cuda::arch
