#pragma once
//  How long a cached block that nobody uses is worth keeping, and who decides which one goes.
#include <tenon/kv/block_pool.hpp>

#include <concepts>
#include <cstdint>

namespace tenon {

/// What an eviction policy may look at. Time in the units of the manager's clock.
struct retention {
  static constexpr std::uint8_t  ordinary = 35;
  static constexpr std::uint32_t forever  = ~std::uint32_t{0};

  std::uint8_t  priority     = ordinary;  // 0..100; the lowest goes first
  std::uint32_t time_to_live = forever;   // after which a priority above the ordinary is the ordinary one
};

/// The idle blocks of a cache, constructed with the number of its blocks. `add`: a block that became idle at `now`; `remove`: one
/// that is owned again; `pop`: takes out the one to evict, no_block where none is idle, and says in `later` which one probably
/// follows soon, or no_block.
template <class E>
concept eviction_policy = std::constructible_from<E, block_id> &&
    requires(E e, block_id id, retention worth, std::uint64_t now, block_id& later) {
  e.add(id, worth, now);
  e.remove(id);
  { e.pop(now, later) } -> std::same_as<block_id>;
};

}  // namespace tenon
