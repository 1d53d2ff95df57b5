#pragma once
//  One access against what is known of its bytes: bounds, initialisation, races.
#include <tenon/simt/checked/block_state.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tenon::simt::checked {

struct access {
  bool        reads, writes, atomic;
  site_number at;
  std::size_t offset, bytes;  // in the arena
  bool        reported = false;
  bool        outside  = false;  // of what may be accessed: it must not be made
};

struct reader {
  epoch       e    = 0;
  site_number site = 0;
};

/// Of several threads that nothing orders, one of another warp is named: what orders that one orders the others too.
inline bool of_own_warp(epoch e) {
  auto const&         b = running();
  std::uint32_t const t = agent_of(e) - b.first_agent;
  return t < b.threads && t / 32 == b.me / 32;
}

/// Readers that a reader_pool's bits cannot hold: threads that have met others since the last block barrier, and
/// asynchronous copies.
class reader_list {
 public:
  reader earlier;  // one of an earlier block, which stands for all

  void clear() { readers_.clear(), earlier = {}; }
  void clear_threads() {
    std::erase_if(readers_, [](reader const& r) { return !running().by_engine(r.e); });
  }
  bool empty() const { return readers_.empty() && !earlier.e; }
  void add(reader const& r) {
    for (auto& x : readers_)
      if (agent_of(x.e) == agent_of(r.e)) return void(x = r);
    readers_.push_back(r);
  }
  /// `threads_too`: no barrier has passed since the threads in it were noted.
  reader unordered(bool threads_too) const {
    auto const& b = running();
    if (earlier.e && !b.ordered(earlier.e)) return earlier;
    reader beside;
    for (auto const& r : readers_) {
      if ((!threads_too && !b.by_engine(r.e)) || b.ordered(r.e)) continue;
      if (!of_own_warp(r.e)) return r;
      beside = r;
    }
    return beside;
  }

 private:
  std::vector<reader> readers_;
};

/// Sets of threads whose accesses nothing orders among each other: the readers since the last write, or the atomics that
/// wrote last. Exact for the block that runs; of earlier blocks one stands for all. Barriers end what threads read, but
/// not what asynchronous copies do.
///
/// A thread that has met nobody since the last block barrier is one bit, so a word that the whole block reads costs one
/// bit set per reader.
class reader_pool {
 public:
  void clear(std::uint32_t threads) {
    used_ = 0;
    free_.clear();
    lists_used_ = 0;
    stride_     = (head_words + (threads + 63) / 64 + 3) / 4 * 4;
  }

  /// The epoch that stands for a new set of this one reader.
  epoch make(epoch e, site_number site) {
    std::uint32_t index;
    if (!free_.empty()) {
      index = free_.back();
      free_.pop_back();
    } else {
      index = used_++;
      if (memory_.size() * 8 < std::size_t{used_} * stride_) memory_.resize(std::size_t{used_} * stride_ / 4 + 1);
    }
    head& h    = at(index);
    h          = {};
    h.barriers = running().barriers, h.block = running().serial;
    clear_bits(h);
    epoch const set = make_epoch(many, index);
    add(set, e, site);
    return set;
  }
  epoch copy_of(epoch set) {
    epoch const other = make(running().now, 0);
    head const& from  = at(clock_of(set));
    head&       to    = at(clock_of(other));
    std::copy_n(reinterpret_cast<std::uint64_t const*>(&from), stride_, reinterpret_cast<std::uint64_t*>(&to));
    to.list = 0;
    if (from.list) list_of(to) = *lists_[from.list - 1];
    return other;
  }
  /// The set is not needed any more.
  void drop(epoch set) { free_.push_back(clock_of(set)); }

