#pragma once
//  Barriers that only some threads come to: the 16 named ones (bar.sync, bar.arrive) and memory barriers (mbarrier).
//
//  A barrier is an agent of its own, its clock the number of phases that have ended. Who passes phase n knows that clock, so
//  "has this thread passed phase n?" is the same question as "does that write happen before this read?". That finds two
//  kinds of misuse whatever the schedule was: a thread that comes for phase n + 1 without knowing that phase n has ended
//  could as well have been counted in phase n; and a phase that ends before everyone who waited for the one before it has
//  been seen to pass may overtake a waiter, who then finds the wrong parity.
#include <tenon/simt/checked/scheduler.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tenon::simt::checked {

/// What the threads that arrive in a phase know, and so what those who pass it learn.
class gathering {
 public:
  /// The running thread arrives; what it does next is of a later clock.
  void add() {
    auto& b = running();
    if (own_.size() != b.agents) own_.assign(b.agents, 0);
    thread_state const& t = *b.mine;
    raise(b.base);
    if (t.view_of == b.barriers) {
      std::uint32_t const first = b.me / 32 * 32, n = std::min(32u, b.threads - first);
      for (std::uint32_t l = 0; l < n; ++l) own_[first + l] = std::max(own_[first + l], t.view[l]);
    }
    if (t.full) raise(*t.full);
    own_[b.me] = std::max(own_[b.me], t.clock);
    others_    = join(others_, t.others);
    proxied_   = join(proxied_, t.proxied);
    b.tick();
  }
  void set(std::uint32_t agent, std::uint32_t clock) {
    if (own_.size() != running().agents) own_.assign(running().agents, 0);
    own_[agent] = clock;
  }
  std::uint32_t knows(std::uint32_t agent) const { return agent < own_.size() ? own_[agent] : 0; }

  /// The phase has ended: from here on this is what learn() teaches. Later phases know what earlier ones did.
  void close() {
    taught_ = std::make_shared<clocks>(own_);
    from_ = to_ = nullptr;
  }
  void teach(thread_state& t) const {
    if (!t.full) t.full = taught_;
    else if (t.full == from_ && to_) t.full = to_;
    else from_ = t.full, to_ = t.full = join(t.full, taught_);
    t.others  = join(t.others, others_);
    t.proxied = join(t.proxied, proxied_);
  }

 private:
  void raise(clocks const& by) {
    for (std::size_t u = 0; u < own_.size(); ++u) own_[u] = std::max(own_[u], by[u]);
  }

  clocks                                own_;
  std::shared_ptr<clocks const>         taught_, proxied_;
  std::shared_ptr<known_blocks const>   others_;
  mutable std::shared_ptr<clocks const> from_, to_;  // threads that pass together mostly know the same
};

// ---- named barriers -------------------------------------------------------------------------------------------------------

struct named_barrier {
  std::uint32_t              turn  = 0;  // times it has opened
  int                        count = 0;  // threads that this turn takes
  std::vector<std::uint32_t> here;
  site_number                at = 0, opened_at = 0;  // of the first to come, and of the last one of the turn before
  gathering                  known;
};

struct memory_barrier {
  std::uint32_t agent    = 0;
  std::uint32_t phase    = 0;  // phases that have ended
  std::int64_t  arrivals = 0, pending = 0, owed = 0;
  epoch         made    = 0;  // when it was initialised
  site_number   made_at = 0, arrive_at = 0;
  std::uint64_t opaque = 0;  // what its bytes must hold
  gathering     known;
  struct observer {
    std::uint32_t thread, clock;
    site_number   at;
  };
  std::vector<observer> observers;  // who has passed the phase that ended last
};

