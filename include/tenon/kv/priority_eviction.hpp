#pragma once
//  Eviction of the lowest priority, the longest idle first among equals; a high priority lasts for its time to live.
//
//  One list per priority with a bit that says whether it holds anything, and a heap of the blocks whose time runs out: they
//  go on as if they had become idle with the ordinary priority just then, in the order in which they did.
#include <tenon/core/prefetch.hpp>
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

/// Idle blocks by priority. O(1); O(log blocks) for those with a time to live.
class priority_eviction {
 public:
  explicit priority_eviction(block_id blocks)
      : nodes_(static_cast<std::size_t>(std::max(blocks, 0)) + levels), first_end_(std::max(blocks, 0)) {
    for (int p = 0; p < levels; ++p) at(end_of(p)).previous = at(end_of(p)).next = end_of(p);
    for (auto& of_level : recent_) of_level.fill(first_end_);
    heap_.reserve(static_cast<std::size_t>(first_end_));
  }

  void add(block_id id, retention r, std::uint64_t now) {
    end_times(now);
    int const priority = std::min<int>(r.priority, levels - 1);
    append(id, priority);
    if (priority > retention::ordinary && r.time_to_live != retention::forever) {
      at(id).expiry = now + r.time_to_live;
      at(id).order  = order_++;
      heap_.push_back(id);
      at(id).place = static_cast<std::int32_t>(heap_.size()) - 1;
      rise(heap_.size() - 1);
    }
  }

  void remove(block_id id) {
    unlink(id);
    if (at(id).place >= 0) leave_heap(static_cast<std::size_t>(at(id).place));
  }

  block_id pop(std::uint64_t now, block_id& later) {
    end_times(now);
    for (std::size_t w = 0; w < filled_.size(); ++w) {
      if (filled_[w] == 0) continue;
      int const      priority = static_cast<int>(64 * w) + std::countr_zero(filled_[w]);
      block_id const id       = at(end_of(priority)).next;
      block_id const soon     = at(id).later;
      prefetch(&at(soon));
      later = soon < first_end_ ? soon : no_block;
      remove(id);
      return id;
    }
    later = no_block;
    return no_block;
  }

 private:
  static constexpr int levels = 101;

  struct alignas(32) node {  // never across two cache lines
    block_id      previous = no_block, next = no_block;
    std::uint64_t expiry   = 0;
    block_id      later    = no_block;  // as in lru_eviction: a hint, perhaps stale
    std::int32_t  place    = -1;        // in the heap
    std::uint32_t order    = 0;         // of those in the heap
    std::uint8_t  priority = 0;
  };

  node&    at(block_id id) { return nodes_[static_cast<std::size_t>(id)]; }
  block_id end_of(int priority) const { return first_end_ + priority; }

  void append(block_id id, int priority) {
    block_id const end = end_of(priority);
    node&          n   = at(id);
    n.previous = at(end).previous, n.next = end;
    n.priority          = static_cast<std::uint8_t>(priority);
    at(n.previous).next = id;
    at(end).previous    = id;
    n.later             = first_end_;
    auto const of_level = static_cast<std::size_t>(priority);
    block_id&  earlier  = recent_[of_level][turn_[of_level]++ % recent_[of_level].size()];
    at(earlier).later   = id;
    earlier             = id;
    filled_[static_cast<std::size_t>(priority / 64)] |= std::uint64_t{1} << priority % 64;
  }

  void unlink(block_id id) {
    node const& n       = at(id);
    at(n.previous).next = n.next;
    at(n.next).previous = n.previous;
    if (n.next == n.previous && n.next >= first_end_)
      filled_[n.priority / 64u] &= ~(std::uint64_t{1} << n.priority % 64u);
  }

  void end_times(std::uint64_t now) {
    while (!heap_.empty() && at(heap_.front()).expiry <= now) {
      block_id const id = heap_.front();
      remove(id);
      append(id, retention::ordinary);
    }
  }

  bool earlier(std::size_t i, std::size_t j) {
    node const &x = at(heap_[i]), &y = at(heap_[j]);
    return x.expiry != y.expiry ? x.expiry < y.expiry : static_cast<std::int32_t>(x.order - y.order) < 0;
  }
  void exchange(std::size_t i, std::size_t j) {
    std::swap(heap_[i], heap_[j]);
    at(heap_[i]).place = static_cast<std::int32_t>(i), at(heap_[j]).place = static_cast<std::int32_t>(j);
  }
  void rise(std::size_t i) {
    for (; i > 0 && earlier(i, (i - 1) / 2); i = (i - 1) / 2) exchange(i, (i - 1) / 2);
  }
  void sink(std::size_t i) {
    for (;;) {
      std::size_t least = i;
      for (std::size_t const child : {2 * i + 1, 2 * i + 2})
        if (child < heap_.size() && earlier(child, least)) least = child;
      if (least == i) return;
      exchange(i, least);
      i = least;
    }
  }
  void leave_heap(std::size_t i) {
    at(heap_[i]).place = -1;
    if (i + 1 < heap_.size()) {
      heap_[i]           = heap_.back();
      at(heap_[i]).place = static_cast<std::int32_t>(i);
    }
    heap_.pop_back();
    if (i < heap_.size()) rise(i), sink(i);
  }

  std::vector<node>            nodes_;  // (blocks + levels): the ends of the lists stand last
  block_id                     first_end_;
  std::vector<block_id>        heap_;  // by expiry
  std::array<std::uint64_t, 2> filled_{};
  std::uint32_t                order_ = 0;

  std::array<std::array<block_id, 16>, levels> recent_{};  // the last blocks that were added to each list
  std::array<std::uint8_t, levels>             turn_{};
};

}  // namespace tenon
