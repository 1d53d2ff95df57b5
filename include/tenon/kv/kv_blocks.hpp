#pragma once
//  The blocks of many sequences: block tables, sharing, copy on write, prefix reuse and eviction. Plain C++ and no storage: it
//  says which pages, and which copies between them; who owns the device's memory executes those.
//
//    kv_blocks<> kv({.blocks = 4096, .block_size = 16, .max_sequences = 64, .max_blocks_per_sequence = 512});
//    sequence_id s = kv.open();
//    std::int64_t known = kv.attach(s, prompt);           // tokens whose keys are in the cache
//    kv.reserve(s, prompt.size());                        // blocks for the rest: all or nothing
//    for (auto left = kv.copies(); !left.empty();) {      // before the forward pass, in order
//      auto const now = left.first(independent_copies(left));
//      copy_pages(stream, cache, list(now));              // list: `now` in the device's memory, as (copies, 3)
//      left = left.subspan(now.size());
//    }
//    kv.clear_copies();
//    ...                                                  // the pass writes keys of prompt[known, ...) by kv.block_table(s)
//    kv.commit(s, prompt);                                // they are there now; full blocks may be found by others
//    kv.close(s);
//
//  One writer, no locks. Nothing allocates after construction but audit(), and copies() where more than two for each row wait.
//  Every call is O(1) but for the blocks that it names.
//  Block tables of sources: vLLM (SOSP 2023); exact hits and partial reuse after SGLang's and TensorRT-LLM's trees.
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/kv/block_copy.hpp>
#include <tenon/kv/block_pool.hpp>
#include <tenon/kv/kv_metrics.hpp>
#include <tenon/kv/lru_eviction.hpp>
#include <tenon/kv/prefix_cache.hpp>
#include <tenon/kv/retention.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tenon {

/// A row of the block tables: 0 to max_sequences - 1.
using sequence_id = std::int32_t;

inline constexpr sequence_id no_sequence = -1;

struct kv_blocks_options {
  block_id   blocks                  = 0;   // of the pool
  int        block_size              = 16;  // tokens per block
  int        max_sequences           = 0;   // open at once
  int        max_blocks_per_sequence = 0;
  bool       prefix_cache            = true;
  prefix_key key{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89};
  // The default is public (digits of pi): where strangers choose texts and timing matters, draw one.
};

/// Eviction: lru_eviction, clock_eviction, priority_eviction, or one of your own.
template <eviction_policy Eviction = lru_eviction>
class kv_blocks {
 public:
  /// Sizes below zero count as zero, a block holds one token at least.
  explicit kv_blocks(kv_blocks_options const& options)
      : options_(sane(options)),
        pool_(options_.blocks),
        cache_(pool_, options_.block_size, options_.key, metrics_),
        sequences_(static_cast<std::size_t>(options_.max_sequences)),
        tables_(sequences_.size() * static_cast<std::size_t>(options_.max_blocks_per_sequence), no_block),
        pins_(static_cast<std::size_t>(options_.blocks)) {
    for (sequence_id s = options_.max_sequences; s-- > 0;) closed_.push_back(s);
    copies_.reserve(2 * sequences_.size());
    worths_.reserve(copies_.capacity());
  }

  kv_blocks(kv_blocks const&)            = delete;  // the cache refers to the pool
  kv_blocks& operator=(kv_blocks const&) = delete;

  int      block_size() const { return options_.block_size; }
  bool     shares_prefixes() const { return options_.prefix_cache; }
  int      max_blocks_per_sequence() const { return options_.max_blocks_per_sequence; }
  block_id blocks() const { return pool_.blocks(); }
  /// Blocks that an allocation can get: free ones and idle ones.
  block_id available() const { return pool_.free_blocks() + pool_.idle_blocks(); }
  int      open_sequences() const { return options_.max_sequences - static_cast<int>(closed_.size()); }

  // ---- Sequences

  /// An empty sequence, `no_sequence` when all rows are taken. Sequences of different salts (tenants, adapters) share nothing.
  sequence_id open(std::uint64_t salt = 0, retention worth = {}) {
    if (closed_.empty()) return no_sequence;
    sequence_id const id = closed_.back();
    closed_.pop_back();
    sequence& s = of(id);
    s.open = true, s.salt = salt, s.worth = worth;
    if (options_.prefix_cache) s.chain = cache_.root(salt);
    return id;
  }

