#pragma once
//  How many threads share a row of logits, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space; a row is one block's.
struct sample_policy {
  int threads_per_block = 256;

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(sample_policy const&, sample_policy const&) = default;
};

/// The policy for `vocabulary` logits per row.
constexpr sample_policy choose_sample_policy(architecture as, index_t vocabulary) {
  if (as.is_host()) return {1};
  return {vocabulary <= 8192 ? 256 : 512};
}

/// Every policy that a kernel is compiled for.
inline constexpr sample_policy sample_menu[] = {{1}, {256}, {512}};

}  // namespace tenon
