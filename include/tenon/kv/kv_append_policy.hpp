#pragma once
//  How the rows of one token are cut into threads and vectors, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space: compare it, print it, put it in a benchmark table.
struct kv_append_policy {
  int threads_per_block = 128;
  int vector            = 1;  // elements that one access moves

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(kv_append_policy const&, kv_append_policy const&) = default;
};

/// `vectorised` where head_dim and value_dim are multiples of eight and every row starts at a multiple of eight
/// elements' bytes.
constexpr kv_append_policy choose_kv_append_policy(architecture as, bool vectorised) {
  return {as.is_host() ? 1 : 128, vectorised ? 8 : 1};
}

/// Every policy that a kernel is compiled for.
inline constexpr kv_append_policy kv_append_menu[] = {{1, 8}, {1, 1}, {128, 8}, {128, 1}};

}  // namespace tenon
