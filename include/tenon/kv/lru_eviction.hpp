#pragma once
//  Eviction of the block that has been idle longest.
//
//  A list through the blocks. Each block also names one that was added a few places later, so that its memory is fetched
//  before its turn: the list alone would be one cache miss after the other.
#include <tenon/core/prefetch.hpp>
#include <tenon/kv/block_pool.hpp>
#include <tenon/kv/retention.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon {

/// Idle blocks in the order of add(). All O(1).
class lru_eviction {
 public:
  explicit lru_eviction(block_id blocks)
      : nodes_(static_cast<std::size_t>(std::max(blocks, 0)) + 1), end_(std::max(blocks, 0)) {
    nodes_[static_cast<std::size_t>(end_)] = {end_, end_, end_};
    recent_.fill(end_);
  }

  /// A block that became idle at `now`.
  void add(block_id id, retention, std::uint64_t /*now*/) {
    node& end             = at(end_);
    at(id)                = {end.previous, end_, end_};
    at(end.previous).next = id;
    end.previous          = id;

    block_id& earlier = recent_[turn_++ % recent_.size()];
    at(earlier).later = id;
    earlier           = id;
  }

  /// An idle block that is owned again.
  void remove(block_id id) {
    node const& n       = at(id);
    at(n.previous).next = n.next;
    at(n.next).previous = n.previous;
  }

  /// Takes out the block to evict, `no_block` where none is idle. `later`: one that probably follows soon, or no_block.
  block_id pop(std::uint64_t /*now*/, block_id& later) {
    block_id const id = at(end_).next;
    later             = no_block;
    if (id == end_) return no_block;
    block_id const soon = at(id).later;
    prefetch(&at(soon));
    if (soon != end_) later = soon;
    remove(id);
    return id;
  }

 private:
  struct alignas(16) node {  // never across two cache lines
    block_id previous = no_block, next = no_block;
    block_id later = no_block;  // a hint, perhaps stale
  };

  node& at(block_id id) { return nodes_[static_cast<std::size_t>(id)]; }

  std::vector<node>        nodes_;  // (blocks + 1); the last one is both ends of the list
  block_id                 end_;
  std::array<block_id, 16> recent_{};  // the last blocks that were added
  std::size_t              turn_ = 0;
};

}  // namespace tenon