  [[gnu::always_inline]] void add(epoch set, epoch e, site_number site) {
    auto const&         b = running();
    head&               h = at(clock_of(set));
    std::uint32_t const t = agent_of(e) - b.first_agent;
    if (h.barriers != b.barriers) renew(h);
    if (t < b.threads && clock_of(e) == b.base[t] + 1) {
      bits_of(h)[t / 64] |= std::uint64_t{1} << (t % 64);
      h.last = t + 1, h.last_clock = clock_of(e), h.last_site = site;
    } else if (t < b.agents) {
      list_of(h).add({e, site});
    } else {
      list_of(h).earlier = {e, site};
    }
  }

  /// The running thread reads, and has met nobody since the last barrier: a bit. False where that is not so.
  [[gnu::always_inline]] bool note(epoch set, block_state const& b, site_number site) {
    head& h = at(clock_of(set));
    if (h.barriers != b.barriers || clock_of(b.now) != b.base[b.me] + 1) return false;
    bits_of(h)[b.me / 64] |= std::uint64_t{1} << (b.me % 64);
    h.last = b.me + 1, h.last_clock = clock_of(b.now), h.last_site = site;
    return true;
  }

  /// One that does not happen before the running thread's present, of another warp if there is one.
  reader unordered(epoch set) const {
    auto const& b = running();
    head const& h = at(clock_of(set));
    if (h.list)
      if (auto const r = lists_[h.list - 1]->unordered(h.barriers == b.barriers); r.e) return r;
    if (h.last == 0) return {};
    if (h.block != b.serial) {
      epoch const e = last_of(h);
      return b.ordered(e) ? reader{} : reader{e, h.last_site};
    }
    if (h.barriers != b.barriers) return {};
    reader beside;
    for (std::uint32_t w = 0; w < stride_ - head_words; ++w)
      for (std::uint64_t bits = bits_of(h)[w]; bits; bits &= bits - 1) {
        std::uint32_t const t = w * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
        epoch const         e = make_epoch(b.first_agent + t, b.base[t] + 1);
        if (b.ordered(e)) continue;
        if (t / 32 != b.me / 32) return {e, h.last_site};
        beside = {e, h.last_site};
      }
    return beside;
  }

  /// Whether all of it happens before every thread of the block.
  bool settled(epoch set) const {
    auto const& b = running();
    head const& h = at(clock_of(set));
    return h.block == b.serial && h.barriers != b.barriers && (!h.list || lists_[h.list - 1]->empty());
  }

 private:
  // Half a cache line, so that head and bits of a block of 256 threads share one.
  struct alignas(32) head {
    std::uint32_t barriers = 0, block = 0;   // whose the bits are
    std::uint32_t last = 0, last_clock = 0;  // a thread of them, counted from 1; 0 where there is none
    site_number   last_site = 0;
    std::uint32_t list      = 0;  // counted from 1
  };
  static constexpr std::uint32_t head_words = sizeof(head) / 8;
  struct alignas(64) line {
    std::uint64_t word[8];
  };

  head& at(std::uint32_t index) { return *reinterpret_cast<head*>(memory_[0].word + std::size_t{index} * stride_); }
  head const& at(std::uint32_t index) const {
    return *reinterpret_cast<head const*>(memory_[0].word + std::size_t{index} * stride_);
  }
  static std::uint64_t*       bits_of(head& h) { return reinterpret_cast<std::uint64_t*>(&h + 1); }
  static std::uint64_t const* bits_of(head const& h) { return reinterpret_cast<std::uint64_t const*>(&h + 1); }
  void                        clear_bits(head& h) { std::fill_n(bits_of(h), stride_ - head_words, std::uint64_t{0}); }
  static epoch last_of(head const& h) { return make_epoch(h.block * running().agents + h.last - 1, h.last_clock); }

  reader_list& list_of(head& h) {
    if (h.list == 0) {
      if (lists_used_ == lists_.size()) lists_.push_back(std::make_unique<reader_list>());
      h.list = ++lists_used_;
      lists_[h.list - 1]->clear();
    }
    return *lists_[h.list - 1];
  }

