#pragma once
//  Asynchronous copies global -> shared, in groups. PTX: cp.async, cp.async.commit_group, cp.async.wait_group.
//
//  A wait makes the data visible to the issuing thread only; others need a barrier after it.
#include <tenon/arch/cuda/shared.cuh>

namespace tenon::inline cuda::arch {

namespace detail {

// Qualifiers of cp.async, spliced into the instruction. Copies of 16 bytes pass L1 by.
template <int Bytes>
struct copy_cache {
  static constexpr char text[] = ".ca";
};
template <>
struct copy_cache<16> {
  static constexpr char text[] = ".cg";
};
template <int Bytes>
struct l2_prefetch {
  static constexpr char text[] = "";
};
template <>
struct l2_prefetch<128> {
  static constexpr char text[] = ".L2::128B";
};
template <>
struct l2_prefetch<256> {
  static constexpr char text[] = ".L2::256B";
};

}  // namespace detail

/// Starts a copy of Bytes (4, 8 or 16) to `shared`; bytes from `source_bytes` on are filled with zeros.
/// Both addresses are multiples of Bytes. Nothing is read where source_bytes is 0. With Prefetch (128 or 256) L2 may fetch
/// that many bytes around the source.
template <int Bytes, int Prefetch = 0>
__device__ inline void cp_async(void* shared, void const* global, int source_bytes = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "tenon::arch::cp_async: Bytes must be 4, 8 or 16");
  static_assert(Prefetch == 0 || Prefetch == 128 || Prefetch == 256,
                "tenon::arch::cp_async: Prefetch must be 0, 128 or 256");
  auto const to = detail::shared_address(shared);
  asm volatile("cp.async%5.shared.global%4 [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(Bytes), "r"(source_bytes),
               "C"(detail::l2_prefetch<Prefetch>::text), "C"(detail::copy_cache<Bytes>::text)
               : "memory");
}

/// Closes the group of copies started since the last commit.
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most `Pending` of this thread's groups are unfinished.
template <int Pending>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

}  // namespace tenon::inline cuda::arch
