#pragma once
//  Blocks that may be read again: full blocks of tokens, found by the prefix that they end.
//
//  A hit is exact. The digest only finds a candidate; its tokens are compared, and so is what stands in front of it: a block
//  names its parent by id and version, a first block by its salt. Two prefixes of one digest cost a comparison, never a
//  wrong hit. A block whose last owner leaves stays, idle, until its memory is wanted.
#include <tenon/core/prefetch.hpp>
#include <tenon/kv/block_pool.hpp>
#include <tenon/kv/kv_metrics.hpp>
#include <tenon/kv/prefix_hash.hpp>
#include <tenon/kv/prefix_index.hpp>
#include <tenon/kv/retention.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace tenon {

/// Where a chain of full blocks has got to: what the next block of it hangs on.
struct prefix_chain {
  prefix_digest digest;
  std::uint64_t parent = 0;  // the salt, or the last block and its version
  std::int32_t  depth  = 0;  // blocks
};

template <eviction_policy Eviction>
class prefix_cache {
 public:
  prefix_cache(block_pool& pool, int block_size, prefix_key const& key, kv_metrics& metrics)
      : pool_(pool),
        metrics_(metrics),
        block_size_(static_cast<std::size_t>(block_size)),
        hash_(key, block_size),
        index_(pool.blocks()),
        eviction_(pool.blocks()),
        entries_(static_cast<std::size_t>(pool.blocks())),
        tokens_(entries_.size() * block_size_) {
    first_blocks_.fill(no_block), soon_.fill(no_block);
  }

  prefix_chain root(std::uint64_t salt) const { return {hash_.root(salt), salt, 0}; }

  /// Follows `chain` along the cached blocks of `tokens`, whole blocks only; visit(id) for each. Blocks found.
  template <class Visit>
  std::int64_t follow(prefix_chain& chain, std::span<std::int32_t const> tokens, Visit const& visit) const {
    // In groups, so that memory is on its way while another group is hashed or compared: the digests of a group ask for slots
    // of the index, these for what the blocks hold.
    constexpr std::size_t            group = 16;
    std::array<prefix_digest, group> now{}, next{};
    std::size_t const                blocks = tokens.size() / block_size_;
    prefix_digest                    end    = chain.digest;

    auto const hash = [&](std::size_t first) {
      for (std::size_t i = 0; i < group && first + i < blocks; ++i) {
        next[i] = end = hash_.extend(end, tokens.subspan((first + i) * block_size_, block_size_));
        index_.fetch(end);
      }
    };
    auto const ask = [&](std::size_t first) {
      for (std::size_t i = 0; i < group && first + i < blocks; ++i) {
        block_id const id = index_.find(next[i], [](block_id) { return true; });
        if (id != no_block) fetch(id);
      }
    };
    hash(0), ask(0);
    for (std::size_t first = 0; first < blocks; first += group) {
      now = next;
      hash(first + group);
      for (std::size_t i = 0; i < group && first + i < blocks; ++i) {
        block_id const id = find(chain, now[i], tokens.subspan((first + i) * block_size_, block_size_));
        if (id == no_block) return static_cast<std::int64_t>(first + i);
        chain = {now[i], link(id), chain.depth + 1};
        visit(id);
      }
      ask(first + group);
    }
    return static_cast<std::int64_t>(blocks);
  }

  /// A cached child of `chain`'s end that begins as `tokens` do: the id, and how many tokens it shares. A few of the
  /// youngest children are looked at.
  block_id child(prefix_chain const& chain, std::span<std::int32_t const> tokens, std::int32_t& shared) const {
    block_id best = no_block;
    shared        = 0;
    block_id id   = youngest_child(chain);
    for (int looked = 0; looked < 8 && id != no_block; ++looked, id = entry_of(id).older) {
      if (!is_child(id, chain)) continue;  // it was once
      std::int32_t const* const have  = tokens_of(id);
      std::size_t const         limit = std::min(tokens.size(), block_size_);
      std::size_t               n     = 0;
      while (n < limit && have[n] == tokens[n]) ++n;
      if (static_cast<std::int32_t>(n) > shared) best = id, shared = static_cast<std::int32_t>(n);
    }
    return best;
  }

  /// The owned block `id` is full of `tokens` and follows `chain`, which moves on to it. Returns the block that stands for
  /// them now: id, or one that was there already.
  block_id add(prefix_chain& chain, block_id id, std::span<std::int32_t const> tokens) {
    prefix_digest const d     = hash_.extend(chain.digest, tokens);
    block_id const      there = find(chain, d, tokens);
    if (there != no_block) {
      ++metrics_.duplicates;
      chain = {d, link(there), chain.depth + 1};
      return there;
    }
    entry& e = entry_of(id);
    e.digest = d, e.parent = chain.parent, e.depth = chain.depth, e.older = no_block, e.youngest = no_block;
    if (chain.depth > 0) {
      block_id const parent = block_of(chain.parent);
      if (link(parent) == chain.parent) {  // not where a window let go of it, and it is another's now
        e.older                   = entry_of(parent).youngest;
        entry_of(parent).youngest = id;
      }
    } else {
      block_id& first = first_blocks_[bucket_of(chain)];
      e.older         = first;
      first           = id;
    }
    std::memcpy(tokens_of(id), tokens.data(), block_size_ * sizeof(std::int32_t));
    index_.insert(d, id);
    static_cast<void>(pool_.keep(id));
    ++metrics_.cached;
    chain = {d, link(id), chain.depth + 1};
    return id;
  }