struct barrier_state {
  named_barrier                          named[16];
  std::map<std::size_t, memory_barrier>  memory;                            // by arena offset
  std::uint32_t                          engines = 0;                       // agents given out
  std::map<std::size_t, std::uint32_t>   agent_of_offset, phase_of_offset;  // outlive a barrier that is made anew
  std::map<std::uint32_t, std::uint32_t> agent_of_thread;                   // that issues bulk stores
  std::vector<int>                       registers;                         // per thread of each warp
  long                                   free_registers = 0;

  void begin_block() { *this = barrier_state{}; }
};

inline constinit barrier_state* barriers_now = nullptr;  // set by residents.hpp
inline barrier_state&           barriers() { return *barriers_now; }

/// A new agent of the block for a barrier or for a thread's stores.
inline std::uint32_t new_engine(site_number at) {
  auto& b = running();
  auto& s = barriers();
  if (s.engines < block_state::engines) return b.threads + block_state::named_barriers + s.engines++;
  if (!b.found.again(kind::not_checked, at, 0))
    b.found.add(kind::not_checked, level::incomplete, {at, "mbarrier_init", b.my_name()}, {}, {},
                "A block has more than " + std::to_string(block_state::engines) +
                    " mbarriers and threads that issue bulk stores; the checker keeps apart no more.");
  return b.agents - 1;
}

inline void report_barrier(site_number at, char const* what, std::string message, site_number other_at = 0,
                           char const* other = "", std::string other_thread = {}) {
  auto& b = running();
  if (b.found.again(kind::barrier_misuse, at, other_at)) return;
  side there;
  if (other_at) there = {other_at, other, std::move(other_thread)};
  b.found.add(kind::barrier_misuse, level::error, {at, what, b.my_name()}, std::move(there), {}, std::move(message));
}

inline void come_to_named(int id, int threads, bool wait, site_number at) {
  auto&             b    = running();
  char const* const name = wait ? "sync_named" : "arrive_named";
  if (id < 0 || id > 15) {
    report_barrier(at, name, "The barrier's number is " + std::to_string(id) + "; there are 0 to 15.");
    return;
  }
  if (threads <= 0 || threads % 32 || static_cast<std::uint32_t>(threads) > (b.threads + 31) / 32 * 32) {
    report_barrier(at, name,
                   "The barrier takes " + std::to_string(threads) +
                       " threads; the count must be a multiple of 32 and at most the block's " +
                       std::to_string(b.threads) + ".");
    return;
  }
  auto&               n     = barriers().named[id];
  std::uint32_t const agent = b.threads + static_cast<std::uint32_t>(id);
  if (n.here.empty()) n.count = threads, n.at = at;
  else if (n.count != threads)
    report_barrier(at, name,
                   "Threads come to barrier " + std::to_string(id) + " with counts " + std::to_string(threads) +
                       " and " + std::to_string(n.count) + "; all who meet must name one count.",
                   n.at, "came first", b.name_of(b.first_agent + n.here.front()));
  if (b.knows(b.me, agent) < n.turn)
    report_barrier(
        at, name,
        "This thread comes to barrier " + std::to_string(id) +
            " without having passed its last turn, so it could have been counted in that. Either the count (" +
            std::to_string(threads) +
            ") is smaller than the number of threads that come, or two groups of warps use one number at a time.",
        n.opened_at, "last turn", {});
  if (!wait) note(deed::does, name, at);
  n.known.add();
  n.here.push_back(b.me);
  if (n.here.size() < static_cast<std::size_t>(n.count)) {
    if (wait) {
      scheduler::instance().wait(waiting::named_barrier, at, "sync_named", static_cast<std::size_t>(id), n.turn);
      n.known.teach(*b.mine);
    }
    return;
  }
  // A warp comes as one: all its live lanes, or none.
  for (std::uint32_t const t : n.here)
    for (std::uint32_t u = t / 32 * 32; u < std::min(b.threads, t / 32 * 32 + 32); ++u)
      if (b.thread[u].state != waiting::gone && std::find(n.here.begin(), n.here.end(), u) == n.here.end() &&
          !b.found.again(kind::divergent_barrier, at, 1))
        b.found.add(kind::divergent_barrier, level::error, {at, name, b.my_name()},
                    {1, "missing lane of a warp that came", b.name_of(b.first_agent + u)}, {},
                    "A named barrier counts whole warps. Move it out of the branch.");
  ++n.turn;
  n.known.set(agent, n.turn);
  n.known.close();
  n.here.clear();
  n.opened_at = at;
  scheduler::instance().wake(waiting::named_barrier, [&](thread_state const& t) {
    return t.wait_key == static_cast<std::size_t>(id) && t.wait_turn < n.turn;
  });
  n.known.teach(*b.mine);
}

