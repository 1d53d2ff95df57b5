#pragma once
//  How a row is cut into threads and vectors, and how much of it stays in registers until its scale is known.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space.
struct quantize_rows_policy {
  int threads_per_block = 256;
  int vector            = 1;  // elements that one access moves; in groups four, by a warp for each group
  int held              = 0;  // vectors per thread that stay in registers from the load to the store

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  /// What registers are given out for: 80 per thread, 64 to the largest block.
  TENON_HD constexpr int blocks_per_multiprocessor() const {
    return threads_per_block > 512 ? 1 : 768 / threads_per_block;
  }

  friend constexpr bool operator==(quantize_rows_policy const&, quantize_rows_policy const&) = default;
};

/// The policy for k elements per row; `vectorised` where every row and every group starts at a multiple of eight elements.
/// Rows longer than the registers hold are read again, from cache.
constexpr quantize_rows_policy choose_quantize_rows_policy(architecture as, index_t k, bool vectorised) {
  if (as.is_host()) return {1, 8, 0};  // plain loads: alignment does not matter there, and the row is in L1
  if (!vectorised) return {256, 1, 0};
  if (k <= 1024) return {128, 8, 1};
  if (k <= 4096) return {256, 8, 2};
  return {1024, 8, 2};
}

/// Every policy that a kernel is compiled for.
inline constexpr quantize_rows_policy quantize_rows_menu[] = {
    {1, 8, 0}, {128, 8, 1}, {256, 8, 2}, {1024, 8, 2}, {256, 1, 0}};

}  // namespace tenon