  /// Gives every block back, the last first: those that many prefixes share go last.
  void close(sequence_id id) {
    if (!is_open(id)) return;
    sequence& s = of(id);
    shrink(id, s, 0);
    metrics_.tokens -= s.length - std::int64_t{s.first} * options_.block_size;
    s = {};
    closed_.push_back(id);
  }

  /// A second sequence of the same tokens, which shares their blocks; the first to write a shared one copies it.
  sequence_id fork(sequence_id from) {
    if (!is_open(from)) return no_sequence;
    sequence_id const id = open(of(from).salt, of(from).worth);
    if (id == no_sequence) return id;
    sequence& parent             = of(from);
    sequence& child              = of(id);
    child                        = parent;
    child.blocks                 = blocks_for(parent.length);
    block_id const* const source = row(from);
    block_id* const       table  = row(id);
    std::copy_n(source, child.blocks, table);
    static_cast<void>(pool_.share({table, static_cast<std::size_t>(child.blocks)}));
    child.shared_tail = parent.shared_tail = parent.shared_tail || parent.length % options_.block_size != 0;
    metrics_.table_blocks += child.blocks - child.first;
    metrics_.tokens += child.length - std::int64_t{child.first} * options_.block_size;
    return id;
  }

  // ---- Prefix reuse

  /// Tokens of `tokens` that lie in cached full blocks.
  std::int64_t match(std::span<std::int32_t const> tokens, std::uint64_t salt = 0) const {
    if (!options_.prefix_cache) return 0;
    prefix_chain chain = cache_.root(salt);
    return cache_.follow(chain, tokens, [](block_id) {}) * options_.block_size;
  }
  /// Blocks among those of match() that no sequence owns: attach() would take so many of available().
  block_id idle_match(std::span<std::int32_t const> tokens, std::uint64_t salt = 0) const {
    if (!options_.prefix_cache) return 0;
    prefix_chain chain = cache_.root(salt);
    block_id     idle  = 0;
    cache_.follow(chain, tokens, [&](block_id b) { idle += pool_.references(b) == 0; });
    return idle;
  }

  /// Gives an empty sequence the cached blocks of `tokens`, but for the last token, whose logits are wanted. A block of which
  /// only the first tokens match is copied, where one can be had for it. Returns length(): tokens that need not be computed.
  std::int64_t attach(sequence_id id, std::span<std::int32_t const> tokens) {
    if (!is_open(id)) return 0;
    sequence& s = of(id);
    if (!options_.prefix_cache || s.blocks != 0 || tokens.empty()) return s.length;
    std::size_t const limit = std::min(tokens.size() - 1, static_cast<std::size_t>(options_.max_blocks_per_sequence) *
                                                              static_cast<std::size_t>(options_.block_size));
    block_id* const   table = row(id);
    cache_.follow(s.chain, tokens.first(limit), [&](block_id b) {
      take_cached(b);
      table[s.blocks++] = b;
    });
    s.hashed = s.blocks;
    s.length = std::int64_t{s.blocks} * options_.block_size;
    attach_part(s, table,
                tokens.subspan(static_cast<std::size_t>(s.length), limit - static_cast<std::size_t>(s.length)));

    metrics_.queried_tokens += static_cast<std::int64_t>(tokens.size());
    metrics_.hit_tokens += s.length;
    metrics_.tokens += s.length;
    metrics_.table_blocks += s.blocks;
    return s.length;
  }

  // ---- Growth

  /// Makes room for `tokens` tokens in all, and the next one to be written a block that only this sequence owns. All or
  /// nothing: out_of_memory(blocks) where less than `leave` blocks would stay available: a watermark, for who must not take
  /// the last ones. out_of_range(id, tokens) where nobody opened the row, or it is too short.
  status reserve(sequence_id id, std::int64_t tokens, block_id leave = 0) {
    if (!is_open(id)) return not_open(id);
    sequence& s = of(id);
    if (tokens <= std::int64_t{s.blocks} * options_.block_size && !s.shared_tail) return {};
    return reserve_blocks(id, s, tokens, leave);
  }

  /// `tokens` is the sequence from its first token on. Those behind length() are new and their keys have been written, to
  /// blocks that reserve() made. Blocks that are full now can be found by other sequences. More tokens than were reserved
  /// are refused (out_of_range(tokens)): whatever was written there is not this sequence's.
  status commit(sequence_id id, std::span<std::int32_t const> tokens) {
    if (!is_open(id)) return not_open(id);
    sequence&          s      = of(id);
    std::int64_t const length = static_cast<std::int64_t>(tokens.size());
    if (length <= s.length) return {};
    std::int64_t const room = s.shared_tail ? s.length : capacity(id);
    if (length > room) return {errc::out_of_range, "kv_blocks", "tokens", length, room};
    metrics_.tokens += length - s.length;
    s.length = length;
    if (options_.prefix_cache && (std::int64_t{s.hashed} + 1) * options_.block_size <= length) add_full(id, s, tokens);
    return {};
  }

