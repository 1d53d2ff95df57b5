#pragma once
//  Shuffles, votes, reductions, matches: lanes exchange registers. No memory ordering. PTX: shfl.sync, vote.sync, redux.sync,
//  match.sync, elect.sync.
#include <tenon/core/bit_cast.hpp>

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

/// True in one lane of `mask`, the same one every time. Before sm_90 it is the lowest.
__device__ inline bool elect(unsigned mask = ~0u) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  std::uint32_t chosen;
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, %1;\nselp.u32 %0, 1, 0, p;\n}" : "=r"(chosen) : "r"(mask));
  return chosen != 0;
#else
  return lane() == __ffs(static_cast<int>(mask)) - 1;
#endif
}

namespace detail {
template <class T>
concept reduced = std::is_integral_v<T> && sizeof(T) == 4;
}

/// Over the lanes of `mask`, in each of them: the sum modulo 2^32, the least, the greatest.
template <detail::reduced T>
__device__ inline T reduce_add(T v, unsigned mask = ~0u) {
  return __reduce_add_sync(mask, v);
}
template <detail::reduced T>
__device__ inline T reduce_min(T v, unsigned mask = ~0u) {
  return __reduce_min_sync(mask, v);
}
template <detail::reduced T>
__device__ inline T reduce_max(T v, unsigned mask = ~0u) {
  return __reduce_max_sync(mask, v);
}
__device__ inline std::uint32_t reduce_and(std::uint32_t v, unsigned mask = ~0u) { return __reduce_and_sync(mask, v); }
__device__ inline std::uint32_t reduce_or(std::uint32_t v, unsigned mask = ~0u) { return __reduce_or_sync(mask, v); }
__device__ inline std::uint32_t reduce_xor(std::uint32_t v, unsigned mask = ~0u) { return __reduce_xor_sync(mask, v); }

namespace detail {
template <shuffled T>
__device__ inline auto bits_of(T v) {
  using bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, unsigned long long>;
  return bit_cast<bits>(v);
}
}  // namespace detail

/// The lanes of `mask` whose bits of `v` are this lane's.
template <detail::shuffled T>
__device__ inline std::uint32_t match_any(T v, unsigned mask = ~0u) {
  return __match_any_sync(mask, detail::bits_of(v));
}

/// `mask` and *all = true where every lane has the same bits, else 0 and false.
template <detail::shuffled T>
__device__ inline std::uint32_t match_all(T v, unsigned mask, bool* all) {
  int                 same;
  std::uint32_t const lanes = __match_all_sync(mask, detail::bits_of(v), &same);
  *all                      = same != 0;
  return lanes;
}

}  // namespace tenon::inline cuda::arch
