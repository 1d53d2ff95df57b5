#pragma once
//  A naive model of kv_blocks: every call is made on both, and what they say is compared.
//
//  Memory is an array of cells, one per token of each block. A cell holds a hash of the salt and of every token up to its own:
//  what a key depends on in a transformer. Passes write cells, copies() move them; a sequence whose cells are not those of its own
//  history has been given somebody else's block. No GoogleTest: faults are exceptions.
#include <tenon/kv/kv_blocks.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace test {

struct shadow_options {
  tenon::kv_blocks_options kv;
  std::int64_t             steps       = 10'000;
  std::uint64_t            seed        = 1;
  std::int64_t             audit_every = 64;
};

template <class Eviction>
class kv_shadow {
 public:
  explicit kv_shadow(shadow_options const& o)
      : options_(o),
        size_(o.kv.block_size),
        random_(o.seed),
        kv_(o.kv),
        sequences_(static_cast<std::size_t>(o.kv.max_sequences)),
        blocks_(static_cast<std::size_t>(o.kv.blocks)),
        cells_(blocks_.size() * static_cast<std::size_t>(size_)),
        texts_(12) {}

  void run() {
    for (step_ = 0; step_ < options_.steps; ++step_) {
      step();
      cheap_checks();
      if (step_ % options_.audit_every == 0) full_checks();
    }
    run_copies();
    for (tenon::sequence_id s = 0; s < options_.kv.max_sequences; ++s) close(s);
    full_checks();
    must(kv_.available() == kv_.blocks(), "blocks that nobody gave back", kv_.available(), kv_.blocks());
  }

  tenon::kv_metrics metrics() const { return kv_.metrics(); }

 private:
  using id    = tenon::sequence_id;
  using block = tenon::block_id;
  using u64   = std::uint64_t;
  using text  = std::vector<std::int32_t>;

  struct sequence {
    bool               open = false;
    u64                salt = 0;
    text               tokens, prompt;  // committed; wanted
    std::vector<u64>   history;         // of each token: of all up to it
    std::vector<block> table;
    int                first = 0, hashed = 0;
    std::int64_t       chain    = 0;  // the entry behind `hashed` blocks, or the root of a salt
    bool               unhashed = false;

    std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  };

  // An entry of the prefix cache; numbers are never used again.
  struct entry {
    block        where  = tenon::no_block;
    std::int64_t parent = 0;
    text         tokens;
  };

  struct block_state {
    int          owners = 0, pins = 0;
    std::int64_t entry      = 0;  // that it holds; 0: none
    std::int64_t idle_since = 0;  // position in the order of releases
    std::int64_t epoch      = 0;  // handles of earlier ones are stale
  };

  // ---- Chance

  std::int64_t below(std::int64_t n) { return n <= 0 ? 0 : static_cast<std::int64_t>(random_() % static_cast<u64>(n)); }
  bool         chance(int percent) { return below(100) < percent; }
  id           any() { return static_cast<id>(below(options_.kv.max_sequences)); }

