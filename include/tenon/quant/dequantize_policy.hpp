#pragma once
//  How a packed matrix is cut into threads and vectors.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space. A block makes a panel block, 64 rows x 64 columns.
struct dequantize_policy {
  int threads_per_block = 128;
  int vector            = 1;  // bytes that one store moves at most; 1: an element

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(dequantize_policy const&, dequantize_policy const&) = default;
};

/// The policy; `vectorised` where every row of w starts at a multiple of 16 bytes.
constexpr dequantize_policy choose_dequantize_policy(architecture as, bool vectorised) {
  if (as.is_host()) return {1, 1};
  return {128, vectorised ? 16 : 1};
}

/// Every policy that a kernel is compiled for.
inline constexpr dequantize_policy dequantize_menu[] = {{1, 1}, {128, 16}, {128, 1}};

}  // namespace tenon
