#pragma once
//  Vectorised accesses: N elements in one instruction, the address a multiple of their total size (at most 16 bytes).
#include <tenon/core/vec.hpp>

namespace tenon::inline cuda::arch {

template <int N, class T>
__device__ inline vec<T, N> load(T const* address) {
  return *reinterpret_cast<vec<T, N> const*>(address);
}

/// A load of data that no thread writes during the launch (ld.global.nc).
template <int N, class T>
__device__ inline vec<T, N> load_constant(T const* address) {
  using V = vec<T, N>;
  V v;
  if constexpr (sizeof(V) == 16) {
    reinterpret_cast<uint4&>(v) = __ldg(reinterpret_cast<uint4 const*>(address));
  } else if constexpr (sizeof(V) == 8) {
    reinterpret_cast<uint2&>(v) = __ldg(reinterpret_cast<uint2 const*>(address));
  } else if constexpr (sizeof(V) == 4) {
    reinterpret_cast<unsigned&>(v) = __ldg(reinterpret_cast<unsigned const*>(address));
  } else {
    v = *reinterpret_cast<V const*>(address);
  }
  return v;
}

template <int N, class T>
__device__ inline void store(T* address, vec<T, N> const& v) {
  *reinterpret_cast<vec<T, N>*>(address) = v;
}

}  // namespace tenon::inline cuda::arch
