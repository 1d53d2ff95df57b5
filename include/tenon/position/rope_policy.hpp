#pragma once
//  How the heads of a token are cut into threads and vectors, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space.
struct rope_policy {
  int threads_per_block = 128;
  int pairs             = 1;  // pairs that one thread turns at a time

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(rope_policy const&, rope_policy const&) = default;
};

/// The policy; `vectorised` where every group of eight pairs may be moved by vector accesses.
constexpr rope_policy choose_rope_policy(architecture as, bool vectorised) {
  if (as.is_host()) return {1, 8};  // plain loads: alignment does not matter there
  return {128, vectorised ? 8 : 1};
}

/// Every policy that a kernel is compiled for.
inline constexpr rope_policy rope_menu[] = {{1, 8}, {128, 8}, {128, 1}};

}  // namespace tenon
