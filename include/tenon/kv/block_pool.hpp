#pragma once
//  Which pages of a cache are free, and how many own each that is not.
//
//  Struct of arrays: a stack of free ids and a count per id. Nothing allocates after construction; one writer.
#include <tenon/core/status.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace tenon {

/// A page of a cache; the entry of a block table.
using block_id = std::int32_t;

inline constexpr block_id no_block = -1;

/// `blocks` pages, ids 0..blocks-1, all free. The page that was freed last is given out first: it is the warm one.
class block_pool {
 public:
  explicit block_pool(block_id blocks)
      : references_(static_cast<std::size_t>(blocks), 0), stack_(static_cast<std::size_t>(blocks)), free_(blocks) {
    for (block_id i = 0; i < blocks; ++i) stack_[static_cast<std::size_t>(i)] = blocks - 1 - i;
  }

  block_id blocks() const { return static_cast<block_id>(references_.size()); }
  block_id free_blocks() const { return free_; }
  block_id used_blocks() const { return blocks() - free_; }

  /// One owner's page, `no_block` when none is left. O(1).
  block_id allocate() {
    if (free_ == 0) return no_block;
    block_id const id                         = stack_[static_cast<std::size_t>(--free_)];
    references_[static_cast<std::size_t>(id)] = 1;
    return id;
  }

  /// Fills `ids` with pages, or leaves it and the pool as they are (out_of_memory). O(ids.size()).
  status allocate(std::span<block_id> ids) {
    if (ids.size() > static_cast<std::size_t>(free_))
      return {errc::out_of_memory, "block_pool", "allocate", free_, static_cast<std::int64_t>(ids.size())};
    for (block_id& id : ids) id = allocate();
    return {};
  }

  /// Owners of a page; 0 where it is free or no page of this pool.
  std::uint32_t references(block_id id) const { return contains(id) ? references_[static_cast<std::size_t>(id)] : 0; }

  /// One owner more. A page that is free, or none of this pool's, is refused (out_of_range).
  status retain(block_id id) {
    if (references(id) == 0) return {errc::out_of_range, "block_pool", "retain", id, blocks()};
    ++references_[static_cast<std::size_t>(id)];
    return {};
  }

  /// One owner less; the last one frees the page. A page that is free, or none of this pool's, is refused. O(1).
  status release(block_id id) {
    if (references(id) == 0) return {errc::out_of_range, "block_pool", "release", id, blocks()};
    if (--references_[static_cast<std::size_t>(id)] == 0) stack_[static_cast<std::size_t>(free_++)] = id;
    return {};
  }

  /// Every id once, the last first, so that the next request gets the pages in the order of this one.
  /// All or nothing: when one is refused, those released before it are owned again.
  status release(std::span<block_id const> ids) {
    for (std::size_t i = ids.size(); i-- > 0;) {
      if (auto const s = release(ids[i]); !s.ok()) {
        while (++i < ids.size()) take_back(ids[i]);
        return s;
      }
    }
    return {};
  }

 private:
  bool contains(block_id id) const { return id >= 0 && id < blocks(); }

  // The ids come back in the reverse order of their release, so a page that was freed is on top of the stack.
  void take_back(block_id id) {
    if (references_[static_cast<std::size_t>(id)]++ == 0) --free_;
  }

  std::vector<std::uint32_t> references_;  // (blocks); 0: free
  std::vector<block_id>      stack_;       // (blocks); the first free_ are free, the last of them comes next
  block_id                   free_;
};

}  // namespace tenon
