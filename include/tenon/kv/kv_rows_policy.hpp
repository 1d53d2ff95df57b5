#pragma once
//  How the heads of a token are cut into rows, and a row into lanes and vectors, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space. A row is one head of one token.
struct kv_rows_policy {
  int threads_per_block = 128;
  int vector            = 1;   // columns that one access moves
  int lanes             = 32;  // that work on one row
  int held              = 0;   // vectors per lane that stay in registers until the scale is known

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  /// What registers are given out for: 80 per thread.
  TENON_HD constexpr int blocks_per_multiprocessor() const { return 768 / threads_per_block; }

  friend constexpr bool operator==(kv_rows_policy const&, kv_rows_policy const&) = default;
};

/// Columns of an access where rows allow them.
constexpr int kv_rows_vector(architecture as) { return as.is_host() ? 8 : 4; }

/// The policy for rows of `width` columns; `vectorised` where kv_rows_vector columns may move at once. Rows longer than the
/// registers hold are read again, from cache.
constexpr kv_rows_policy choose_kv_rows_policy(architecture as, index_t width, bool vectorised) {
  if (as.is_host()) return vectorised ? kv_rows_policy{1, 8, 1, 16} : kv_rows_policy{1, 1, 1, 128};
  if (!vectorised) return {128, 1, 32, 0};
  return width <= 64 ? kv_rows_policy{128, 4, 16, 1} : kv_rows_policy{128, 4, 32, 2};
}

/// Every policy that a kernel is compiled for.
inline constexpr kv_rows_policy kv_rows_menu[] = {
    {1, 8, 1, 16}, {1, 1, 1, 128}, {128, 4, 16, 1}, {128, 4, 32, 2}, {128, 1, 32, 0}};

}  // namespace tenon
