#pragma once
//  How the bytes of one copy are cut into threads, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space: compare it, print it, put it in a benchmark table. How many bytes an access moves is no
/// part of it: that follows from the strides of each view.
struct copy_pages_policy {
  int threads_per_block = 128;
  int held              = 4;   // pieces that a thread has in flight
  int shares            = 64;  // blocks that a page's keys, or its values, are cut into at most

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(copy_pages_policy const&, copy_pages_policy const&) = default;
};

constexpr copy_pages_policy choose_copy_pages_policy(architecture as) {
  return as.is_host() ? copy_pages_policy{1, 1, 1} : copy_pages_policy{128, 4, 64};
}

/// Every policy that a kernel is compiled for.
inline constexpr copy_pages_policy copy_pages_menu[] = {{1, 1, 1}, {128, 4, 64}};

}  // namespace tenon
