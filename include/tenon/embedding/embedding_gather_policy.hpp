#pragma once
//  How a table row is cut into threads and vectors, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space.
struct embedding_gather_policy {
  int threads_per_block = 128;
  int vector            = 1;  // elements that one access moves

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(embedding_gather_policy const&, embedding_gather_policy const&) = default;
};

/// The policy for any row length; `vectorised` where every row starts at a multiple of eight elements' bytes.
constexpr embedding_gather_policy choose_embedding_gather_policy(architecture as, bool vectorised) {
  if (as.is_host()) return {1, 8};  // plain loads: alignment does not matter there
  return {128, vectorised ? 8 : 1};
}

/// Every policy that a kernel is compiled for.
inline constexpr embedding_gather_policy embedding_gather_menu[] = {{1, 8}, {128, 8}, {128, 1}};

}  // namespace tenon
