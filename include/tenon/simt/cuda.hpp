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
//  What is not here does not compile. Unlike the rest of tenon this header defines global names, as CUDA does.
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

#  include <tenon/simt/launch.hpp>
#  include <tenon/simt/machine.hpp>
#  include <tenon/simt/vocabulary.hpp>

#  include <cmath>
#  include <cstdint>
#  include <type_traits>

// One instance per OS thread, as blocks of a plain run are spread over several; a checked run watches it as it does
// dynamic shared memory.
#  ifndef __shared__
#    define __shared__ static thread_local
#  endif

namespace tenon::simt {

#  if TENON_CHECKED
namespace detail {
inline bool const statics_are_watched = (watch_static_shared(), true);
}
#  endif

/// The block's dynamic shared memory, seen as an array of T, 1024-byte aligned.
template <class T>
T* dynamic_shared([[maybe_unused]] site at = site::here()) {
#  if TENON_CHECKED
  return reinterpret_cast<T*>(machine::shared_memory(0, at));
#  else
  return reinterpret_cast<T*>(shared_memory);
#  endif
}

namespace detail {

inline int own_lane() {
  return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32);
}

/// A shuffle within groups of `width` lanes (a power of two), as shfl.sync defines it.
template <class T>
T shuffle_in_groups(shuffle_mode mode, unsigned mask, T v, int by, int width, site at) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "tenon::simt: a shuffle moves 4 or 8 bytes");
  int const own = own_lane(), first = own & ~(width - 1);
  int       source = own;
  switch (mode) {
    case shuffle_mode::index: source = first + (by & (width - 1)); break;
    case shuffle_mode::exclusive_or: source = (own ^ by) < first + width ? own ^ by : own; break;
    case shuffle_mode::up: source = own - by >= first ? own - by : own; break;
    case shuffle_mode::down: source = own + by < first + width ? own + by : own; break;
  }
  return machine::shuffle_from(mode, v, source, mask, at);
}

template <class T, class Next>
T update(T* p, site at, scope how_far, Next next) {
  return machine::atomic_update(p, memory_order::relaxed, how_far, at, next);
}

}  // namespace detail
}  // namespace tenon::simt

using tenon::simt::blockDim;
using tenon::simt::blockIdx;
using tenon::simt::dim3;
using tenon::simt::gridDim;
using tenon::simt::threadIdx;
inline constexpr int warpSize = 32;

// clang-format off
struct alignas(8)  float2 { float x, y; };
struct             float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8)  int2   { int x, y; };
struct alignas(16) int4   { int x, y, z, w; };
struct alignas(8)  uint2  { unsigned x, y; };
struct alignas(16) uint4  { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2   make_int2(int x, int y) { return {x, y}; }
inline int4   make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2  make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4  make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
// clang-format on

// ---- barriers, fences, votes, shuffles ------------------------------------------------------------------------------

inline void __syncthreads(tenon::simt::site at = tenon::simt::site::here()) { tenon::simt::machine::sync_block(at); }
inline void __syncwarp(unsigned mask = ~0u, tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::sync_warp(mask, at);
}
inline void __threadfence(tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::fence(tenon::simt::scope::device, at);
}
inline void __threadfence_block(tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::fence(tenon::simt::scope::block, at);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::vote(tenon::simt::vote_mode::ballot, predicate != 0, mask, at);
}
inline int __any_sync(unsigned mask, int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::vote(tenon::simt::vote_mode::any, predicate != 0, mask, at) != 0;
}
inline int __all_sync(unsigned mask, int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::vote(tenon::simt::vote_mode::all, predicate != 0, mask, at) != 0;
}

template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = 32, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::index, mask, v, source, width, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::exclusive_or, mask, v, lanes, width, at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::up, mask, v, static_cast<int>(delta), width,
                                                at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32,
                   tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::down, mask, v, static_cast<int>(delta),
                                                width, at);
}

// ---- memory ---------------------------------------------------------------------------------------------------------

template <class T>
[[gnu::always_inline]] inline T __ldg(T const* p) {
  return *p;
}

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [v](T b) { return static_cast<T>(b + v); });
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [v](T b) { return static_cast<T>(b - v); });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [v](T b) { return b < v ? v : b; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [v](T b) { return v < b ? v : b; });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [v](T b) { return static_cast<T>(b & v); });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [v](T b) { return static_cast<T>(b | v); });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [v](T) { return v; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v,
            tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device, [=](T b) { return b == expected ? v : b; });
}
/// *p + 1, back to 0 after `last`; the value before.
inline unsigned atomicInc(unsigned* p, unsigned last, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::update(p, at, tenon::simt::scope::device,
                                     [last](unsigned b) { return b >= last ? 0 : b + 1; });
}

// ---- arithmetic -----------------------------------------------------------------------------------------------------

inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline float __expf(float v) { return std::exp(v); }
inline float __logf(float v) { return std::log(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline int   __popc(unsigned v) { return __builtin_popcount(v); }
inline int   __clz(int v) { return v == 0 ? 32 : __builtin_clz(static_cast<unsigned>(v)); }
inline int   __ffs(int v) { return __builtin_ffs(v); }

#endif
