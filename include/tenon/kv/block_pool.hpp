#pragma once
//  Which blocks of a cache are free, and how many own each that is not.
//
//  Struct of arrays: a stack of free ids, and a byte per block, so that the state of a million blocks lies in a core's own
//  cache. What the byte has no room for is touched only where it is wanted: a count of more than 62 owners, and a generation,
//  which counts up only when a handle may go stale. Nothing allocates after construction; one writer.
#include <tenon/core/prefetch.hpp>
#include <tenon/core/status.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tenon {

/// A block (page) of a cache; the entry of a block table.
using block_id = std::int32_t;

inline constexpr block_id no_block = -1;

/// A block as it is now: a handle goes stale when its block is freed, or a cache gives up what it holds.
struct block_handle {
  block_id      id         = no_block;
  std::uint32_t generation = 0;

  friend bool operator==(block_handle const&, block_handle const&) = default;
};

/// `blocks` blocks, ids 0..blocks-1, all free. The one that was freed last is given out first: it is the warm one.
///
/// A block is free, owned, or idle: kept by a cache (`keep`) though its last owner is gone.
class block_pool {
 public:
  explicit block_pool(block_id blocks)
      : state_(static_cast<std::size_t>(std::max(blocks, 0))),
        generations_(state_.size()),
        many_(state_.size()),
        stack_(state_.size()),
        free_(std::max(blocks, 0)) {
    for (block_id i = 0; i < free_; ++i) stack_[static_cast<std::size_t>(i)] = free_ - 1 - i;
  }

  block_id blocks() const { return static_cast<block_id>(state_.size()); }
  block_id free_blocks() const { return free_; }
  block_id idle_blocks() const { return idle_; }
  block_id used_blocks() const { return blocks() - free_ - idle_; }

  /// One owner's block, `no_block` when none is free. O(1).
  block_id allocate() {
    block_id id = no_block;
    if (free_ > 0) pop({&id, 1});
    return id;
  }

  /// Fills `ids` with blocks, or leaves it and the pool as they are (out_of_memory). O(ids.size()).
  status allocate(std::span<block_id> ids) {
    if (ids.size() > static_cast<std::size_t>(free_))
      return {errc::out_of_memory, "block_pool", "ids", free_, static_cast<std::int64_t>(ids.size())};
    pop(ids);
    return {};
  }

  /// Owners of a block; 0 where it is free, idle, or no block of this pool.
  std::uint32_t references(block_id id) const {
    if (!contains(id)) return 0;
    std::uint32_t const n = of(id) & owners;
    return n == owners ? many_[static_cast<std::size_t>(id)] : n;
  }

  /// Of an owned or idle block; of any other one that is never valid.
  block_handle handle(block_id id) const {
    if (!is_held(id)) return {};
    of(id) |= seen;
    return {id, generations_[static_cast<std::size_t>(id)]};
  }
  bool valid(block_handle h) const {
    return is_held(h.id) && generations_[static_cast<std::size_t>(h.id)] == h.generation;
  }

  /// One owner more, of an owned block or an idle one. Any other is refused (out_of_range).
  status retain(block_id id) {
    if (!is_held(id)) return refused("retain", id);
    if ((of(id) & owners) == 0) --idle_;
    one_more(id);
    return {};
  }

  /// One owner less; the last one frees the block, or leaves it idle. A block that nobody owns is refused. O(1).
  status release(block_id id) { return one_less(id) ? status{} : refused("release", id); }

  /// Every id once, the last first, so that the next request gets the blocks in the order of this one.
  /// All or nothing: when one is refused, those released before it are owned again.
  status release(std::span<block_id const> ids) {
    for (std::size_t i = ids.size(); (i = release_plain(ids.first(i))) > 0; --i) {
      if (one_less(ids[i - 1])) continue;
      block_id const wrong = ids[i - 1];
      for (; i < ids.size(); ++i) take_back(ids[i]);
      return refused("release", wrong);
    }
    return {};
  }

  /// An owned block becomes idle, not free, when its last owner leaves. One that nobody owns is refused (out_of_range).
  status keep(block_id id) {
    if (references(id) == 0) return refused("keep", id);
    of(id) |= kept;
    return {};
  }
  bool is_kept(block_id id) const { return contains(id) && (of(id) & kept) != 0; }

  /// The end of `keep`: an idle block is free now, and handles to an owned one are stale, too. One that is not kept is
  /// refused (out_of_range).
  status drop(block_id id) {
    if (!is_kept(id)) return refused("drop", id);
    if ((of(id) & seen) != 0) ++generations_[static_cast<std::size_t>(id)];
    if ((of(id) &= owners) != 0) return {};
    --idle_;
    push(id);
    return {};
  }

