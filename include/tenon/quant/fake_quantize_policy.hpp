#pragma once
//  How a row is cut into threads and vectors, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space. A row of one scale is a block's, a group a warp's.
struct fake_quantize_policy {
  int threads_per_block = 256;
  int vector            = 1;  // elements that one access moves

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(fake_quantize_policy const&, fake_quantize_policy const&) = default;
};

/// The policy; `vectorised` where every row and every group starts at a multiple of eight elements.
constexpr fake_quantize_policy choose_fake_quantize_policy(architecture as, bool vectorised) {
  if (as.is_host()) return {1, 8};  // plain loads: alignment does not matter there
  return {256, vectorised ? 8 : 1};
}

/// Every policy that a kernel is compiled for.
inline constexpr fake_quantize_policy fake_quantize_menu[] = {{1, 8}, {256, 8}, {256, 1}};

}  // namespace tenon
