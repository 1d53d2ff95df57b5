#pragma once
//  How long a cached block that nobody uses is worth keeping.
#include <cstdint>

namespace tenon {

/// What an eviction policy may look at. Time in the units of the manager's clock.
struct retention {
  static constexpr std::uint8_t  ordinary = 35;
  static constexpr std::uint32_t forever  = ~std::uint32_t{0};

  std::uint8_t  priority     = ordinary;  // 0..100; the lowest goes first
  std::uint32_t time_to_live = forever;   // after which a priority above the ordinary is the ordinary one
};

}  // namespace tenon
