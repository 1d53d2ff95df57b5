#pragma once
//  How a row is cut into threads and vectors, and how much of it stays in registers between the two passes.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space.
struct add_rms_norm_policy {
  int threads_per_block = 256;
  int vector            = 1;  // elements that one access moves
  int held              = 0;  // vectors per thread that stay in registers from the sum to the scaling

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(add_rms_norm_policy const&, add_rms_norm_policy const&) = default;
};

/// The policy for `hidden` elements per row; `vectorised` where every row starts at a multiple of eight elements' bytes.
/// Rows longer than the registers hold read the new residual a second time, from cache.
constexpr add_rms_norm_policy choose_add_rms_norm_policy(architecture as, index_t hidden, bool vectorised) {
  if (as.is_host()) return {1, 8, 0};  // plain loads: alignment does not matter there, and the row is in L1
  if (!vectorised) return {256, 1, 0};
  if (hidden <= 1024) return {128, 8, 1};
  if (hidden <= 4096) return {256, 8, 2};
  return {1024, 8, 1};
}

/// Every policy that a kernel is compiled for.
inline constexpr add_rms_norm_policy add_rms_norm_menu[] = {
    {1, 8, 0}, {128, 8, 1}, {256, 8, 2}, {1024, 8, 1}, {256, 1, 0}};

}  // namespace tenon
