#pragma once
//  Shuffles and votes, see cuda/warp.cuh.
#include <tenon/simt/machine.hpp>
#include <tenon/simt/vocabulary.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline host::arch {

using simt::blockDim;
using simt::blockIdx;
using simt::gridDim;
using simt::site;
using simt::threadIdx;

inline int lane() { return static_cast<int>(threadIdx.x % 32); }
inline int warp() { return static_cast<int>(threadIdx.x / 32); }

namespace detail {

template <class T>
concept shuffled = std::is_trivially_copyable_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <class T>
T exchange(simt::shuffle_mode mode, T v, int by, unsigned mask, site at) {
  return simt::machine::shuffle_from(mode, v, simt::shuffle_source(mode, lane(), by), mask, at);
}

}  // namespace detail

template <detail::shuffled T>
T shuffle(T v, int source, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange(simt::shuffle_mode::index, v, source, mask, at);
}
template <detail::shuffled T>
T shuffle_xor(T v, int lanes, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange(simt::shuffle_mode::exclusive_or, v, lanes, mask, at);
}
template <detail::shuffled T>
T shuffle_up(T v, int delta, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange(simt::shuffle_mode::up, v, delta, mask, at);
}
template <detail::shuffled T>
T shuffle_down(T v, int delta, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange(simt::shuffle_mode::down, v, delta, mask, at);
}

inline std::uint32_t ballot(bool predicate, unsigned mask = ~0u, site at = site::here()) {
  return simt::machine::vote(simt::vote_mode::ballot, predicate, mask, at);
}
inline bool any(bool predicate, unsigned mask = ~0u, site at = site::here()) {
  return simt::machine::vote(simt::vote_mode::any, predicate, mask, at) != 0;
}
inline bool all(bool predicate, unsigned mask = ~0u, site at = site::here()) {
  return simt::machine::vote(simt::vote_mode::all, predicate, mask, at) != 0;
}

}  // namespace tenon::inline host::arch

namespace tenon::inline host {
using simt::blockDim;
using simt::blockIdx;
using simt::gridDim;
using simt::threadIdx;
}  // namespace tenon::inline host
