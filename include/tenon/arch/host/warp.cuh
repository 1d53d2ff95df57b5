#pragma once
//  Shuffles and votes, see cuda/warp.cuh.
#include <tenon/simt/block.hpp>

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
struct exchange {
  T   value;
  int source;
  T   result;
};

template <class T>
T exchange_lanes(T v, int source, unsigned mask, site at) {
  if (!simt::block::current) return v;  // a direct run: the warp is one lane
  exchange<T> mine{v, source, v};
  simt::block::current->warp_collective(simt::warp_operation::shuffle, at, mask, &mine,
                                        [](void* const* lanes, unsigned here) {
                                          for (unsigned l = 0; l < 32; ++l) {
                                            if (!(here >> l & 1)) continue;
                                            auto& to = *static_cast<exchange<T>*>(lanes[l]);
                                            if (here >> to.source & 1)
                                              to.result = static_cast<exchange<T> const*>(lanes[to.source])->value;
                                          }
                                        });
  return mine.result;
}

inline std::uint32_t vote(bool predicate, unsigned mask, site at) {
  if (!simt::block::current) return predicate;
  exchange<std::uint32_t> mine{predicate, 0, 0};
  simt::block::current->warp_collective(
      simt::warp_operation::vote, at, mask, &mine, [](void* const* lanes, unsigned here) {
        std::uint32_t bits = 0;
        for (unsigned l = 0; l < 32; ++l)
          if ((here >> l & 1) && static_cast<exchange<std::uint32_t> const*>(lanes[l])->value) bits |= 1u << l;
        for (unsigned l = 0; l < 32; ++l)
          if (here >> l & 1) static_cast<exchange<std::uint32_t>*>(lanes[l])->result = bits;
      });
  return mine.result;
}

}  // namespace detail

template <detail::shuffled T>
T shuffle(T v, int source, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange_lanes(v, source & 31, mask, at);
}
template <detail::shuffled T>
T shuffle_xor(T v, int lanes, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange_lanes(v, (lane() ^ lanes) & 31, mask, at);
}
template <detail::shuffled T>
T shuffle_up(T v, int delta, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange_lanes(v, lane() - delta >= 0 ? lane() - delta : lane(), mask, at);
}
template <detail::shuffled T>
T shuffle_down(T v, int delta, unsigned mask = ~0u, site at = site::here()) {
  return detail::exchange_lanes(v, lane() + delta < 32 ? lane() + delta : lane(), mask, at);
}

inline std::uint32_t ballot(bool predicate, unsigned mask = ~0u, site at = site::here()) {
  return detail::vote(predicate, mask, at);
}
inline bool any(bool predicate, unsigned mask = ~0u, site at = site::here()) {
  return detail::vote(predicate, mask, at) != 0;
}
inline bool all(bool predicate, unsigned mask = ~0u, site at = site::here()) {
  return detail::vote(!predicate, mask, at) == 0;
}

}  // namespace tenon::inline host::arch

namespace tenon::inline host {
using simt::blockDim;
using simt::blockIdx;
using simt::gridDim;
using simt::threadIdx;
}  // namespace tenon::inline host