  /// A barrier has passed, or a block has ended, since the bits were set.
  void renew(head& h) {
    auto const& b = running();
    // Readers of this block before the barrier happen before whoever reads now: what is ordered after him is ordered after
    // them.
    if (h.block != b.serial && h.last) list_of(h).earlier = {last_of(h), h.last_site};
    clear_bits(h);
    if (h.list) lists_[h.list - 1]->clear_threads();
    h.last = 0, h.barriers = b.barriers, h.block = b.serial;
  }

  std::vector<line>                         memory_;  // heads and bits, stride_ words each
  std::uint32_t                             stride_ = head_words + 16, used_ = 0;
  std::vector<std::uint32_t>                free_;
  std::vector<std::unique_ptr<reader_list>> lists_;
  std::uint32_t                             lists_used_ = 0;
};

struct split_cell {
  slots part[4]   = {};
  bool  atomic[4] = {};
};

/// What outgrows a cell, for shared memory until the block ends, for the heap until the launch ends.
struct overflow {
  reader_pool             readers;
  std::vector<split_cell> splits;

  void clear(std::uint32_t threads) { readers.clear(threads), splits.clear(); }
  void drop(epoch& e) {
    if (agent_of(e) == many) readers.drop(e);
    e = 0;
  }
};

constexpr char const* cp_async_name   = "cp.async";
constexpr char const* bulk_load_name  = "bulk load";
constexpr char const* bulk_store_name = "bulk store";

struct copy_record {
  std::uint32_t thread;
  site_number   at;
  char const*   name;  // one of the three
};

struct shadow_state {
  overflow                 of_shared;
  std::vector<copy_record> copies;  // of this block, by number

  void begin_block() { of_shared.clear(running().threads), copies.clear(); }
};
inline constinit shadow_state* shadow_now = nullptr;  // set by residents.hpp
inline shadow_state&           shadows() { return *shadow_now; }

inline overflow& of_heap() {
  static auto* const o = new overflow;
  return *o;
}

inline bool          in_shared(std::size_t offset) { return offset < arena::heap_begin; }
inline overflow&     overflow_of(std::size_t offset) { return in_shared(offset) ? shadows().of_shared : of_heap(); }
inline std::uint32_t generation_of(std::size_t offset) {
  return in_shared(offset) ? running().block_generation : running().launch_generation;
}

// ---- words --------------------------------------------------------------------------------------------------------

inline std::string describe(access const& a) {
  return std::string(a.atomic ? "atomic " : "") + (a.writes ? "write" : "read") + " of " + std::to_string(a.bytes) +
         (a.bytes == 1 ? " byte" : " bytes");
}

inline region bytes_of(std::size_t offset, std::size_t bytes) { return {offset, bytes, running().shared_bytes}; }

/// What would order the two sides of a race (causes.hpp has the words), or a message where it is no barrier.
struct missing_edge {
  char const* name    = "";
  char const* message = "";
};
inline missing_edge edge_from(std::uint32_t other_agent, bool copied, kind what) {
  auto const&         b = running();
  std::uint32_t const u = other_agent - b.first_agent;
  if (u >= b.threads && u < b.agents)
    return what == kind::write_after_read
               ? missing_edge{"bulk_wait_read",
                              "A bulk store may still be reading these bytes. Missing: bulk_commit() and "
                              "bulk_wait_read<0>() by the thread that issued it, then a barrier, before they are "
                              "written again."}
               : missing_edge{"mbarrier_wait",
                              "The bytes come by a bulk load. Missing: a wait for that phase of its mbarrier (check "
                              "the parity) by this thread, or by one that meets it at a barrier afterwards."};
  if (copied) return {"sync_after_wait", ""};
  if (u >= b.threads) return {"hand_over", ""};
  return {u / 32 == b.me / 32 ? "sync_warp" : "sync_block", ""};
}

// ---- reports ------------------------------------------------------------------------------------------------------

inline void report_access(kind what, access& a, char const* message) {
  if (a.reported) return;
  a.reported = true;
  auto& b    = running();
  if (b.found.again(what, a.at, 0)) return;
  b.found.add(what, level::error, {a.at, describe(a), b.my_name()}, {}, bytes_of(a.offset, a.bytes), message);
}

