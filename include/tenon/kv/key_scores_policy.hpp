#pragma once
//  How the keys of one head are cut into warps and lanes, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space: `lanes` neighbouring threads work on a key.
struct key_scores_policy {
  int threads_per_block = 512;
  int lanes             = 32;
  int vector            = 1;  // columns that one access moves

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }
  /// Columns that a lane keeps in registers: all that a key may have.
  TENON_HD constexpr int held() const { return 256 / lanes; }

  friend constexpr bool operator==(key_scores_policy const&, key_scores_policy const&) = default;
};

/// `vectorised` where eight columns of a key may move at once.
constexpr key_scores_policy choose_key_scores_policy(architecture as, bool vectorised) {
  int const vector = vectorised ? 8 : 1;
  return as.is_host() ? key_scores_policy{1, 1, vector} : key_scores_policy{512, 32, vector};
}

/// Every policy that a kernel is compiled for.
inline constexpr key_scores_policy key_scores_menu[] = {{1, 1, 8}, {1, 1, 1}, {512, 32, 8}, {512, 32, 1}};

}  // namespace tenon
