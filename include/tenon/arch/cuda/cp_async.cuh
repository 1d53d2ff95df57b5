#pragma once
//  Asynchronous copies global -> shared, in groups. PTX: cp.async, cp.async.commit_group, cp.async.wait_group.
//
//  A wait makes the data visible to the issuing thread only; others need a barrier after it.
#include <cstdint>

namespace tenon::inline cuda::arch {

/// Starts a copy of Bytes (4, 8 or 16) to `shared`; bytes from `source_bytes` on are filled with zeros.
/// Both addresses are multiples of Bytes. Nothing is read where source_bytes is 0.
template <int Bytes>
__device__ inline void cp_async(void* shared, void const* global, int source_bytes = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "tenon::arch::cp_async: Bytes must be 4, 8 or 16");
  auto const to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(source_bytes) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(Bytes), "r"(source_bytes)
                 : "memory");
  }
}

/// Closes the group of copies started since the last commit.
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most `Pending` of this thread's groups are unfinished.
template <int Pending>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

}  // namespace tenon::inline cuda::arch