inline void report_race(kind what, access& a, reader other, bool other_atomic) {
  if (a.reported) return;
  a.reported           = true;
  auto&      b         = running();
  bool const by_engine = b.by_engine(other.e);
  auto const edge      = [&](bool copied) { return edge_from(agent_of(other.e), copied, what); };
  if (b.found.again(by_engine ? kind::unwaited_copy : what, a.at, other.site, edge(false).name)) return;
  char const* copied = nullptr;  // the asynchronous copy whose bytes these are
  for (auto const& c : shadows().copies)
    if (what == kind::read_after_write && c.at == other.site &&
        (by_engine || c.thread == agent_of(other.e) - b.first_agent))
      copied = c.name;
  std::string const was = std::string(other_atomic ? "atomic " : "") +
                          (by_engine && what == kind::write_after_read ? "bulk store reading them"
                           : what == kind::write_after_read            ? "read before it"
                           : copied                                    ? copied + std::string(" before it")
                                                                       : "write before it");
  b.found.add(by_engine ? kind::unwaited_copy : what, level::error, {a.at, describe(a), b.my_name()},
              {other.site, was, b.name_of(agent_of(other.e))}, bytes_of(a.offset, a.bytes), edge(copied).message,
              edge(copied).name, edge(false).name);
}

inline void report_in_flight(access& a, std::uint32_t number) {
  if (a.reported) return;
  a.reported    = true;
  auto&      b  = running();
  auto const by = shadows().copies[number];
  // Who meets its own copy has not waited; who meets another's may lack a barrier only.
  char const* const missing = by.thread == b.me ? "own_wait" : "wait";
  if (b.found.again(kind::unwaited_copy, a.at, by.at, missing)) return;
  char const* const message =
      by.name == bulk_load_name
          ? "The bytes have not arrived. Missing: mbarrier_wait() on the copy's barrier, for the phase that its bytes "
            "complete (check the parity and the expected bytes)."
      : by.name == bulk_store_name
          ? "The store has not been waited for. Missing: bulk_commit() and bulk_wait<0>() by the thread that "
            "issued it, before the bytes are used."
      : by.thread == b.me
          ? "The copy's group was not waited for. Missing: cp_async_commit() and cp_async_wait<N>() with an N "
            "small enough, before the bytes are used."
          : "The copying thread has not waited for the copy's group. Missing: cp_async_commit() and "
            "cp_async_wait<N>() there, then sync_block(), before the bytes are used.";
  b.found.add(kind::unwaited_copy, level::error, {a.at, describe(a), b.my_name()},
              {by.at, std::string(by.name) + " still in flight", b.name_of(b.first_agent + by.thread)},
              bytes_of(a.offset, a.bytes), message, missing, missing);
}

// ---- the rules ----------------------------------------------------------------------------------------------------

inline reader unordered(epoch e, site_number site, overflow const& o) {
  if (e == 0) return {};
  if (agent_of(e) == many) return o.readers.unordered(e);
  return running().ordered(e) ? reader{} : reader{e, site};
}

inline void add_to_set(epoch& e, site_number& site, epoch by, site_number mine, overflow& o) {
  if (agent_of(e) != many) e = o.readers.make(e, site);
  o.readers.add(e, by, mine);
  site = mine;
}