  /// Mostly something like what was there before.
  text any_text() {
    text               t   = texts_[static_cast<std::size_t>(below(12))];
    std::int64_t const max = std::int64_t{options_.kv.max_blocks_per_sequence} * size_;
    t.resize(static_cast<std::size_t>(below(static_cast<std::int64_t>(t.size()) + 1)));
    for (std::int64_t n = below(chance(20) ? max + size_ : size_ + 2); n > 0; --n) t.push_back(any_token());
    if (static_cast<std::int64_t>(t.size()) > max + size_) t.resize(static_cast<std::size_t>(max));
    if (chance(30)) texts_[static_cast<std::size_t>(below(12))] = t;
    return t;
  }
  std::int32_t any_token() { return static_cast<std::int32_t>(below(2)) * 77'777; }

  void step() {
    id const s = any();
    switch (below(16)) {
      case 0:
      case 1:
      case 2: open_and_attach(); break;
      case 3:
      case 4:
      case 5:
      case 6:
      case 7: grow(s); break;
      case 8: fork(s); break;
      case 9: truncate(s); break;
      case 10:
        if (chance(25)) release_before(s);
        break;
      case 11:
      case 12: close(s); break;
      case 13: match(); break;
      case 14: chance(3) ? flush() : advance(); break;
      case 15: chance(30) ? run_copies() : misuse(s); break;
    }
  }

  // ---- Calls

  void open_and_attach() {
    u64 const              salt  = chance(70) ? 0 : chance(50) ? 7 : ~u64{0};
    tenon::retention const worth = {
        .priority     = static_cast<std::uint8_t>(below(4) * 30),
        .time_to_live = chance(50) ? tenon::retention::forever : static_cast<std::uint32_t>(below(100))};
    id const s = kv_.open(salt, worth);
    must((s == tenon::no_sequence) == (open_ == options_.kv.max_sequences), "open", s, open_);
    if (s == tenon::no_sequence) return;
    must(!of(s).open, "open gave a row that is taken", s, 0);
    ++open_;
    of(s)        = {};
    of(s).open   = true;
    of(s).salt   = salt;
    of(s).chain  = root(salt);
    of(s).prompt = any_text();
    if (chance(90)) attach(s);
  }

  void attach(id s) {
    sequence&          q      = of(s);
    auto const         before = counts();
    std::int64_t const known  = kv_.attach(s, q.prompt);
    must(known == kv_.length(s), "attach returns length()", known, kv_.length(s));
    if (!options_.kv.prefix_cache || q.prompt.empty()) {
      must(known == 0, "attach without a cache", known, 0);
      return;
    }
    queried_ += static_cast<std::int64_t>(q.prompt.size());
    hits_ += known;

    std::int64_t const limit = std::min(static_cast<std::int64_t>(q.prompt.size()) - 1,
                                        std::int64_t{options_.kv.max_blocks_per_sequence} * size_);
    auto const         found = walk(q.chain, q.prompt, limit);
    auto const         full  = static_cast<std::int64_t>(found.size());
    auto const         table = kv_.block_table(s);
    must(known >= full * size_, "attach finds what is cached", known, full * size_);
    must(known < (full + 1) * size_, "attach finds no more than is cached", known, full * size_);
    for (std::size_t i = 0; i < found.size(); ++i) must(table[i] == found[i], "attached block", table[i], found[i]);

    std::int64_t const end   = full > 0 ? at(found.back()).entry : q.chain;
    auto const [least, most] = best_child(end, q.prompt, full * size_, limit);
    std::int64_t const part  = known - full * size_;
    q.hashed = static_cast<int>(full), q.chain = end;
    take_prompt(q, known);
    expect_evictions(before, part > 0);
    adopt(s);
    if (part == 0) {
      must(least == 0 || kv_.available() <= 1, "a partial block was not reused", kv_.available(), least);
      return;
    }
    must(least <= part && part <= most, "tokens of a partial block", part, most);
    expect_copy(q.table.back(), static_cast<std::int32_t>(part));
  }

  /// Room, a pass that writes, commit.
  void grow(id s) {
    sequence& q = of(s);
    if (!q.open) return;
    std::int64_t const rest   = std::max<std::int64_t>(0, static_cast<std::int64_t>(q.prompt.size()) - q.length());
    std::int64_t const wanted = q.length() + (rest > 0 ? 1 + below(rest) : chance(70) ? 1 : below(2 * size_));
    if (!reserve(s, wanted + (chance(20) ? below(3 * size_) : 0))) return;
    if (chance(15)) return;  // room for later
    run_copies();
    std::int64_t const length = std::min(wanted, kv_.capacity(s));
    auto const         table  = kv_.block_table(s);
    while (q.length() < length) {
      std::size_t const i = q.tokens.size();
      push(q, i < q.prompt.size() ? q.prompt[i] : any_token());
      block const b = table[i / static_cast<std::size_t>(size_)];
      must(at(b).owners == 1 && at(b).entry == 0, "a pass writes to a block that others read", b, at(b).owners);
      cell(b, i) = q.history[i];
    }
    commit(s);
  }

  bool reserve(id s, std::int64_t tokens) {
    sequence&           q      = of(s);
    auto const          before = counts();
    std::int64_t const  blocks = static_cast<std::int64_t>(q.table.size()), filled = q.length() % size_;
    block const         tail = filled != 0 ? q.table[static_cast<std::size_t>(q.length() / size_)] : tenon::no_block;
    bool const          copy = filled != 0 && at(tail).owners > 1;
    std::int64_t const  want = std::max((tokens + size_ - 1) / size_, blocks);
    std::int64_t const  more = want - blocks + copy;
    tenon::errc const   code = want > options_.kv.max_blocks_per_sequence ? tenon::errc::out_of_range
                               : more > before.free + before.idle         ? tenon::errc::out_of_memory
                                                                          : tenon::errc::ok;
    tenon::status const got  = kv_.reserve(s, tokens);
    must(got.code == code, "reserve answers", static_cast<int>(got.code), static_cast<int>(code));
    auto const table = kv_.block_table(s);
    if (code != tenon::errc::ok) {
      must(std::equal(table.begin(), table.end(), q.table.begin(), q.table.end()), "reserve: all or nothing", 0, 0);
      expect_evictions(before, 0);
      return false;
    }
    must(static_cast<std::int64_t>(table.size()) == want, "blocks of a row", kv_.capacity(s), want * size_);
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (i < q.table.size() && !(copy && q.table[i] == tail))
        must(table[i] == q.table[i], "a block that changed", table[i], q.table[i]);
      else must(at(table[i]).owners == 0 && at(table[i]).pins == 0, "a new block is nobody's", table[i], 0);
    }
    std::int64_t const kept = tail != tenon::no_block && !copy ? at(tail).entry : 0;
    if (kept != 0) forget(tail);
    block const written = copy ? table[static_cast<std::size_t>(q.length() / size_)] : tenon::no_block;
    expect_evictions(before, more);
    if (copy) ++at(tail).pins;  // before its owner goes
    adopt(s);
    if (copy) {
      must(!kv_.copies().empty() &&
               kv_.copies().back() == tenon::block_copy{tail, written, static_cast<std::int32_t>(filled)},
           "the copy before a write", tail, written);
      ++copies_;
    }
    return true;
  }