  /// add(chain, id, tokens) comes soon: its memory is asked for now.
  [[gnu::always_inline]] void foresee(prefix_chain const& chain, block_id id,
                                      std::span<std::int32_t const> tokens) const {
    index_.fetch(hash_.extend(chain.digest, tokens));
    fetch(id);
    pool_.fetch(id);
    if (chain.depth > 0) prefetch(&entry_of(block_of(chain.parent)));
  }

  /// The chain that ends with cached block `id`.
  prefix_chain end_at(block_id id) const { return {entry_of(id).digest, link(id), entry_of(id).depth + 1}; }

  /// Takes an owned block out of the index: what it holds will change.
  void forget(block_id id) {
    entry& e = entry_of(id);
    index_.erase(e.digest, id);
    ++e.version;
    static_cast<void>(pool_.drop(id));
  }

  // Around the pool's counts.
  void retain(block_id id) {
    if (pool_.references(id) == 0) {
      eviction_.remove(id);
      ++metrics_.idle_before_reuse[kv_metrics::bucket(now_ - entry_of(id).idle_since)];
    }
    static_cast<void>(pool_.retain(id));
  }
  void release(block_id id, retention worth) {
    static_cast<void>(pool_.release(id));
    if (pool_.references(id) != 0 || !pool_.is_kept(id)) return;
    entry_of(id).idle_since = now_;
    eviction_.add(id, worth, now_);
  }

  /// Frees one idle block; false where there is none.
  bool evict() {
    block_id       later = no_block;
    block_id const id    = eviction_.pop(now_, later);
    if (id == no_block) return false;
    // What comes soon is fetched in two steps: the entry first, by its digest the slot of the index later.
    if (later != no_block) {
      prefetch(&entry_of(later)), pool_.fetch(later);
      block_id& half = soon_[turn_++ % soon_.size()];
      if (half != no_block) index_.fetch(entry_of(half).digest);
      half = later;
    }
    entry const& e = entry_of(id);
    ++metrics_.idle_before_eviction[kv_metrics::bucket(now_ - e.idle_since)];
    ++metrics_.evictions;
    forget(id);
    return true;
  }

  void advance(std::uint64_t now) { now_ = std::max(now, now_); }

  /// Slow: every kept block is in the index under its own digest, and nothing else is.
  bool consistent() const {
    std::size_t kept = 0;
    for (block_id id = 0; id < pool_.blocks(); ++id) {
      if (!pool_.is_kept(id)) continue;
      ++kept;
      if (index_.find(entry_of(id).digest, [&](block_id other) { return other == id; }) != id) return false;
    }
    return kept == index_.size();
  }

 private:
  struct alignas(64) entry {  // a cache line
    prefix_digest digest;
    std::uint64_t parent     = 0;
    std::int32_t  depth      = 0;         // blocks in front
    block_id      older      = no_block;  // child of the same parent, perhaps no more
    block_id      youngest   = no_block;  // child, perhaps no more
    std::uint64_t idle_since = 0;
    std::uint32_t version    = 0;  // counts what the block has held: a generation beside the rest, in one line
  };

  entry&              entry_of(block_id id) { return entries_[static_cast<std::size_t>(id)]; }
  entry const&        entry_of(block_id id) const { return entries_[static_cast<std::size_t>(id)]; }
  std::int32_t*       tokens_of(block_id id) { return &tokens_[static_cast<std::size_t>(id) * block_size_]; }
  std::int32_t const* tokens_of(block_id id) const { return &tokens_[static_cast<std::size_t>(id) * block_size_]; }

  [[gnu::always_inline]] void fetch(block_id id) const {
    prefetch(&entry_of(id));
    prefetch(tokens_of(id)), prefetch(tokens_of(id) + block_size_ - 1);
  }

  std::uint64_t link(block_id id) const {
    return std::uint64_t{entry_of(id).version} << 32 | static_cast<std::uint32_t>(id);
  }
  static block_id block_of(std::uint64_t link) { return static_cast<block_id>(link & 0x7fffffffu); }

  block_id find(prefix_chain const& chain, prefix_digest const& d, std::span<std::int32_t const> tokens) const {
    return index_.find(d, [&](block_id id) {
      entry const& e = entry_of(id);
      return e.digest == d && e.parent == chain.parent && e.depth == chain.depth &&
             std::memcmp(tokens_of(id), tokens.data(), block_size_ * sizeof(std::int32_t)) == 0;
    });
  }

  bool is_child(block_id id, prefix_chain const& chain) const {
    return pool_.is_kept(id) && entry_of(id).parent == chain.parent && entry_of(id).depth == chain.depth;
  }
  block_id youngest_child(prefix_chain const& chain) const {
    return chain.depth > 0 ? entry_of(block_of(chain.parent)).youngest : first_blocks_[bucket_of(chain)];
  }
  std::size_t bucket_of(prefix_chain const& root) const { return root.digest.a % first_blocks_.size(); }

  block_pool&               pool_;
  kv_metrics&               metrics_;
  std::size_t               block_size_;
  prefix_hash               hash_;
  prefix_index              index_;
  Eviction                  eviction_;
  std::vector<entry>        entries_;  // (blocks)
  std::vector<std::int32_t> tokens_;   // (blocks, block_size)
  std::uint64_t             now_ = 0;

  std::array<block_id, 251> first_blocks_;  // the youngest that follows a root, by the root's digest
  std::array<block_id, 8>   soon_;          // to be evicted before long
  std::size_t               turn_ = 0;
};

}  // namespace tenon