inline void touch(slots& s, bool& atomic, access& a, overflow& o) {
  epoch const now = running().now;
  if (agent_of(s.write) == in_flight) {
    report_in_flight(a, clock_of(s.write));
    if (!a.writes) return;
    s.write = 0;
  }
  bool const concurrent_atomics = a.atomic && atomic;
  auto       before             = agent_of(s.write) == agent_of(now) ? reader{} : unordered(s.write, s.write_site, o);
  if (before.e && !concurrent_atomics)
    report_race(a.writes ? kind::write_after_write : kind::read_after_write, a, before, atomic);
  if (!a.writes) {
    if (a.atomic) return;
    if (s.read == 0 || agent_of(s.read) == agent_of(now) || (agent_of(s.read) != many && running().ordered(s.read)))
      s.read = now, s.read_site = a.at;
    else add_to_set(s.read, s.read_site, now, a.at, o);
    return;
  }
  if (s.read && agent_of(s.read) != agent_of(now))
    if (auto const reader = unordered(s.read, s.read_site, o); reader.e)
      report_race(kind::write_after_read, a, reader, false);
  o.drop(s.read);
  if (before.e && concurrent_atomics) {
    add_to_set(s.write, s.write_site, now, a.at, o);
  } else {
    o.drop(s.write);
    s.write = now, s.write_site = a.at;
  }
  atomic = a.atomic;
}

inline void forget(cell& c) {
  c.write = c.read = 0;
  c.bytes          = 0;
  c.split = c.atomic = false;
}

/// Makes the cell one of this launch or block.
inline void refresh(cell& c, std::size_t offset, std::uint32_t generation) {
  c.generation = generation;
  forget(c);
  if (offset >= arena::program_begin) c.valid = c.set = 15;
  if (!in_shared(offset)) return;
  c.set = 0;
  if (offset < arena::static_span) {
    c.valid = memory.static_valid[offset / 4] & 15u;
    return;
  }
  std::size_t const begin = arena::shared_begin, end = begin + running().shared_bytes;
  unsigned          valid = 0;
  for (unsigned i = 0; i < 4; ++i) valid |= (offset + i >= begin && offset + i < end ? 1u : 0u) << i;
  c.valid = valid & 15u;
}

/// Whether all that the slots say happens before every thread of the block. Then a cell of shared memory may forget it.
inline bool settled(slots const& s, overflow const& o) {
  auto const& b   = running();
  auto const  one = [&](epoch e) {
    if (e == 0) return true;
    if (agent_of(e) == in_flight) return false;
    if (agent_of(e) == many) return o.readers.settled(e);
    std::uint32_t const u = agent_of(e) - b.first_agent;
    return u < b.agents && clock_of(e) <= b.base[u];
  };
  return one(s.write) && one(s.read);
}

inline void split(cell& c, overflow& o) {
  split_cell parts;
  for (unsigned i = 0; i < 4; ++i) {
    if (!(c.bytes >> i & 1)) continue;
    parts.part[i] = c, parts.atomic[i] = c.atomic;
    for (epoch* e : {&parts.part[i].write, &parts.part[i].read})
      if (agent_of(*e) == many) *e = o.readers.copy_of(*e);
  }
  o.splits.push_back(parts);
  c.split = true;
  c.bytes = 0;
  c.write = make_epoch(0, static_cast<std::uint32_t>(o.splits.size() - 1));
  c.read  = 0;
}

[[gnu::noinline]] inline void judge_cells(access& a) {
  std::uint32_t const generation = generation_of(a.offset);
  overflow&           o          = overflow_of(a.offset);
  for (std::size_t at = a.offset, end = a.offset + a.bytes; at < end;) {
    std::size_t const n = std::min<std::size_t>(4 - at % 4, end - at);
    unsigned const    m = ((1u << n) - 1) << (at % 4);
    cell&             c = memory.shadow[at / 4];
    if (c.generation != generation) refresh(c, at & ~std::size_t{3}, generation);
    if (m & ~unsigned{c.valid}) {
      a.outside = true;
      report_access(kind::out_of_bounds, a,
                    in_shared(a.offset)
                        ? a.offset < arena::static_span
                              ? "An index went beyond a __shared__ variable."
                              : "The launch gave the block fewer bytes of shared memory, or an index went too far."
                        : "An index, an extent or a stride goes beyond the buffer; check the tail's guard.");
      return;
    }
    if (a.reads && (m & ~unsigned{c.set}) && agent_of(c.write) != in_flight)
      report_access(kind::uninitialised_read, a,
                    in_shared(at)
                        ? "No thread of the block has written these bytes. Missing: a write before the read, and a "
                          "barrier between them where the writer is another thread."
                        : "Neither the host nor a kernel has written these bytes. Missing: a write before the read; "
                          "or the read itself is not wanted.");
    if (!c.split && c.bytes != m && c.bytes != 0) {
      if (in_shared(at) && settled(c, o)) forget(c);
      else split(c, o);
    }
    if (!c.split) {
      c.bytes = static_cast<std::uint8_t>(m);
      touch(c, c.atomic, a, o);
    } else {
      std::uint32_t const index = clock_of(c.write);
      for (unsigned i = 0; i < 4; ++i)
        if (m >> i & 1) touch(o.splits[index].part[i], o.splits[index].atomic[i], a, o);
      if (a.writes && m == 15) {  // one history again
        bool const  atomic = o.splits[index].atomic[0];
        slots const whole  = o.splits[index].part[0];
        if (agent_of(whole.write) != many) {
          static_cast<slots&>(c) = whole;
          c.split = false, c.bytes = 15, c.atomic = atomic;
        }
      }
    }
    if (a.writes) c.set = (c.set | m) & 15u;
    at += n;
  }
}