  void commit(id s) {
    sequence&          q      = of(s);
    auto const         before = counts();
    std::vector<block> want   = q.table;
    must(kv_.commit(s, q.tokens).ok(), "commit", s, q.length());
    if (options_.kv.prefix_cache && !q.unhashed) {
      for (; (std::int64_t{q.hashed} + 1) * size_ <= q.length(); ++q.hashed) {
        text const  tokens = part_of(q.tokens, q.hashed);
        auto const  there  = index_.find({q.chain, tokens});
        block const own    = want[static_cast<std::size_t>(q.hashed)];
        if (there != index_.end()) {
          want[static_cast<std::size_t>(q.hashed)] = entries_.at(there->second).where;
          q.chain                                  = there->second;
          ++duplicates_;
          continue;
        }
        must(at(own).entry == 0, "a block that is cached already", own, 0);
        std::int64_t const e      = ++serial_;
        entries_[e]               = {own, q.chain, tokens};
        index_[{q.chain, tokens}] = e;
        if (q.chain < 0 || entries_.count(q.chain) != 0) {
          auto& siblings = children_[q.chain];
          siblings.push_front(e);
          if (siblings.size() > 8) siblings.pop_back();
        }
        at(own).entry = e;
        q.chain       = e;
        ++cached_;
      }
    }
    adopt(s);
    must(q.table == want, "block table after commit", s, 0);
    expect_evictions(before, 0);
    verify(s);
  }

  void fork(id from) {
    id const   child = kv_.fork(from);
    bool const may   = of(from).open && open_ < options_.kv.max_sequences;
    must((child != tenon::no_sequence) == may, "fork", child, may);
    if (!may) return;
    ++open_;
    of(child)        = of(from);
    of(child).table  = {};
    of(child).prompt = {};
    auto const table = kv_.block_table(child);
    auto const full  = static_cast<std::size_t>((of(from).length() + size_ - 1) / size_);
    must(table.size() == full && std::equal(table.begin(), table.end(), of(from).table.begin()), "table of a fork",
         static_cast<std::int64_t>(table.size()), static_cast<std::int64_t>(full));
    adopt(child);
  }