// ---- memory barriers -------------------------------------------------------------------------------------------------------

inline region bytes_of_barrier(std::size_t offset) { return bytes_of(offset, 8); }

/// What a barrier waits for, in words.
inline std::string needs(memory_barrier const& m) {
  std::string text = "phase " + std::to_string(m.phase) + " (parity " + std::to_string(m.phase & 1) + ") has " +
                     std::to_string(m.arrivals - m.pending) + " of " + std::to_string(m.arrivals) + " arrivals";
  if (m.owed > 0) text += " and " + std::to_string(m.owed) + " bytes are still expected";
  if (m.owed < 0) text += " and " + std::to_string(-m.owed) + " bytes more than expected have come";
  return text;
}

inline void stamp(std::size_t offset, memory_barrier& m) {
  m.opaque = (std::uint64_t{0xb411e400} << 32) ^ (m.phase * 0x9e3779b97f4a7c15u) ^
             static_cast<std::uint64_t>(m.pending) << 20 ^ static_cast<std::uint64_t>(m.owed);
  std::memcpy(memory.at(offset), &m.opaque, 8);
}

inline void init_barrier(void* address, int arrivals, site_number at) {
  auto&             b = running();
  std::size_t const o = memory.find(address);
  if (o == arena::nowhere || !in_shared(o) || o % 8) {
    report_barrier(at, "mbarrier_init", "A memory barrier is eight bytes of shared memory, aligned to eight.");
    return;
  }
  if (arrivals < 1 || arrivals >= 1 << 20)
    report_barrier(at, "mbarrier_init",
                   "The barrier counts " + std::to_string(arrivals) + " arrivals; 1 to 1048575 are allowed.");
  auto& s = barriers();
  if (auto const old = s.memory.find(o); old != s.memory.end())
    report_barrier(at, "mbarrier_init",
                   "The barrier is initialised again without mbarrier_invalidate() in between, which is undefined.",
                   old->second.made_at, "initialised before", {});
  access a{false, true, false, at, o, 8};
  judge_cells(a);
  auto& agent = s.agent_of_offset[o];
  if (agent == 0) agent = new_engine(at);
  memory_barrier m;
  m.agent = agent, m.phase = 0, m.arrivals = m.pending = arrivals;
  m.made = b.now, m.made_at = at;
  note(deed::does, "mbarrier_init", at);
  auto& slot = s.memory[o] = std::move(m);
  stamp(o, slot);
}

/// The barrier at this address; null, and a finding, where there is none that this thread may use.
inline memory_barrier* barrier_at(void* address, char const* what, site_number at) {
  auto&             b     = running();
  std::size_t const o     = memory.find(address);
  auto const        found = o == arena::nowhere ? barriers().memory.end() : barriers().memory.find(o);
  if (found == barriers().memory.end()) {
    report_barrier(at, what,
                   "There is no initialised mbarrier at this address. Missing: mbarrier_init() by one thread and "
                   "sync_block() before its first use.");
    return nullptr;
  }
  auto& m = found->second;
  if (!b.ordered(m.made) && !b.found.again(kind::read_after_write, at, m.made_at))
    b.found.add(
        kind::read_after_write, level::error, {at, what, b.my_name()},
        {m.made_at, "mbarrier_init before it", b.name_of(agent_of(m.made))}, bytes_of_barrier(o),
        "The barrier's initialisation is not visible to this thread. Missing: sync_block() after mbarrier_init().");
  std::uint64_t now;
  std::memcpy(&now, memory.at(o), 8);
  if (now != m.opaque) {
    report_barrier(at, what, "Something has overwritten the barrier's eight bytes.", m.made_at, "initialised here", {});
    stamp(o, m);
  }
  return &m;
}

