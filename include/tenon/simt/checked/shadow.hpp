#pragma once
//  One access against what is known of its bytes: bounds, initialisation, races.
#include <tenon/simt/checked/block_state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tenon::simt::checked {

struct access {
  bool        reads, writes, atomic;
  site_number at;
  std::size_t offset, bytes;  // in the arena
  bool        reported = false;
};

/// Threads whose accesses nothing orders among each other: the readers since the last write, or the atomics that wrote
/// last. Exact for the block that runs; of earlier blocks one stands for all. Barriers end what threads read, but not what
/// asynchronous copies do.
class reader_set {
 public:
  struct who {
    epoch       e    = 0;
    site_number site = 0;
  };

  reader_set(epoch e, site_number site) : block_(running().serial), barriers_(running().barriers) {
    if (running().by_engine(e)) engines_.push_back({e, site});
    else if (agent_of(e) - running().first_agent < running().threads) few_[count_++] = {e, site};
    else earlier_ = {e, site};
  }

  void add(epoch e, site_number site) {
    auto const& b = running();
    if (b.by_engine(e)) {
      for (auto& x : engines_)
        if (agent_of(x.e) == agent_of(e)) return void(x = {e, site});
      return engines_.push_back({e, site});
    }
    if (barriers_ != b.barriers) {  // barriers are counted on from block to block
      // Readers of this block before the barrier happen before e: what is ordered after e is ordered after them.
      if (block_ != b.serial && count_) earlier_ = few_[0];
      restart();
    }
    for (std::uint32_t i = 0; i < std::min(count_, few); ++i)
      if (agent_of(few_[i].e) == agent_of(e)) {
        few_[i] = {e, site};
        return;
      }
    if (count_ < few) {
      few_[count_++] = {e, site};
      return;
    }
    std::uint32_t const t = agent_of(e) - b.first_agent;
    if (more_.size() != b.threads) more_.assign(b.threads, {});
    if (more_[t].e == 0) ++count_;
    more_[t] = {e, site};
  }

  /// Whether e, the running thread's present, is in it.
  bool holds(epoch e) const {
    for (std::uint32_t i = 0; i < std::min(count_, few); ++i)
      if (few_[i].e == e) return true;
    return count_ > few && more_[running().me].e == e;
  }

  /// One that does not happen before the running thread's present.
  who unordered() const {
    auto const& b = running();
    if (earlier_.e && !b.ordered(earlier_.e)) return earlier_;
    for (auto const& x : engines_)
      if (!b.ordered(x.e)) return x;
    if (block_ == b.serial && barriers_ != b.barriers) return {};
    for (std::uint32_t i = 0; i < std::min(count_, few); ++i)
      if (!b.ordered(few_[i].e)) return few_[i];
    if (count_ > few && block_ == b.serial)
      for (auto const& x : more_)
        if (x.e && !b.ordered(x.e)) return x;
    return {};
  }
  bool settled() const {
    return !earlier_.e && engines_.empty() && block_ == running().serial && barriers_ != running().barriers;
  }

 private:
  static constexpr std::uint32_t few = 6;

  void restart() {
    if (count_ > few) more_.clear();
    count_ = 0;
    block_ = running().serial, barriers_ = running().barriers;
  }

  std::uint32_t    block_, barriers_;
  std::uint32_t    count_ = 0;
  who              earlier_;
  who              few_[few];
  std::vector<who> more_;     // by thread, once there are more than a few
  std::vector<who> engines_;  // asynchronous copies that read
};

struct split_cell {
  slots part[4]   = {};
  bool  atomic[4] = {};
};

/// What outgrows a cell, for shared memory until the block ends, for the heap until the launch ends.
struct overflow {
  std::vector<reader_set> sets;
  std::vector<split_cell> splits;
  void                    clear() { sets.clear(), splits.clear(); }
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
  overflow                 of_shared, of_heap;
  std::vector<copy_record> copies;  // of this block, by number
};
inline constinit shadow_state* shadow_now = nullptr;  // made by the first launch
inline shadow_state&           shadows() { return *shadow_now; }

