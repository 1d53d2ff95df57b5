#pragma once
//  Eviction by a clock's hand: a block that was used again since it was last idle is spared once.
//
//  Three bits per block and no links. The hand walks memory in order, and over what is not idle in one step: each bit of a
//  level says whether a word of the level below holds any.
//  Source: Corbato, A paging experiment with the Multics system, 1968.
#include <tenon/kv/block_pool.hpp>
#include <tenon/kv/retention.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tenon {

/// Idle blocks under a hand. add and remove O(1), pop O(1) amortised over the blocks that became idle.
class clock_eviction {
 public:
  explicit clock_eviction(block_id blocks) {
    std::size_t words = static_cast<std::size_t>(std::max(blocks, 0));
    for (auto& level : idle_) words = words / 64 + 1, level.resize(words);
    reused_.resize(idle_[0].size());
    spared_.resize(idle_[0].size());
  }

  void add(block_id id, retention, std::uint64_t /*now*/) {
    auto const          i    = static_cast<std::size_t>(id);
    std::uint64_t const bit  = std::uint64_t{1} << i % 64;
    std::uint64_t&      used = reused_[i / 64];
    spared_[i / 64]          = (spared_[i / 64] & ~bit) | (used & bit);
    used &= ~bit;
    std::size_t at = i;
    for (auto& level : idle_) {
      std::uint64_t const before = std::exchange(level[at / 64], level[at / 64] | std::uint64_t{1} << at % 64);
      if (before != 0) break;
      at /= 64;
    }
    ++size_;
  }

  /// An idle block that is owned again.
  void remove(block_id id) {
    leave(static_cast<std::size_t>(id));
    reused_[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << static_cast<std::size_t>(id) % 64;
  }

  /// Takes out the block to evict, `no_block` where none is idle. `later`: one that probably follows soon, or no_block.
  block_id pop(std::uint64_t /*now*/, block_id& later) {
    later = no_block;
    if (size_ == 0) return no_block;
    for (;;) {
      hand_                    = next(hand_);
      std::uint64_t const bit  = std::uint64_t{1} << hand_ % 64;
      std::uint64_t&      safe = spared_[hand_ / 64];
      if ((safe & bit) == 0) break;
      safe &= ~bit;
      ++hand_;
    }
    std::size_t const id = hand_++;
    leave(id);
    if (size_ > 0) later = static_cast<block_id>(next(id + 16));
    return static_cast<block_id>(id);
  }

 private:
  void leave(std::size_t id) {
    for (auto& level : idle_) {
      level[id / 64] &= ~(std::uint64_t{1} << id % 64);
      if (level[id / 64] != 0) break;
      id /= 64;
    }
    --size_;
  }

  /// The first idle block from `from` on, or behind the end from 0 on; there is one.
  std::size_t next(std::size_t from) const {
    for (std::size_t level = 0, at = from;;) {
      if (level == idle_.size()) {
        level = 0, at = 0;
        continue;
      }
      auto const&         words = idle_[level];
      std::uint64_t const rest  = at / 64 < words.size() ? words[at / 64] >> at % 64 : 0;
      if (rest == 0) {  // up: is there a later word that holds any?
        ++level, at = at / 64 + 1;
        continue;
      }
      at += static_cast<std::size_t>(std::countr_zero(rest));
      while (level-- > 0) at = 64 * at + static_cast<std::size_t>(std::countr_zero(idle_[level][at]));
      return at;
    }
  }

  std::array<std::vector<std::uint64_t>, 6> idle_;  // a bit per block; per word below; ...: the last is one word
  std::vector<std::uint64_t>                reused_, spared_;  // (blocks)
  std::size_t                               hand_ = 0, size_ = 0;
};

}  // namespace tenon
