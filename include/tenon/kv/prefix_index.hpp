#pragma once
//  Blocks by the digest of the prefix that they end: open addressing, linear probing, no tombstones.
//
//  A slot holds 32 bits of the digest and a block id; the caller has the digests. At most a quarter of the slots is taken.
#include <tenon/core/prefetch.hpp>
#include <tenon/kv/block_pool.hpp>
#include <tenon/kv/prefix_hash.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon {

class prefix_index {
 public:
  explicit prefix_index(block_id blocks)
      : slots_(std::bit_ceil(4 * static_cast<std::size_t>(std::max(blocks, 0)) + 2)), mask_(slots_.size() - 1) {}

  /// The first block under these 32 bits for which equal(id) holds; `no_block` where there is none.
  template <class Equal>
  block_id find(prefix_digest const& d, Equal const& equal) const {
    std::uint32_t const tag = tag_of(d);
    for (std::size_t i = tag & mask_; slots_[i].id != no_block; i = (i + 1) & mask_)
      if (slots_[i].tag == tag && equal(slots_[i].id)) return slots_[i].id;
    return no_block;
  }

  [[gnu::always_inline]] void fetch(prefix_digest const& d) const { prefetch(&slots_[tag_of(d) & mask_]); }

  /// A block that is not there yet.
  void insert(prefix_digest const& d, block_id id) {
    std::uint32_t const tag = tag_of(d);
    std::size_t         i   = tag & mask_;
    while (slots_[i].id != no_block) i = (i + 1) & mask_;
    slots_[i] = {tag, id};
    ++size_;
  }

  /// A block that is there. What was moved by it moves back.
  void erase(prefix_digest const& d, block_id id) {
    std::size_t hole = tag_of(d) & mask_;
    while (slots_[hole].id != id) {
      if (slots_[hole].id == no_block) return;
      hole = (hole + 1) & mask_;
    }
    for (std::size_t i = (hole + 1) & mask_; slots_[i].id != no_block; i = (i + 1) & mask_)
      if (((i - slots_[i].tag) & mask_) >= ((i - hole) & mask_)) slots_[hole] = slots_[i], hole = i;
    slots_[hole] = {};
    --size_;
  }

  std::size_t size() const { return size_; }

 private:
  struct slot {
    std::uint32_t tag = 0;
    block_id      id  = no_block;
  };

  static std::uint32_t tag_of(prefix_digest const& d) { return static_cast<std::uint32_t>(d.a); }

  std::vector<slot> slots_;
  std::size_t       mask_;
  std::size_t       size_ = 0;
};

}  // namespace tenon
