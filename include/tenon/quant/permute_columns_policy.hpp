#pragma once
//  How a row of permuted columns is cut into threads, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space.
struct permute_columns_policy {
  int threads_per_block = 256;

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(permute_columns_policy const&, permute_columns_policy const&) = default;
};

constexpr permute_columns_policy choose_permute_columns_policy(architecture as) { return {as.is_host() ? 1 : 256}; }

/// Every policy that a kernel is compiled for.
inline constexpr permute_columns_policy permute_columns_menu[] = {{1}, {256}};

}  // namespace tenon
