#pragma once
//  How many threads share a piece of the vocabulary, and how long that piece is, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space; a block counts the tokens of one piece of the vocabulary in shared memory.
struct penalties_policy {
  int threads_per_block = 256;
  int piece             = 8192;  // tokens, 4 bytes of shared memory each

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(penalties_policy const&, penalties_policy const&) = default;
};

constexpr penalties_policy choose_penalties_policy(architecture as) {
  if (as.is_host()) return {1, 32768};
  return {256, 8192};
}

/// Every policy that a kernel is compiled for.
inline constexpr penalties_policy penalties_menu[] = {{1, 32768}, {256, 8192}};

}  // namespace tenon