/// Ends the phase if nothing is missing any more.
inline void settle_barrier(std::size_t offset, memory_barrier& m) {
  auto& b = running();
  if (m.pending > 0 || m.owed != 0) return stamp(offset, m);
  for (auto const& w : m.observers)
    if (m.known.knows(w.thread) < w.clock && !b.found.again(kind::phase_overtaken, m.arrive_at, w.at))
      b.found.add(
          kind::phase_overtaken, level::error,
          {m.arrive_at, "arrival that ends phase " + std::to_string(m.phase), b.my_name()},
          {w.at, "wait for the phase before", b.name_of(b.first_agent + w.thread)}, bytes_of_barrier(offset),
          "Nothing orders this arrival after that thread's wait: the phase may end before the waiter has looked, who "
          "then "
          "finds the wrong parity. Missing: a wait for the consumers (an empty barrier) before the next arrival.");
  if (m.phase > 0 && m.observers.empty() && !b.found.again(kind::phase_overtaken, m.arrive_at, 0))
    b.found.add(kind::phase_overtaken, level::error,
                {m.arrive_at, "arrival that ends phase " + std::to_string(m.phase), b.my_name()}, {},
                bytes_of_barrier(offset),
                "Nobody has waited for the phase before it: what that phase announced was never looked at.");
  ++m.phase;
  m.pending = m.arrivals;
  m.observers.clear();
  m.known.set(m.agent, m.phase);
  m.known.close();
  stamp(offset, m);
  scheduler::instance().wake(waiting::mbarrier,
                             [&](thread_state const& t) { return t.wait_key == offset && t.wait_turn < m.phase; });
}

inline void observe(memory_barrier& m, site_number at) {
  auto& b = running();
  m.known.teach(*b.mine);
  for (auto& w : m.observers)
    if (w.thread == b.me) return void(w = {b.me, b.mine->clock, at});
  m.observers.push_back({b.me, b.mine->clock, at});
}

inline void arrive_at_barrier(void* address, int count, int expected, char const* what, site_number at) {
  auto* const m = barrier_at(address, what, at);
  if (!m) return;
  std::size_t const o = memory.find(address);
  if (expected < 0 || expected >= 1 << 20) {
    report_barrier(at, what, "It expects " + std::to_string(expected) + " bytes; 0 to 1048575 are allowed.");
    expected = 0;
  }
  note(deed::does, what, at);
  m->owed += expected;
  if (count > 0) {
    m->known.add();
    m->arrive_at = at;
    if (count > m->pending) {
      report_barrier(at, what,
                     "More threads arrive than the barrier counts in a phase: " + needs(*m) +
                         ". The count given to mbarrier_init() is too small, or a thread arrives twice.",
                     m->made_at, "initialised here", {});
      count = static_cast<int>(m->pending);
    }
    m->pending -= count;
  }
  settle_barrier(o, *m);
}

/// The phase that a wait for `parity` means, counted from 1 when it has ended; whether it has.
inline bool has_ended(memory_barrier const& m, unsigned parity) { return (m.phase & 1) != (parity & 1); }