  /// A hint: commit(id, tokens) follows soon. Where it fills a block, the memory that it needs is asked for now; among many
  /// sequences, eight or so ahead. Changes nothing.
  [[gnu::always_inline]] void foresee(sequence_id id, std::span<std::int32_t const> tokens) const {
    if (!is_open(id)) return;
    sequence const&   s     = of(id);
    std::size_t const size  = static_cast<std::size_t>(options_.block_size),
                      begin = static_cast<std::size_t>(s.hashed) * size;
    if (options_.prefix_cache && !s.unhashed && begin + size <= tokens.size() && s.hashed < s.blocks)
      cache_.foresee(s.chain, row(id)[s.hashed], tokens.subspan(begin, size));
  }

  /// Forgets the tokens from `tokens` on (a rejected draft), and the blocks behind them. out_of_range(tokens) where there are
  /// fewer, or a window has passed them. Before the next commit(), reserve() again: the last block may be others', too.
  status truncate(sequence_id id, std::int64_t tokens) {
    if (!is_open(id)) return not_open(id);
    sequence& s = of(id);
    if (tokens < std::int64_t{s.first} * options_.block_size || tokens > s.length)
      return {errc::out_of_range, "kv_blocks", "tokens", tokens, s.length};
    metrics_.tokens -= s.length - tokens;
    shrink(id, s, blocks_for(tokens));
    s.length        = tokens;
    auto const full = static_cast<std::int32_t>(tokens / options_.block_size);
    if (options_.prefix_cache && full < s.hashed) {
      s.hashed = full;
      s.chain  = full > s.first ? cache_.end_at(row(id)[full - 1]) : full == 0 ? cache_.root(s.salt) : s.chain;
      if (full > 0 && full == s.first) s.unhashed = true;  // what stood in front is gone: no more blocks are offered
    }
    s.shared_tail = tokens % options_.block_size != 0;  // perhaps shared, perhaps in the index
    return {};
  }

  /// Gives back the blocks that lie wholly in front of `token`: a sliding window has passed them. Their entries are no_block.
  void release_before(sequence_id id, std::int64_t token) {
    if (!is_open(id)) return;
    sequence&       s     = of(id);
    block_id* const table = row(id);
    auto const      end   = static_cast<std::int32_t>(
        std::clamp<std::int64_t>(token / options_.block_size, 0, s.length / options_.block_size));
    for (; s.first < end; ++s.first) {
      give_back(table[s.first], s.worth);
      table[s.first] = no_block;
      --metrics_.table_blocks;
      metrics_.tokens -= options_.block_size;
    }
  }

  // ---- Looking: what is not open has no tokens and no blocks.

  bool         is_open(sequence_id id) const { return contains(id) && of(id).open; }
  std::int64_t length(sequence_id id) const { return contains(id) ? of(id).length : 0; }  // tokens committed
  std::int64_t capacity(sequence_id id) const {
    return contains(id) ? std::int64_t{of(id).blocks} * options_.block_size : 0;
  }

  /// Blocks of the sequence in order; no_block in front of a window.
  std::span<block_id const> block_table(sequence_id id) const {
    if (!contains(id)) return {};
    return {row(id), static_cast<std::size_t>(of(id).blocks)};
  }

  /// Blocks that close() would make available: those that nobody else owns. O(blocks).
  block_id exclusive_blocks(sequence_id id) const {
    block_id n = 0;
    for (block_id const b : block_table(id)) n += pool_.references(b) == 1;
    return n;
  }
  /// Tokens in full blocks, which attach() would find again after close() unless they are evicted.
  std::int64_t recoverable_tokens(sequence_id id) const {
    return contains(id) ? std::int64_t{of(id).hashed} * options_.block_size : 0;
  }

  block_pool const& pool() const { return pool_; }

  /// Copies to be made before the next pass, in order; their pages stay as they are until clear_copies().
  std::span<block_copy const> copies() const { return copies_; }
  void                        clear_copies() {
                           for (std::size_t i = 0; i < copies_.size(); ++i) {
                             --pins_[static_cast<std::size_t>(copies_[i].from)];
                             give_back(copies_[i].from, worths_[i]);
    }
                           copies_.clear();
                           worths_.clear();
  }

