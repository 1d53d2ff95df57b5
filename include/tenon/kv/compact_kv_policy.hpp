#pragma once
//  How the kept tokens of one head are cut into threads, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space. How many bytes an access moves is no part of it: that follows from the strides.
struct compact_kv_policy {
  int threads_per_block = 256;
  int held              = 4;  // pieces that a thread has in registers between two barriers
  int shares            = 8;  // blocks that the columns of one head's rows are cut into at most

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  /// What registers are given out for: 64 per thread.
  TENON_HD constexpr int blocks_per_multiprocessor() const { return 1024 / threads_per_block; }

  friend constexpr bool operator==(compact_kv_policy const&, compact_kv_policy const&) = default;
};

constexpr compact_kv_policy choose_compact_kv_policy(architecture as) {
  return as.is_host() ? compact_kv_policy{1, 1, 1} : compact_kv_policy{256, 4, 8};
}

/// Every policy that a kernel is compiled for.
inline constexpr compact_kv_policy compact_kv_menu[] = {{1, 1, 1}, {256, 4, 8}};

}  // namespace tenon
