#pragma once
//  How queries and keys are cut into blocks where all products of some queries with all keys are wanted, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space: a block multiplies `rows` queries with keys(), of which each thread has `own`, slices
/// of `columns` at a time.
struct attention_scores_policy {
  int threads_per_block = 128;
  int own               = 1;
  int rows              = 8;
  int columns           = 32;
  int vector            = 1;  // columns of a key that one access moves

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool         on_host() const { return threads_per_block == 1; }
  TENON_HD constexpr int keys() const { return threads_per_block * own; }

  /// What registers are given out for: 168 per thread.
  TENON_HD constexpr int blocks_per_multiprocessor() const { return 384 / threads_per_block; }

  friend constexpr bool operator==(attention_scores_policy const&, attention_scores_policy const&) = default;
};

/// `vectorised` where eight columns of a key may move at once.
constexpr attention_scores_policy choose_attention_scores_policy(architecture as, bool vectorised) {
  int const vector = vectorised ? 8 : 1;
  return as.is_host() ? attention_scores_policy{1, 64, 32, 32, vector} : attention_scores_policy{128, 1, 8, 32, vector};
}

/// Every policy that a kernel is compiled for.
inline constexpr attention_scores_policy attention_scores_menu[] = {
    {1, 64, 32, 32, 8}, {1, 64, 32, 32, 1}, {128, 1, 8, 32, 8}, {128, 1, 8, 32, 1}};

}  // namespace tenon
