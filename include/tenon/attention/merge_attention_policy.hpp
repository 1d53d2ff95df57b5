#pragma once
//  How the rows of a token are cut into threads and vectors, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One point of the tuning space: compare it, print it, put it in a benchmark table.
struct merge_attention_policy {
  int threads_per_block = 128;
  int vector            = 1;  // columns of a thread's run, which one access moves

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }

  friend constexpr bool operator==(merge_attention_policy const&, merge_attention_policy const&) = default;
};

/// `vectorised` where every row starts at a multiple of eight elements' bytes. On the host alignment does not matter, and a
/// long run makes the weights of a row less often.
constexpr merge_attention_policy choose_merge_attention_policy(architecture as, bool vectorised) {
  if (as.is_host()) return {1, 64};
  return {128, vectorised ? 8 : 1};
}

/// Every policy that a kernel is compiled for.
inline constexpr merge_attention_policy merge_attention_menu[] = {{1, 64}, {128, 8}, {128, 1}};

}  // namespace tenon
