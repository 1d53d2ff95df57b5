#pragma once
//  What a manager of KV blocks counts as it goes: every figure is up to date after every call, none is a scan.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tenon {

struct kv_metrics {
  // Now.
  std::int64_t tokens       = 0;  // of all sequences, each counted for itself
  std::int64_t slots        = 0;  // that their tables hold: blocks * block_size
  std::int64_t table_blocks = 0;  // entries of their tables
  std::int64_t owned_blocks = 0;  // different blocks among them
  std::int64_t peak_blocks  = 0;  // most of those at once

  // Since the start.
  std::int64_t queried_tokens = 0, hit_tokens = 0;  // of attach()
  std::int64_t partial_hits = 0;                    // of them, blocks reused in part, by a copy
  std::int64_t cached       = 0;                    // blocks that entered the index
  std::int64_t duplicates   = 0;                    // blocks found to be there already when they were full
  std::int64_t evictions    = 0;
  std::int64_t copies       = 0;  // copies on write and partial reuses
  std::array<std::int64_t, 33>
      idle_before_reuse{};  // blocks by log2 of the clock's ticks that they were idle: [0] is 0,
  std::array<std::int64_t, 33> idle_before_eviction{};  // [i] is 2^(i-1) to 2^i - 1

  /// Share of the slots in tables that hold no token.
  double internal_fragmentation() const { return ratio(slots - tokens, slots); }
  /// Table entries for each block that is owned: 1 where nothing is shared.
  double sharing() const { return owned_blocks > 0 ? ratio(table_blocks, owned_blocks) : 1; }
  double hit_rate() const { return ratio(hit_tokens, queried_tokens); }

  static std::size_t bucket(std::uint64_t ticks) {
    return std::min<std::size_t>(32, static_cast<std::size_t>(std::bit_width(ticks)));
  }

 private:
  static double ratio(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
  }
};

}  // namespace tenon