  /// The clock, for idle times and times to live: any unit, never backwards.
  void advance(std::uint64_t now) { cache_.advance(now); }

  /// Frees all idle blocks.
  void flush() {
    while (cache_.evict()) {
    }
  }

  kv_metrics metrics() const {
    kv_metrics m   = metrics_;
    m.slots        = m.table_blocks * options_.block_size;
    m.owned_blocks = pool_.used_blocks();
    return m;
  }

  /// Slow check: counts are those of the tables, no block is lost, the index has the cached blocks and no others.
  status audit() const {
    std::vector<std::uint32_t> owners(static_cast<std::size_t>(blocks()));
    std::int64_t               tokens = 0, table_blocks = 0;
    for (sequence_id id = 0; id < options_.max_sequences; ++id) {
      sequence const& s = of(id);
      if (!s.open) continue;
      if (s.length > capacity(id)) return fault("length", s.length, capacity(id));
      tokens += s.length - std::int64_t{s.first} * options_.block_size;
      for (std::int32_t i = 0; i < s.blocks; ++i) {
        block_id const b = row(id)[i];
        if ((b == no_block) != (i < s.first) || b >= blocks()) return fault("block_table", b, i);
        if (b != no_block) ++owners[static_cast<std::size_t>(b)], ++table_blocks;
      }
    }
    for (block_copy const& c : copies_) ++owners[static_cast<std::size_t>(c.from)];
    std::int64_t owned = 0, idle = 0;
    for (block_id b = 0; b < blocks(); ++b) {
      std::uint32_t const n = owners[static_cast<std::size_t>(b)];
      if (pool_.references(b) != n) return fault("references", pool_.references(b), n);
      owned += n > 0;
      idle += n == 0 && pool_.is_kept(b);
    }
    if (pool_.used_blocks() != owned) return fault("used_blocks", pool_.used_blocks(), owned);
    if (pool_.idle_blocks() != idle) return fault("idle_blocks", pool_.idle_blocks(), idle);
    if (metrics_.tokens != tokens) return fault("tokens", metrics_.tokens, tokens);
    if (metrics_.table_blocks != table_blocks) return fault("table_blocks", metrics_.table_blocks, table_blocks);
    if (!cache_.consistent()) return fault("index", 0, 1);
    return {};
  }

 private:
  struct sequence {
    prefix_chain  chain;       // of the first `hashed` blocks
    std::int64_t  length = 0;  // tokens
    std::uint64_t salt   = 0;
    std::int32_t  blocks = 0, hashed = 0;
    std::int32_t  first = 0;  // block that is still there
    retention     worth;
    bool          open = false, shared_tail = false;  // shared_tail: the block of token `length` may not be written yet
    bool          unhashed = false;                   // the chain was lost: full blocks stay private
  };

  static kv_blocks_options sane(kv_blocks_options o) {
    o.blocks                  = std::max(o.blocks, 0);
    o.block_size              = std::max(o.block_size, 1);
    o.max_sequences           = std::max(o.max_sequences, 0);
    o.max_blocks_per_sequence = std::max(o.max_blocks_per_sequence, 0);
    return o;
  }
  status not_open(sequence_id id) const { return {errc::out_of_range, "kv_blocks", "id", id, options_.max_sequences}; }
  static status fault(char const* what, std::int64_t got, std::int64_t want) {
    return {errc::out_of_range, "kv_blocks", what, got, want};
  }

  bool            contains(sequence_id id) const { return id >= 0 && id < options_.max_sequences; }
  sequence&       of(sequence_id id) { return sequences_[static_cast<std::size_t>(id)]; }
  sequence const& of(sequence_id id) const { return sequences_[static_cast<std::size_t>(id)]; }
  block_id*       row(sequence_id id) {
          return tables_.data() + static_cast<std::size_t>(id) * static_cast<std::size_t>(options_.max_blocks_per_sequence);
  }
  block_id const* row(sequence_id id) const {
    return tables_.data() + static_cast<std::size_t>(id) * static_cast<std::size_t>(options_.max_blocks_per_sequence);
  }
  std::int32_t blocks_for(std::int64_t tokens) const {
    return static_cast<std::int32_t>(ceil_div<std::int64_t>(tokens, options_.block_size));
  }

  // Every block that comes or goes passes one of these three.
  /// As many as there are available at most.
  void take(std::span<block_id> ids) {
    while (static_cast<std::size_t>(pool_.free_blocks()) < ids.size() && cache_.evict()) {
    }
    static_cast<void>(pool_.allocate(ids));
    count_peak();
  }
  void take_cached(block_id id) {
    cache_.retain(id);
    count_peak();
  }
  void give_back(block_id id, retention worth) { cache_.release(id, worth); }
  void count_peak() { metrics_.peak_blocks = std::max<std::int64_t>(metrics_.peak_blocks, pool_.used_blocks()); }