/// Judges a plain access to one whole word where that is simple: nothing is wrong, and all that happened to the word before
/// is ordered by a barrier of the block or is the running thread's own. False where it must be looked at closely.
template <bool Write>
[[gnu::always_inline]] inline bool judge_word(cell& c, block_state const& b, std::uint32_t generation, bool heap,
                                              site_number at) {
  if (c.generation != generation) {
    if (!heap || c.valid != 15 || (!Write && c.set != 15)) return false;
    c.generation = generation;  // the launch's first access
    c.split = c.atomic = false;
    c.bytes            = 15;
    if constexpr (Write) {
      c.write = b.now, c.write_site = at, c.read = 0, c.set = 15;
    } else {
      c.read = b.now, c.read_site = at, c.write = 0;
    }
    return true;
  }
  if (c.bytes != 15 || c.atomic) return false;
  auto const settled = [&](epoch e) __attribute__((always_inline)) {
    std::uint32_t const u = agent_of(e) - b.first_agent;
    return e == 0 || u == b.me || (u < b.threads && clock_of(e) <= b.base[u]);
  };
  if constexpr (Write) {
    if (c.write == b.now && (c.read == b.now || c.read == 0)) return true;
    if (c.valid != 15 || !settled(c.write)) return false;
    if (agent_of(c.read) == many) {
      auto& readers = overflow_of(heap ? arena::heap_begin : 0).readers;
      if (!readers.settled(c.read)) return false;
      readers.drop(c.read);
    } else if (!settled(c.read)) {
      return false;
    }
    c.write = b.now, c.write_site = at, c.set = 15;
    if (c.read != b.now) c.read = 0;  // its own read just before does no harm, and is often repeated
  } else {
    if (c.read == b.now) return true;
    if (c.set != 15 || !settled(c.write)) return false;
    if (agent_of(c.read) != many && settled(c.read)) {
      c.read = b.now, c.read_site = at;
    } else {
      auto& readers = overflow_of(heap ? arena::heap_begin : 0).readers;
      if (agent_of(c.read) != many) c.read = readers.make(c.read, c.read_site);
      else if (readers.note(c.read, b, at)) return true;
      readers.add(c.read, b.now, at);
      c.read_site = at;
    }
  }
  return true;
}

/// A plain access by the running thread; false where something is wrong with it.
template <bool Write>
[[gnu::always_inline]] inline bool judge(std::size_t offset, std::size_t bytes, site_number at) {
  block_state const&  b          = running();
  bool const          heap       = offset >= arena::heap_begin;
  std::uint32_t const generation = heap ? b.launch_generation : b.block_generation;
  if (((offset | bytes) & 3) == 0) {
    cell*       c   = memory.shadow + offset / 4;
    cell* const end = c + bytes / 4;
    while (c != end && judge_word<Write>(*c, b, generation, heap, at)) ++c;
    if (c == end) return true;
  }
  access a{!Write, Write, false, at, offset, bytes};
  judge_cells(a);
  return !a.reported;
}

