#pragma once
//  Vectorised accesses, see cuda/memory.cuh.
#include <tenon/core/vec.hpp>
#include <tenon/simt/site.hpp>

#include <cstring>

namespace tenon::inline host::arch {

template <int N, class T>
inline vec<T, N> load(T const* address, simt::site = simt::site::here()) {
  vec<T, N> v;
  std::memcpy(&v, address, sizeof(T) * N);
  return v;
}

template <int N, class T>
inline vec<T, N> load_constant(T const* address, simt::site at = simt::site::here()) {
  return load<N>(address, at);
}

template <int N, class T>
inline void store(T* address, vec<T, N> const& v, simt::site = simt::site::here()) {
  std::memcpy(address, &v, sizeof(T) * N);
}

}  // namespace tenon::inline host::arch