  void truncate(id s) {
    sequence&          q  = of(s);
    std::int64_t const to = q.length() - below(chance(20) ? q.length() + 3 : size_ + 2);
    bool const         ok = q.open && to >= std::int64_t{q.first} * size_;
    must(kv_.truncate(s, to).ok() == ok, "truncate answers", to, q.length());
    if (!ok) return;
    q.tokens.resize(static_cast<std::size_t>(to)), q.history.resize(static_cast<std::size_t>(to));
    if (chance(50)) q.prompt.clear();
    auto const want = static_cast<std::size_t>(std::max<std::int64_t>((to + size_ - 1) / size_, q.first));
    must(kv_.block_table(s).size() == want, "blocks after truncate", kv_.capacity(s) / size_,
         static_cast<std::int64_t>(want));
    auto const full = static_cast<int>(to / size_);
    if (options_.kv.prefix_cache && full < q.hashed) {
      q.hashed = full;
      if (full > q.first) q.chain = at(q.table[static_cast<std::size_t>(full - 1)]).entry;
      else if (full == 0) q.chain = root(q.salt);
      else q.unhashed = true;
      must(q.unhashed || q.chain != 0, "a hashed block is in the cache", full, 0);
    }
    adopt(s);
  }

  void release_before(id s) {
    sequence&          q     = of(s);
    std::int64_t const token = below(q.length() + size_) - 1;
    kv_.release_before(s, token);
    if (!q.open) return;
    q.first = std::max(q.first, static_cast<int>(std::min(std::max<std::int64_t>(token, 0), q.length()) / size_));
    auto const table = kv_.block_table(s);
    for (std::size_t i = 0; i < table.size(); ++i)
      must((table[i] == tenon::no_block) == (static_cast<int>(i) < q.first), "window", static_cast<std::int64_t>(i),
           q.first);
    adopt(s, false);
  }

  void close(id s) {
    sequence& q = of(s);
    kv_.close(s);
    if (!q.open) return;
    must(!kv_.is_open(s), "close", s, 0);
    give_back(q.table);
    q.open = false, q.tokens.clear(), q.table.clear(), q.first = 0;
    --open_;
  }

  void match() {
    u64 const          salt = chance(80) ? 0 : 7;
    text const         t    = any_text();
    std::int64_t const want =
        options_.kv.prefix_cache
            ? static_cast<std::int64_t>(walk(root(salt), t, static_cast<std::int64_t>(t.size())).size())
            : 0;
    must(kv_.match(t, salt) == want * size_, "match", kv_.match(t, salt), want * size_);
  }

  void advance() { kv_.advance(now_ += static_cast<std::uint32_t>(below(40))); }

  void flush() {
    auto const before = counts();
    kv_.flush();
    must(kv_.pool().idle_blocks() == 0, "flush", kv_.pool().idle_blocks(), 0);
    expect_evictions(before, before.free + before.idle);
  }

  void run_copies() {
    for (tenon::block_copy const& c : kv_.copies())
      for (std::int32_t i = 0; i < c.tokens; ++i)
        cell(c.to, static_cast<std::size_t>(i)) = cell(c.from, static_cast<std::size_t>(i));
    std::vector<tenon::block_copy> const made(kv_.copies().begin(), kv_.copies().end());
    kv_.clear_copies();
    must(kv_.copies().empty(), "clear_copies", static_cast<std::int64_t>(kv_.copies().size()), 0);
    for (tenon::block_copy const& c : made) {
      --at(c.from).pins;
      left(c.from);
    }
    pending_ = 0;
  }

