#pragma once
//  Vectorised accesses, see cuda/memory.cuh.
#include <tenon/config.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/simt/machine.hpp>

#include <cstring>

namespace tenon::inline host::arch {

#if TENON_CHECKED
namespace detail {
// A vector access is pieces of at most 16 bytes, each one access of the machine.
template <std::size_t From, class V>
inline void load_pieces(V& v, char const* address, simt::site at) {
  constexpr std::size_t bytes = sizeof(V) - From < 16 ? sizeof(V) - From : 16;
  auto const            piece = simt::machine::load(address + From, bytes, alignof(V), at);
  __builtin_memcpy(reinterpret_cast<char*>(&v) + From, &piece, bytes);
  if constexpr (From + bytes < sizeof(V)) load_pieces<From + bytes>(v, address, at);
}
template <std::size_t From, class V>
inline void store_pieces(V const& v, char* address, simt::site at) {
  constexpr std::size_t bytes = sizeof(V) - From < 16 ? sizeof(V) - From : 16;
  simt::machine::chunk  piece{};
  __builtin_memcpy(&piece, reinterpret_cast<char const*>(&v) + From, bytes);
  simt::machine::store(address + From, bytes, alignof(V), piece, at);
  if constexpr (From + bytes < sizeof(V)) store_pieces<From + bytes>(v, address, at);
}
}  // namespace detail
#endif

template <int N, class T>
inline vec<T, N> load(T const* address, [[maybe_unused]] simt::site at = simt::site::here()) {
  vec<T, N> v;
#if TENON_CHECKED
  detail::load_pieces<0>(v, reinterpret_cast<char const*>(address), at);
#else
  std::memcpy(&v, address, sizeof(T) * N);
#endif
  return v;
}

template <int N, class T>
inline vec<T, N> load_constant(T const* address, simt::site at = simt::site::here()) {
  return load<N>(address, at);
}

template <int N, class T>
inline void store(T* address, vec<T, N> const& v, [[maybe_unused]] simt::site at = simt::site::here()) {
#if TENON_CHECKED
  detail::store_pieces<0>(v, reinterpret_cast<char*>(address), at);
#else
  std::memcpy(address, &v, sizeof(T) * N);
#endif
}

namespace detail {
template <int Bytes>
concept hinted = Bytes == 4 || Bytes == 8 || Bytes == 16;
}

// There are no caches here to hint at; the accesses are judged as any others.
template <int N, class T>
requires detail::hinted<sizeof(T) * N>
inline vec<T, N> load_once(T const* address, simt::site at = simt::site::here()) { return load<N>(address, at); }
template <int N, class T>
requires detail::hinted<sizeof(T) * N>
inline vec<T, N> load_streaming(T const* address, simt::site at = simt::site::here()) { return load<N>(address, at); }
template <int N, class T>
requires detail::hinted<sizeof(T) * N>
inline vec<T, N> load_shared_by_blocks(T const* address, simt::site at = simt::site::here()) {
  return load<N>(address, at);
}
template <int N, class T>
requires detail::hinted<sizeof(T) * N>
inline void store_streaming(T* address, vec<T, N> const& v, simt::site at = simt::site::here()) {
  store(address, v, at);
}
inline void prefetch(void const*) {}

}  // namespace tenon::inline host::arch