inline bool      in_shared(std::size_t offset) { return offset < arena::heap_begin; }
inline overflow& overflow_of(std::size_t offset) { return in_shared(offset) ? shadows().of_shared : shadows().of_heap; }
inline std::uint32_t generation_of(std::size_t offset) {
  return in_shared(offset) ? running().block_generation : running().launch_generation;
}

// ---- words --------------------------------------------------------------------------------------------------------

inline std::string describe(access const& a) {
  return std::string(a.atomic ? "atomic " : "") + (a.writes ? "write" : "read") + " of " + std::to_string(a.bytes) +
         (a.bytes == 1 ? " byte" : " bytes");
}

inline std::string bytes_of(std::size_t offset, std::size_t bytes) {
  auto const range = [](std::size_t from, std::size_t n) {
    return "[" + std::to_string(from) + ", " + std::to_string(from + n) + ")";
  };
  if (offset < arena::static_span) return "static shared memory (a __shared__ variable)";
  if (in_shared(offset)) {
    if (offset < arena::shared_begin)
      return "shared memory, " + std::to_string(arena::shared_begin - offset) + " bytes before its begin";
    return "shared memory, bytes " + range(offset - arena::shared_begin, bytes) + " of " +
           std::to_string(running().shared_bytes);
  }
  auto found = memory.nearest(offset);
  auto next  = memory.allocations().upper_bound(offset);
  if (next != memory.allocations().end() &&
      (found == memory.allocations().end() || offset - found->first >= found->second.bytes + arena::red_zone / 2))
    return std::to_string(next->first - offset) + " bytes before buffer " + std::to_string(next->second.number) +
           " of " + std::to_string(next->second.bytes) + " bytes";
  if (found == memory.allocations().end()) return "device memory outside every buffer";
  auto const& a    = found->second;
  std::string text = "buffer " + std::to_string(a.number) + (a.live ? "" : " (freed)") + ", bytes " +
                     range(offset - found->first, bytes) + " of " + std::to_string(a.bytes);
  if (a.element_bytes > 1)
    text += ", from element " + std::to_string((offset - found->first) / a.element_bytes) + " of " +
            std::to_string(a.bytes / a.element_bytes);
  return text;
}

inline std::string missing_edge(std::uint32_t other_agent, bool copied, kind what) {
  auto const&         b     = running();
  char const* const   where = what == kind::read_after_write   ? "between the write and the read"
                              : what == kind::write_after_read ? "after the read, before the bytes are written again"
                                                               : "between the two writes";
  std::uint32_t const u     = other_agent - b.first_agent;
  if (u >= b.threads && u < b.agents)
    return what == kind::write_after_read ? "A bulk store may still be reading these bytes. Missing: bulk_commit() and "
                                            "bulk_wait_read<0>() by the thread "
                                            "that issued it, then a barrier, before they are written again."
                                          : "The bytes come by a bulk load. Missing: a wait for that phase of its "
                                            "mbarrier (check the parity) by this "
                                            "thread, or by one that meets it at a barrier afterwards.";
  if (copied)
    return "cp_async_wait makes the copied bytes visible to the thread that issued the copy only. Missing: "
           "sync_block() (or sync_warp() within the warp) after the wait.";
  if (u >= b.threads)
    return "Blocks of one launch run in any order. Missing: an atomic for the access itself, a hand-over (fence and "
           "atomic, atomic_add_ordered, store_release and load_acquire), or a second launch.";
  if (u / 32 == b.me / 32)
    return std::string(
               "Lanes of a warp do not run in lock-step, and shuffles, votes, ldmatrix and mma order no memory. "
               "Missing: sync_warp() or sync_block() ") +
           where + ".";
  return std::string("The two threads are of different warps. Missing: sync_block() ") + where + ".";
}

// ---- reports ------------------------------------------------------------------------------------------------------