  /// Calls that must change nothing.
  void misuse(id s) {
    sequence const& q = of(s);
    for (id const wrong : {tenon::no_sequence, options_.kv.max_sequences}) {
      kv_.close(wrong), kv_.release_before(wrong, 5);
      must(!kv_.commit(wrong, texts_[0]).ok() && !kv_.reserve(wrong, 1).ok() && !kv_.truncate(wrong, 0).ok(),
           "no such sequence", wrong, 0);
      must(kv_.fork(wrong) == tenon::no_sequence && kv_.attach(wrong, texts_[0]) == 0, "no such sequence", wrong, 0);
    }
    if (!q.open) {
      must(!kv_.reserve(s, 1).ok() && !kv_.truncate(s, 0).ok() && kv_.fork(s) == tenon::no_sequence, "a closed one", s,
           0);
      return;
    }
    must(kv_.reserve(s, std::int64_t{1} << 60).code == tenon::errc::out_of_range, "more than a row", s, 0);
    must(!kv_.truncate(s, q.length() + 1).ok() && !kv_.truncate(s, -1).ok(), "truncate out of range", s, 0);
    must(kv_.commit(s, std::span(q.tokens).first(static_cast<std::size_t>(below(q.length() + 1)))).ok(), "no new token",
         s, 0);
    must(!kv_.commit(s, text(static_cast<std::size_t>(kv_.capacity(s)) + 1)).ok(), "more than was reserved", s, 0);
    kv_.release_before(s, -3);
    if (!q.table.empty()) must(kv_.attach(s, texts_[0]) == q.length(), "attach to what has blocks", s, 0);
  }

  // ---- The model

  sequence&    of(id s) { return sequences_[static_cast<std::size_t>(s)]; }
  block_state& at(block b) {
    must(b >= 0 && b < options_.kv.blocks, "no such block", b, options_.kv.blocks);
    return blocks_[static_cast<std::size_t>(b)];
  }
  u64& cell(block b, std::size_t token) {
    auto const size = static_cast<std::size_t>(size_);
    return cells_[static_cast<std::size_t>(b) * size + token % size];
  }
  static std::int64_t root(u64 salt) { return -2 - static_cast<std::int64_t>(salt % 1000); }