inline bool test_barrier(void* address, unsigned parity, bool suspend, bool for_ever, char const* what,
                         site_number at) {
  auto* const m = barrier_at(address, what, at);
  if (!m) return true;
  auto&             b = running();
  std::size_t const o = memory.find(address);
  if (!has_ended(*m, parity)) {
    if (suspend) {
      b.mine->may_give_up = !for_ever;
      scheduler::instance().wait(waiting::mbarrier, at, what, o, m->phase);
    } else {
      scheduler::instance().poll(at, what, o, m->phase);
    }
    auto const again = barriers().memory.find(o);  // it may be gone by now
    if (again == barriers().memory.end() || !has_ended(again->second, parity)) return false;
    observe(again->second, at);
    return true;
  }
  observe(*m, at);
  return true;
}

inline void invalidate_barrier(void* address, site_number at) {
  auto* const m = barrier_at(address, "mbarrier_invalidate", at);
  if (!m) return;
  if (m->owed != 0 || m->pending != m->arrivals)
    report_barrier(at, "mbarrier_invalidate", "The barrier is given up in the middle of a phase: " + needs(*m) + ".",
                   m->made_at, "initialised here", {});
  for (auto const& w : m->observers)
    if (!running().ordered(make_epoch(running().first_agent + w.thread, w.clock)))
      report_barrier(at, "mbarrier_invalidate",
                     "A thread may still be waiting on the barrier. Missing: sync_block() before it.", w.at, "wait",
                     running().name_of(running().first_agent + w.thread));
  barriers().memory.erase(memory.find(address));
}

/// What a deadlocked thread waits for, where it is a barrier; and whether only bytes are missing or too many.
inline std::string describe_wait(thread_state const& t) {
  if (t.state == waiting::named_barrier) {
    auto const& n = barriers().named[t.wait_key];
    return ", barrier " + std::to_string(t.wait_key) + ": " + std::to_string(n.here.size()) + " of " +
           std::to_string(n.count) + " threads have come";
  }
  if (t.state == waiting::mbarrier) {
    auto const m = barriers().memory.find(t.wait_key);
    return m == barriers().memory.end() ? ""
                                        : ", " + std::string(bytes_of_barrier(t.wait_key)) + ": " + needs(m->second);
  }
  return "";
}

inline bool only_bytes_are_wrong(thread_state const& t) {
  if (t.state != waiting::mbarrier) return false;
  auto const m = barriers().memory.find(t.wait_key);
  return m != barriers().memory.end() && m->second.pending == 0 && m->second.owed != 0;
}

// ---- registers ----------------------------------------------------------------------------------------------------------------

constexpr long registers_of_a_block = 65536;

/// setmaxnreg by the whole running warp.
inline void set_warp_registers(int n, bool increase, site_number at) {
  auto&             b    = running();
  auto&             s    = barriers();
  char const* const what = increase ? "increase_registers" : "decrease_registers";
  if (s.registers.empty()) {
    int const each =
        static_cast<int>(std::min(registers_of_a_block / static_cast<long>((b.threads + 31) / 32 * 32), 255L)) & ~7;
    s.registers.assign((b.threads + 31) / 32, each);
    s.free_registers = 0;  // what a launch does not hand out is not the block's to take
  }
  int& mine = s.registers[b.me / 32];
  if (n < 24 || n > 256 || n % 8) {
    report_barrier(at, what, std::to_string(n) + " registers a thread: 24 to 256 in steps of 8 are allowed.");
    return;
  }
  if (increase ? n < mine : n > mine)
    report_barrier(at, what,
                   "The warp has " + std::to_string(mine) + " registers a thread already, and asks for " +
                       std::to_string(n) + (increase ? " by an increase." : " by a decrease."));
  long const more = 32L * (n - mine);
  while (more > s.free_registers)
    scheduler::instance().wait(waiting::registers, at, what, static_cast<std::size_t>(more), 0);
  s.registers[b.me / 32] = n;
  s.free_registers -= more;
  if (more < 0)
    scheduler::instance().wake(
        waiting::registers, [&](thread_state const& t) { return static_cast<long>(t.wait_key) <= s.free_registers; });
}

}  // namespace tenon::simt::checked
