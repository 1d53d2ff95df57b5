#pragma once
//  Shuffles and votes: lanes exchange registers. No memory ordering. PTX: shfl.sync, vote.sync.
#include <cstdint>
#include <type_traits>

namespace tenon::inline cuda::arch {

__device__ inline int lane() { return static_cast<int>(threadIdx.x % 32); }
__device__ inline int warp() { return static_cast<int>(threadIdx.x / 32); }

namespace detail {
template <class T>
concept shuffled = std::is_trivially_copyable_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);
}

/// `v` of lane `source` (taken modulo 32).
template <detail::shuffled T>
__device__ inline T shuffle(T v, int source, unsigned mask = ~0u) {
  return __shfl_sync(mask, v, source);
}

/// `v` of lane (own ^ lanes).
template <detail::shuffled T>
__device__ inline T shuffle_xor(T v, int lanes, unsigned mask = ~0u) {
  return __shfl_xor_sync(mask, v, lanes);
}

/// `v` of lane (own - delta), own value where there is none.
template <detail::shuffled T>
__device__ inline T shuffle_up(T v, int delta, unsigned mask = ~0u) {
  return __shfl_up_sync(mask, v, delta);
}

/// `v` of lane (own + delta), own value where there is none.
template <detail::shuffled T>
__device__ inline T shuffle_down(T v, int delta, unsigned mask = ~0u) {
  return __shfl_down_sync(mask, v, delta);
}

/// Bit l is set where lane l of `mask` has `predicate`.
__device__ inline std::uint32_t ballot(bool predicate, unsigned mask = ~0u) { return __ballot_sync(mask, predicate); }
__device__ inline bool          any(bool predicate, unsigned mask = ~0u) { return __any_sync(mask, predicate); }
__device__ inline bool          all(bool predicate, unsigned mask = ~0u) { return __all_sync(mask, predicate); }

}  // namespace tenon::inline cuda::arch