  static u64 mix(u64 x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  void push(sequence& q, std::int32_t token) {
    u64 const before = q.history.empty() ? mix(q.salt + 99) : q.history.back();
    q.tokens.push_back(token);
    q.history.push_back(mix(before * 3 + static_cast<u64>(token) + 1));
  }
  void take_prompt(sequence& q, std::int64_t tokens) {
    for (std::int64_t i = 0; i < tokens; ++i) push(q, q.prompt[static_cast<std::size_t>(i)]);
  }
  text part_of(text const& t, std::int64_t which) const {
    auto const begin = t.begin() + which * size_;
    return {begin, begin + size_};
  }

  /// Blocks of the cached prefix of t.
  std::vector<block> walk(std::int64_t chain, text const& t, std::int64_t limit) {
    std::vector<block> found;
    for (std::int64_t i = 0; (i + 1) * size_ <= limit; ++i) {
      auto const e = index_.find({chain, part_of(t, i)});
      if (e == index_.end()) break;
      chain = e->second;
      found.push_back(entries_.at(chain).where);
    }
    return found;
  }
  /// Tokens that one of the youngest children begins with, too: at least, and at most. Behind one that is gone the others are
  /// found as long as its block is nobody's child.
  std::pair<std::int64_t, std::int64_t> best_child(std::int64_t chain, text const& t, std::int64_t from,
                                                   std::int64_t limit) {
    std::int64_t least = 0, most = 0;
    bool         all_there = true;
    for (std::int64_t const c : children_[chain]) {
      auto const e = entries_.find(c);
      if (e == entries_.end()) {
        all_there = false;
        continue;
      }
      std::int64_t n = 0;
      while (n < size_ && from + n < limit &&
             e->second.tokens[static_cast<std::size_t>(n)] == t[static_cast<std::size_t>(from + n)])
        ++n;
      most = std::max(most, n);
      if (all_there) least = most;
    }
    return {least, most};
  }

  void forget(block b) {
    block_state& s = at(b);
    auto const   e = entries_.find(s.entry);
    index_.erase({e->second.parent, e->second.tokens});
    children_.erase(e->first);
    entries_.erase(e);
    s.entry = 0;
    ++s.epoch;
  }

  /// An owner or a copy of the block has gone.
  void left(block b) {
    block_state& s = at(b);
    if (s.owners + s.pins > 0) return;
    if (s.entry != 0) s.idle_since = ++releases_;
    else ++s.epoch;
  }
  void give_back(std::vector<block> const& table, bool last_first = true) {
    auto const one = [&](block b) {
      if (b == tenon::no_block) return;
      --at(b).owners;
      left(b);
    };
    if (last_first) std::for_each(table.rbegin(), table.rend(), one);
    else std::for_each(table.begin(), table.end(), one);
  }
  /// The sequence's row as it is now.
  void adopt(id s, bool last_first = true) {
    std::vector<block> const row(kv_.block_table(s).begin(), kv_.block_table(s).end());
    for (block const b : row)
      if (b != tenon::no_block) ++at(b).owners;
    give_back(of(s).table, last_first);
    of(s).table = row;
    must(kv_.length(s) == of(s).length(), "length", kv_.length(s), of(s).length());
    must(kv_.capacity(s) == static_cast<std::int64_t>(row.size()) * size_, "capacity", kv_.capacity(s), 0);
    must(std::int64_t{of(s).hashed} * size_ == kv_.recoverable_tokens(s) || !options_.kv.prefix_cache,
         "recoverable_tokens", kv_.recoverable_tokens(s), of(s).hashed);
  }

  void expect_copy(block to, std::int32_t tokens) {
    must(static_cast<std::int64_t>(kv_.copies().size()) == pending_ + 1, "copies",
         static_cast<std::int64_t>(kv_.copies().size()), pending_);
    tenon::block_copy const c = kv_.copies().back();
    must(c.to == to && c.tokens == tokens, "the copy of a partial block", c.to, to);
    must(at(c.from).entry != 0, "a copy of something that is not cached", c.from, to);
    ++at(c.from).pins;
    ++pending_, ++copies_, ++partial_;
  }

  struct counters {
    std::int64_t free, idle, evictions, releases;
  };
  counters counts() const {
    return {kv_.pool().free_blocks(), kv_.pool().idle_blocks(), kv_.metrics().evictions, releases_};
  }
  /// `taken` blocks came from the free ones, and only then from idle ones. Which ones went is looked up.
  void expect_evictions(counters const& before, std::int64_t taken) {
    std::int64_t const want = std::max<std::int64_t>(0, taken - before.free),
                       got  = kv_.metrics().evictions - before.evictions;
    must(got == want, "evictions", got, want);
    if (got == 0) return;
    std::int64_t youngest = 0, gone = 0;
    for (block b = 0; b < options_.kv.blocks; ++b) {
      if (at(b).entry == 0 || kv_.pool().is_kept(b)) continue;
      must(at(b).owners + at(b).pins == 0, "an owned block was evicted", b, at(b).owners);
      youngest = std::max(youngest, at(b).idle_since);
      ++gone;
      forget(b);
    }
    must(gone == got, "evicted blocks are gone", gone, got);
    if constexpr (std::is_same_v<Eviction, tenon::lru_eviction>)
      for (block b = 0; b < options_.kv.blocks; ++b)
        if (at(b).entry != 0 && kv_.pool().references(b) == 0)
          must(at(b).idle_since > youngest, "the longest idle block goes first", at(b).idle_since, youngest);
  }

  // ---- Checks

  void must(bool good, char const* what, std::int64_t got, std::int64_t want) const {
    if (!good)
      throw std::runtime_error(std::string(what) + ": " + std::to_string(got) + ", not " + std::to_string(want) +
                               " (step " + std::to_string(step_) + " of seed " + std::to_string(options_.seed) + ")");
  }
  void same(char const* what, std::int64_t got, std::int64_t want) const { must(got == want, what, got, want); }

  void verify(id s) {
    sequence const& q = of(s);
    for (std::size_t i = static_cast<std::size_t>(q.first) * static_cast<std::size_t>(size_); i < q.tokens.size(); ++i)
      must(cell(q.table[i / static_cast<std::size_t>(size_)], i) == q.history[i], "a key of another history", s,
           static_cast<std::int64_t>(i));
  }

  void cheap_checks() {
    pending_            = static_cast<std::int64_t>(kv_.copies().size());
    auto const&  pool   = kv_.pool();
    auto const&  m      = kv_.metrics();
    std::int64_t tokens = 0, entries = 0;
    for (sequence const& q : sequences_) {
      if (!q.open) continue;
      tokens += q.length() - std::int64_t{q.first} * size_;
      entries += static_cast<std::int64_t>(q.table.size()) - q.first;
    }
    same("free + idle + used", pool.free_blocks() + pool.idle_blocks() + pool.used_blocks(), kv_.blocks());
    same("open_sequences", kv_.open_sequences(), open_);
    same("tokens", m.tokens, tokens);
    same("table_blocks", m.table_blocks, entries);
    same("slots", m.slots, entries * size_);
    same("owned_blocks", m.owned_blocks, pool.used_blocks());
    must(m.peak_blocks >= m.owned_blocks, "peak_blocks", m.peak_blocks, m.owned_blocks);
    same("queried_tokens", m.queried_tokens, queried_);
    same("hit_tokens", m.hit_tokens, hits_);
    same("copies", m.copies, copies_);
    same("partial_hits", m.partial_hits, partial_);
    same("cached", m.cached, cached_);
    same("duplicates", m.duplicates, duplicates_);
    id const s = any();
    if (of(s).open) {
      std::int64_t alone = 0;
      for (block const b : of(s).table) alone += b != tenon::no_block && at(b).owners + at(b).pins == 1;
      same("exclusive_blocks", kv_.exclusive_blocks(s), alone);
    }
    hold_a_handle(s);
  }

  void hold_a_handle(id s) {
    if (of(s).open && !of(s).table.empty()) {
      block const b = of(s).table.back();
      if (b != tenon::no_block) handles_[static_cast<std::size_t>(below(16))] = {kv_.pool().handle(b), at(b).epoch};
    }
    auto const& [handle, epoch] = handles_[static_cast<std::size_t>(below(16))];
    if (handle.id == tenon::no_block) return;
    block_state const& b    = at(handle.id);
    bool const         want = b.epoch == epoch && b.owners + b.pins + (b.entry != 0) > 0;
    must(kv_.pool().valid(handle) == want, "a handle is valid", handle.id, want);
  }

  void full_checks() {
    auto const fault = kv_.audit();
    must(fault.ok(), fault.subject, fault.got, fault.want);
    for (block b = 0; b < options_.kv.blocks; ++b) {
      block_state const& s = at(b);
      same("references", kv_.pool().references(b), s.owners + s.pins);
      same("is_kept", kv_.pool().is_kept(b), s.entry != 0);
    }
    same("entries of the index", static_cast<std::int64_t>(entries_.size()), static_cast<std::int64_t>(index_.size()));
    if (!kv_.copies().empty()) return;
    for (id s = 0; s < options_.kv.max_sequences; ++s)
      if (of(s).open) verify(s);
  }

  shadow_options             options_;
  std::int64_t               size_;
  std::mt19937_64            random_;
  tenon::kv_blocks<Eviction> kv_;
  std::vector<sequence>      sequences_;
  std::vector<block_state>   blocks_;
  std::vector<u64>           cells_;  // (blocks, block_size)
  std::vector<text>          texts_;

  std::map<std::int64_t, entry>                             entries_;
  std::map<std::pair<std::int64_t, text>, std::int64_t>     index_;
  std::map<std::int64_t, std::deque<std::int64_t>>          children_;  // the youngest first, at most 8
  std::vector<std::pair<tenon::block_handle, std::int64_t>> handles_ =
      std::vector<std::pair<tenon::block_handle, std::int64_t>>(16);

  std::int64_t  step_ = 0, open_ = 0, serial_ = 0, releases_ = 0, pending_ = 0;
  std::int64_t  queried_ = 0, hits_ = 0, copies_ = 0, partial_ = 0, cached_ = 0, duplicates_ = 0;
  std::uint32_t now_ = 0;
};

}  // namespace test
