#pragma once
//  How a row is cut into threads and vectors, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space: compare it, print it, put it in a benchmark table.
struct rms_norm_policy {
  int threads_per_block = 256;
  int vector            = 1;  // elements that one access moves

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(rms_norm_policy const&, rms_norm_policy const&) = default;
};

/// The policy for `hidden` elements per row; `vectorised` where every row starts at a multiple of eight elements' bytes.
constexpr rms_norm_policy choose_rms_norm_policy(architecture as, index_t hidden, bool vectorised) {
  if (as.is_host()) return {1, 8};  // plain loads: alignment does not matter there
  if (!vectorised) return {256, 1};
  if (hidden <= 1024) return {128, 8};
  return {as.number >= 90 && hidden >= 4096 ? 512 : 256, 8};
}

/// Every policy that a kernel is compiled for.
inline constexpr rms_norm_policy rms_norm_menu[] = {{1, 8}, {128, 8}, {256, 8}, {512, 8}, {256, 1}};

}  // namespace tenon