inline void report_access(kind what, access& a, char const* message) {
  if (a.reported) return;
  a.reported = true;
  auto& b    = running();
  if (b.found.again(what, a.at, 0)) return;
  b.found.add(what, level::error, {a.at, describe(a), b.my_name()}, {}, bytes_of(a.offset, a.bytes), message);
}

inline void report_race(kind what, access& a, reader_set::who other, bool other_atomic) {
  if (a.reported) return;
  a.reported           = true;
  auto&      b         = running();
  bool const by_engine = b.by_engine(other.e);
  if (b.found.again(by_engine ? kind::unwaited_copy : what, a.at, other.site)) return;
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
              {other.site, was, b.name_of(agent_of(other.e))}, bytes_of(a.offset, a.bytes),
              missing_edge(agent_of(other.e), copied, what));
}

inline void report_in_flight(access& a, std::uint32_t number) {
  if (a.reported) return;
  a.reported    = true;
  auto&      b  = running();
  auto const by = shadows().copies[number];
  if (b.found.again(kind::unwaited_copy, a.at, by.at)) return;
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
              bytes_of(a.offset, a.bytes), message);
}

// ---- the rules ----------------------------------------------------------------------------------------------------

inline reader_set::who unordered(epoch e, site_number site, overflow const& o) {
  if (e == 0) return {};
  if (agent_of(e) == many) return o.sets[clock_of(e)].unordered();
  return running().ordered(e) ? reader_set::who{} : reader_set::who{e, site};
}

inline void add_to_set(epoch& e, site_number& site, epoch by, site_number mine, overflow& o) {
  if (agent_of(e) != many) {
    o.sets.emplace_back(e, site);
    e = make_epoch(many, static_cast<std::uint32_t>(o.sets.size() - 1));
  }
  o.sets[clock_of(e)].add(by, mine);
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
  auto       before = agent_of(s.write) == agent_of(now) ? reader_set::who{} : unordered(s.write, s.write_site, o);
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
  s.read = 0;
  if (before.e && concurrent_atomics) add_to_set(s.write, s.write_site, now, a.at, o);
  else s.write = now, s.write_site = a.at;
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
  if (!in_shared(offset)) return;
  c.set = 0;
  if (offset < arena::static_span) {
    c.valid = 15;
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
    if (agent_of(e) == many) return o.sets[clock_of(e)].settled();
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
      if (agent_of(*e) == many) {
        o.sets.push_back(reader_set(o.sets[clock_of(*e)]));
        *e = make_epoch(many, static_cast<std::uint32_t>(o.sets.size() - 1));
      }
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
      report_access(kind::out_of_bounds, a,
                    in_shared(a.offset)
                        ? "The launch gave the block fewer bytes of shared memory, or an index went too far."
                        : "An index, an extent or a stride goes beyond the buffer; check the tail's guard.");
      return;
    }
    if ((!a.writes || a.atomic) && (m & ~unsigned{c.set}) && agent_of(c.write) != in_flight)
      report_access(
          kind::uninitialised_read, a,
          "Nobody wrote these bytes. Missing: a write before it (by some thread of the block for shared memory, "
          "by the host or an earlier launch for a buffer).");
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

/// A plain access by the running thread. Repetition within one epoch is the common case and costs one comparison a cell.
template <bool Write>
[[gnu::always_inline]] inline void judge(std::size_t offset, std::size_t bytes, site_number at) {
  block_state const&  b          = running();
  std::uint32_t const generation = offset < arena::heap_begin ? b.block_generation : b.launch_generation;
  if (((offset | bytes) & 3) == 0) {
    cell const* c = memory.shadow + offset / 4;
    for (cell const* const end = c + bytes / 4;; ++c) {
      if (c == end) return;
      if (c->generation != generation || c->bytes != 15) break;
      if constexpr (Write) {
        if (c->write != b.now || c->read != 0 || c->atomic) break;
      } else if (c->read != b.now) {
        if (agent_of(c->read) != many || !overflow_of(offset).sets[clock_of(c->read)].holds(b.now)) break;
      }
    }
  }
  access a{!Write, Write, false, at, offset, bytes};
  judge_cells(a);
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