  [[gnu::always_inline]] void fetch(block_id id) const { prefetch(&of(id)); }

  /// One owner more of each; `no_block` is passed over. All or nothing: a block that nobody owns is refused (out_of_range).
  status share(std::span<block_id const> ids) {
    std::uint8_t* const state = state_.data();
    std::size_t const   size  = state_.size();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto const id = static_cast<std::uint32_t>(ids[i]);
      if (id < size && (state[id] & owners) - 1u < owners - 2u) {  // 1 to owners - 2
        ++state[id];
      } else if (references(ids[i]) != 0) {
        one_more(ids[i]);
      } else if (ids[i] != no_block) {
        while (i > 0)
          if (ids[--i] != no_block) one_less(ids[i]);
        return refused("share", static_cast<block_id>(id));
      }
    }
    return {};
  }

 private:
  // A block's byte. `owners`: how many, or all bits set where many_ says it; `seen`: somebody has a handle.
  static constexpr std::uint8_t owners = 63, seen = 64, kept = 128;
  static constexpr std::size_t  ahead = 16;  // blocks that are fetched before they are asked for

  std::uint8_t& of(block_id id) const { return state_[static_cast<std::size_t>(id)]; }
  bool          contains(block_id id) const { return static_cast<std::uint32_t>(id) < state_.size(); }
  bool          is_held(block_id id) const { return contains(id) && (of(id) & ~seen) != 0; }
  status refused(char const* call, block_id id) const { return {errc::out_of_range, "block_pool", call, id, blocks()}; }

  void pop(std::span<block_id> ids) {
    std::uint8_t* const   state  = state_.data();
    block_id const* const bottom = stack_.data();
    block_id const*       top    = bottom + free_;
    free_ -= static_cast<block_id>(ids.size());
    for (block_id& id : ids) {
      id = *--top;
      if (top >= bottom + ahead) prefetch(&state[*(top - ahead)]);
      state[id] = 1;
    }
  }
  void push(block_id id) { stack_[static_cast<std::size_t>(free_++)] = id; }

  /// Releases from the end on what has one owner, no cache and no handle; how many of `ids` are left. Nothing but registers
  /// between two blocks: a write to a byte may be one to anything, as far as a compiler knows.
  std::size_t release_plain(std::span<block_id const> ids) {
    std::uint8_t* const   state = state_.data();
    std::size_t const     size  = state_.size();
    block_id* const       top   = stack_.data() + free_;
    block_id const* const first = ids.data();
    block_id const*       last  = first + ids.size();
    block_id*             next  = top;
    for (; last != first; --last) {
      auto const id = static_cast<std::uint32_t>(last[-1]);
      if (id >= size || state[id] != 1) break;
      state[id] = 0;
      *next++   = static_cast<block_id>(id);
    }
    free_ += static_cast<block_id>(next - top);
    return static_cast<std::size_t>(last - first);
  }

  void one_more(block_id id) {
    std::uint8_t&  s = of(id);
    std::uint32_t& n = many_[static_cast<std::size_t>(id)];
    if ((s & owners) < owners - 1) ++s;
    else if ((s & owners) == owners - 1) ++s, n = owners;
    else ++n;
  }

  bool one_less(block_id id) {
    if (!contains(id)) return false;
    std::uint8_t& s = of(id);
    if (s == 1) {  // what most are: of one owner, no cache, no handle
      s = 0;
      push(id);
      return true;
    }
    if ((s & owners) == 0) return false;
    if ((s & owners) == owners) {
      if (--many_[static_cast<std::size_t>(id)] == owners - 1) --s;
      return true;
    }
    if ((--s & owners) != 0) return true;
    if ((s & kept) != 0) {
      ++idle_;
    } else {
      if ((s & seen) != 0) ++generations_[static_cast<std::size_t>(id)];
      push(id);
    }
    return true;
  }

  // The ids come back in the reverse order of their release, so a block that was freed is on top of the stack.
  void take_back(block_id id) {
    std::uint8_t const s = of(id);
    if (s == kept || s == (kept | seen)) {
      --idle_;
    } else if ((s & owners) == 0) {
      --free_;
      if (s == seen) --generations_[static_cast<std::size_t>(id)];
    }
    one_more(id);
  }

  mutable std::vector<std::uint8_t> state_;        // (blocks); handle() leaves its mark
  std::vector<std::uint32_t>        generations_;  // (blocks)
  std::vector<std::uint32_t>        many_;         // (blocks): owners, where there are more than 62
  std::vector<block_id>             stack_;        // (blocks); the first free_ are free, the last of them comes next
  block_id                          free_, idle_ = 0;
};

}  // namespace tenon
