#pragma once
//  Shuffles, votes, reductions, matches, see cuda/warp.cuh.
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

inline bool elect(unsigned mask = ~0u, site at = site::here()) {
  bool chosen = false;
  simt::machine::meet(
      {simt::warp_operation::elect, 0, false, "elect"}, mask, &chosen,
      [](void* const* lanes, unsigned here) { *static_cast<bool*>(lanes[__builtin_ctz(here)]) = true; }, at);
  return chosen;
}

namespace detail {

template <class T>
concept reduced = std::is_integral_v<T> && sizeof(T) == 4;

enum class reduction { add, least, greatest, bit_and, bit_or, bit_xor };

template <reduction How, class T>
T reduce(char const* name, T v, unsigned mask, site at) {
  simt::machine::meet(
      {simt::warp_operation::reduce, static_cast<int>(How), false, name}, mask, &v,
      [](void* const* lanes, unsigned here) {
        T all = *static_cast<T const*>(lanes[__builtin_ctz(here)]);
        for (unsigned rest = here & (here - 1); rest; rest &= rest - 1) {
          T const next = *static_cast<T const*>(lanes[__builtin_ctz(rest)]);
          if constexpr (How == reduction::add)
            all = static_cast<T>(static_cast<std::uint32_t>(all) + static_cast<std::uint32_t>(next));
          if constexpr (How == reduction::least) all = next < all ? next : all;
          if constexpr (How == reduction::greatest) all = all < next ? next : all;
          if constexpr (How == reduction::bit_and) all &= next;
          if constexpr (How == reduction::bit_or) all |= next;
          if constexpr (How == reduction::bit_xor) all ^= next;
        }
        for (unsigned rest = here; rest; rest &= rest - 1) *static_cast<T*>(lanes[__builtin_ctz(rest)]) = all;
      },
      at);
  return v;
}

}  // namespace detail

template <detail::reduced T>
T reduce_add(T v, unsigned mask = ~0u, site at = site::here()) {
  return detail::reduce<detail::reduction::add>("reduce_add", v, mask, at);
}
template <detail::reduced T>
T reduce_min(T v, unsigned mask = ~0u, site at = site::here()) {
  return detail::reduce<detail::reduction::least>("reduce_min", v, mask, at);
}
template <detail::reduced T>
T reduce_max(T v, unsigned mask = ~0u, site at = site::here()) {
  return detail::reduce<detail::reduction::greatest>("reduce_max", v, mask, at);
}
inline std::uint32_t reduce_and(std::uint32_t v, unsigned mask = ~0u, site at = site::here()) {
  return detail::reduce<detail::reduction::bit_and>("reduce_and", v, mask, at);
}
inline std::uint32_t reduce_or(std::uint32_t v, unsigned mask = ~0u, site at = site::here()) {
  return detail::reduce<detail::reduction::bit_or>("reduce_or", v, mask, at);
}
inline std::uint32_t reduce_xor(std::uint32_t v, unsigned mask = ~0u, site at = site::here()) {
  return detail::reduce<detail::reduction::bit_xor>("reduce_xor", v, mask, at);
}

namespace detail {

struct match {
  std::uint64_t bits;
  std::uint32_t same;  // lanes
  bool          all;
};

template <class T>
match match_lanes(bool any, T v, unsigned mask, site at) {
  match mine{};
  __builtin_memcpy(&mine.bits, &v, sizeof v);
  simt::machine::meet(
      {simt::warp_operation::match, any, false, any ? "match_any" : "match_all"}, mask, &mine,
      [](void* const* lanes, unsigned here) {
        for (unsigned to = here; to; to &= to - 1) {
          auto& m = *static_cast<match*>(lanes[__builtin_ctz(to)]);
          for (unsigned from = here; from; from &= from - 1)
            if (static_cast<match const*>(lanes[__builtin_ctz(from)])->bits == m.bits) m.same |= from & (0u - from);
          m.all = m.same == here;
        }
      },
      at);
  return mine;
}

}  // namespace detail

template <detail::shuffled T>
std::uint32_t match_any(T v, unsigned mask = ~0u, site at = site::here()) {
  return detail::match_lanes(true, v, mask, at).same;
}
template <detail::shuffled T>
std::uint32_t match_all(T v, unsigned mask, bool* all, site at = site::here()) {
  *all = detail::match_lanes(false, v, mask, at).all;
  return *all ? mask : 0;
}

}  // namespace tenon::inline host::arch

namespace tenon::inline host {
using simt::blockDim;
using simt::blockIdx;
using simt::gridDim;
using simt::threadIdx;
}  // namespace tenon::inline host