  /// The row's blocks from `blocks` on, the last first.
  void shrink(sequence_id id, sequence& s, std::int32_t blocks) {
    block_id* const    table = row(id);
    std::int32_t const end   = std::max(blocks, s.first);
    metrics_.table_blocks -= s.blocks - end;
    for (std::int32_t i = s.blocks; i-- > end;) {
      give_back(table[i], s.worth);
      table[i] = no_block;
    }
    s.blocks = end;
  }

  void plan_copy(block_id from, block_id to, std::int32_t tokens, retention worth) {
    ++pins_[static_cast<std::size_t>(from)];
    copies_.push_back({from, to, tokens});
    worths_.push_back(worth);
    ++metrics_.copies;
  }

  void attach_part(sequence& s, block_id* table, std::span<std::int32_t const> rest) {
    std::int32_t   shared = 0;
    block_id const from   = rest.empty() ? no_block : cache_.child(s.chain, rest, shared);
    if (from == no_block || available() <= (pool_.references(from) == 0 ? 1 : 0)) return;
    take_cached(from);  // so that it is not the one evicted for the copy
    block_id to = no_block;
    take({&to, 1});
    plan_copy(from, to, shared, s.worth);
    table[s.blocks++] = to;
    s.length += shared;
    ++metrics_.partial_hits;
  }

  status reserve_blocks(sequence_id id, sequence& s, std::int64_t tokens, block_id leave) {
    std::int64_t const most = std::int64_t{options_.max_blocks_per_sequence} * options_.block_size;
    if (tokens > most) return {errc::out_of_range, "kv_blocks", "tokens", tokens, most};
    std::int32_t const want   = std::max(blocks_for(std::max<std::int64_t>(tokens, 0)), s.blocks);
    block_id* const    table  = row(id);
    auto const         tail   = static_cast<std::int32_t>(s.length / options_.block_size);
    auto const         filled = static_cast<std::int32_t>(s.length % options_.block_size);
    bool const         copy   = s.shared_tail && owners(table[tail]) > 1;
    std::int32_t const more   = want - s.blocks + (copy ? 1 : 0);
    block_id const     may    = available() - std::clamp(leave, 0, available());
    if (more > may) return {errc::out_of_memory, "kv_blocks", "blocks", may, more};
    if (copy) {
      block_id const from = table[tail];  // its count passes to the copy, until that is made
      take({table + tail, 1});
      plan_copy(from, table[tail], filled, s.worth);
    } else if (s.shared_tail && pool_.is_kept(table[tail])) {
      cache_.forget(table[tail]);
    }
    s.shared_tail = false;
    metrics_.table_blocks += want - s.blocks;
    take({table + s.blocks, static_cast<std::size_t>(want - s.blocks)});
    s.blocks = want;
    return {};
  }

  /// Owners that are sequences.
  std::uint32_t owners(block_id id) const { return pool_.references(id) - pins_[static_cast<std::size_t>(id)]; }

  void add_full(sequence_id id, sequence& s, std::span<std::int32_t const> tokens) {
    if (s.unhashed) return;
    block_id* const table = row(id);
    auto const      size  = static_cast<std::size_t>(options_.block_size);
    auto const      full  = static_cast<std::int32_t>(s.length / options_.block_size);
    for (; s.hashed < full; ++s.hashed) {
      block_id const own   = table[s.hashed];
      block_id const there = cache_.add(s.chain, own, tokens.subspan(static_cast<std::size_t>(s.hashed) * size, size));
      if (there == own) continue;
      take_cached(there);  // the same tokens behind the same tokens: one block is enough
      table[s.hashed] = there;
      give_back(own, s.worth);
    }
  }

  kv_blocks_options          options_;
  kv_metrics                 metrics_;
  block_pool                 pool_;
  prefix_cache<Eviction>     cache_;
  std::vector<sequence>      sequences_;
  std::vector<block_id>      tables_;  // (max_sequences, max_blocks_per_sequence)
  std::vector<sequence_id>   closed_;
  std::vector<block_copy>    copies_;
  std::vector<retention>     worths_;  // of the blocks that copies_ read, once they are made
  std::vector<std::uint32_t> pins_;    // (blocks): copies that still read it
};

}  // namespace tenon