// ---- asynchronous copies through the async proxy ----------------------------------------------------------------------

/// A plain write that the copying engine touches must have passed a proxy fence (PTX ISA, "Async proxy"): of its writer
/// before a barrier, or of the thread that issues the copy.
inline void judge_proxy(access& a) {
  auto&       b          = running();
  auto const& o          = overflow_of(a.offset);
  auto const  has_passed = [&](slots const& s) {
    std::uint32_t const u = agent_of(s.write) - b.first_agent;
    return s.write == 0 || u >= b.threads || (b.mine->proxied && clock_of(s.write) <= (*b.mine->proxied)[u]);
  };
  auto const judge_slots = [&](slots const& s) {
    if (a.reported || has_passed(s)) return;
    a.reported = true;
    if (b.found.again(kind::missing_proxy_fence, a.at, s.write_site)) return;
    b.found.add(
        kind::missing_proxy_fence, level::error,
        {a.at,
         std::string(a.writes ? "asynchronous write of " : "asynchronous read of ") + std::to_string(a.bytes) +
             " bytes",
         b.my_name()},
        {s.write_site, "plain write before it", b.name_of(agent_of(s.write))}, bytes_of(a.offset, a.bytes),
        "Bulk copies go through the async proxy, which need not see plain writes, even behind a barrier. Missing: "
        "fence_proxy_async() by the writing threads after the write and before the barrier.");
  };
  for (std::size_t at = a.offset & ~std::size_t{3}; at < a.offset + a.bytes; at += 4) {
    cell const& c = memory.shadow[at / 4];
    if (c.generation != generation_of(a.offset)) continue;
    if (!c.split) judge_slots(c);
    else
      for (auto const& part : o.splits[clock_of(c.write)].part) judge_slots(part);
  }
}

/// The engine `by` goes on reading these bytes (whole words) until the running thread has waited for it.
inline void keep_reading(std::size_t offset, std::size_t bytes, epoch by, site_number at) {
  auto& o = overflow_of(offset);
  for (std::size_t i = offset / 4; i < (offset + bytes) / 4; ++i) {
    cell&      c    = memory.shadow[i];
    auto const mark = [&](slots& s) {
      if (s.read == 0) s.read = by, s.read_site = at;
      else add_to_set(s.read, s.read_site, by, at, o);
    };
    if (!c.split) mark(c);
    else
      for (unsigned k = 0; k < 4; ++k) {
        slots part = o.splits[clock_of(c.write)].part[k];  // the table may move while a set is made
        mark(part);
        o.splits[clock_of(c.write)].part[k] = part;
      }
  }
}

/// The bytes (whole words) belong to copy `number` until it arrives.
inline void put_in_flight(std::size_t offset, std::size_t bytes, std::uint32_t number) {
  for (std::size_t i = offset / 4; i < (offset + bytes) / 4; ++i) {
    cell& c = memory.shadow[i];
    if (c.generation != generation_of(offset)) continue;  // out of bounds, reported
    if (!c.split) overflow_of(offset).drop(c.read);
    forget(c);
    c.bytes = 15;
    c.set   = 15;
    c.write = make_epoch(in_flight, number);
  }
}

/// Copy `number` has arrived: its bytes were written at `as`.
inline void take_from_flight(std::size_t offset, std::size_t bytes, std::uint32_t number, epoch as, site_number at) {
  for (std::size_t i = offset / 4; i < (offset + bytes) / 4; ++i) {
    cell& x = memory.shadow[i];
    if (x.generation != generation_of(offset)) continue;
    auto const arrive = [&](slots& s) {
      if (s.write == make_epoch(in_flight, number)) s.write = as, s.write_site = at;
    };
    if (!x.split) arrive(x);
    else
      for (auto& part : overflow_of(offset).splits[clock_of(x.write)].part) arrive(part);
  }
}

}  // namespace tenon::simt::checked
