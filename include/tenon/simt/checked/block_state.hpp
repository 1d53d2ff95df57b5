#pragma once
//  The block that runs now: its threads, what they know of each other, and what each is waiting for.
#include <tenon/simt/checked/arena.hpp>
#include <tenon/simt/checked/clock.hpp>
#include <tenon/simt/checked/collector.hpp>
#include <tenon/simt/fiber.hpp>
#include <tenon/simt/session.hpp>
#include <tenon/simt/vocabulary.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace tenon::simt::checked {

enum class waiting : unsigned char { nothing, block_barrier, named_barrier, mbarrier, registers, collective, gone };

/// A cp.async on its way. Its bytes belong to it until its issuer waits for its group.
struct copy {
  std::uint32_t number;
  std::uint32_t group;
  std::size_t   to;  // arena offset
  void*         shared;
  void const*   from;
  unsigned      bytes, source_bytes;
  bool          delivered;
  site_number   at;
  unsigned char snapshot[16];  // the source when the copy was issued
};

struct thread_state {
  fiber                               context;
  uint3                               index;  // threadIdx
  std::uint32_t                       clock    = 1;
  std::uint32_t                       view_of  = 0;   // the barrier generation that `view` belongs to
  std::uint32_t                       view[32] = {};  // what it knows of its own warp
  std::shared_ptr<clocks const>       full;           // what it knows of its block, from atomics
  std::shared_ptr<known_blocks const> others;         // what it knows of other blocks
  knowledge                           released;       // at its last fence: what its relaxed atomics hand over
  knowledge                           pending;        // read by its relaxed atomics, known from its next fence on
  std::shared_ptr<clocks const>       proxied;        // what a proxy fence has shown to asynchronous copies
  waiting                             state       = waiting::nothing;
  site_number                         wait_site   = 0;
  unsigned                            wait_mask   = 0;
  char const*                         wait_for    = "";
  std::size_t                         wait_key    = 0;      // which barrier: id, or arena offset
  std::uint64_t                       wait_turn   = 0;      // the phase or turn that must end
  bool                                may_give_up = false;  // a test that suspends: it may return before the phase ends
  std::vector<copy>                   copies;
  std::uint32_t                       groups      = 0;  // of cp.async, committed
  std::uint32_t                       bulk_groups = 0;  // of bulk stores, committed
  void const*                         polled      = nullptr;
  std::uint64_t                       poll_value  = 0;
  std::uint32_t                       polls       = 0;
  std::uint64_t                       polled_at   = 0;  // scheduler::progress()
};

/// What all blocks of the launch have in common.
struct launch_state {
  check_options options;
  bool          alignment_matters = true;
  numerics      sums              = numerics::hopper;
  dim3          shape;  // of a block
  std::size_t   shared_bytes = 0;
  std::uint64_t seed         = 0;
  bool          trace        = false;
  site_number   without      = 0;  // of the operation that this launch leaves out
  std::uint32_t generation   = 0;
  collector     found;
  std::map<site_number, std::map<char const*, std::uint64_t>> operations;  // executed, where they are listed

  std::vector<uint3> block_index;      // by serial
  std::uint32_t      barriers    = 1;  // intervals between barriers, of all blocks
  std::uint32_t      generations = 0;  // launches and blocks so far
  std::uint64_t      events      = 0;  // what waiting threads may wait for: grows
};

inline launch_state& the_launch() {
  static auto* const l = new launch_state;
  return *l;
}

struct block_state {
  // Agents of a block: its threads, the 16 named barriers, then memory barriers and threads that issue bulk stores.
  static constexpr std::uint32_t named_barriers = 16, engines = 112;

  std::uint32_t threads = 0, agents = 0, live = 0, me = 0;
  std::uint32_t serial      = 0;  // of the block in its launch, in running order
  std::uint32_t first_agent = 0;
  thread_state* mine        = nullptr;
  epoch         now         = 0;  // mine
  std::uint32_t barriers    = 1;  // the interval between block barriers that runs
  clocks        base;             // of every agent, what every thread of the block knows

  std::uint32_t  launch_generation = 0, block_generation = 0;
  std::size_t    shared_bytes      = 0;
  bool           alignment_matters = true;
  launch_state&  launch            = the_launch();
  check_options& options           = launch.options;
  collector&     found             = launch.found;

  std::vector<thread_state> thread;

  /// A new block of the launch.
  void begin() {
    launch_generation = launch.generation;
    block_generation  = ++launch.generations;
    shared_bytes      = launch.shared_bytes;
    alignment_matters = launch.alignment_matters;
    threads           = static_cast<std::uint32_t>(launch.shape.count());
    agents            = threads + named_barriers + engines;
    serial            = static_cast<std::uint32_t>(launch.block_index.size());
    first_agent       = serial * agents;
    live              = threads;
    launch.block_index.push_back(blockIdx);
    base.assign(agents, 0);
    next_interval();
    thread.resize(threads);
    for (std::uint32_t u = 0; u < threads; ++u) {
      auto& t      = thread[u];
      auto  copies = std::move(t.copies);  // keeps its memory
      copies.clear();
      t        = thread_state{};
      t.copies = std::move(copies);
      t.index  = {u % launch.shape.x, u / launch.shape.x % launch.shape.y, u / launch.shape.x / launch.shape.y};
    }
  }
  void next_interval() { barriers = ++launch.barriers; }

  void become(std::uint32_t t) {
    me   = t;
    mine = &thread[t];
    now  = make_epoch(first_agent + t, mine->clock);
  }
  void tick() { now = make_epoch(first_agent + me, ++mine->clock); }

  /// The clock of agent u of this block that thread t knows.
  std::uint32_t knows(std::uint32_t t, std::uint32_t u) const {
    thread_state const& s = thread[t];
    if (t == u) return s.clock;
    std::uint32_t c = base[u];
    if (u < threads && t / 32 == u / 32 && s.view_of == barriers) c = std::max(c, s.view[u % 32]);
    if (s.full) c = std::max(c, (*s.full)[u]);
    return c;
  }

  /// Whether e, the epoch of an agent, happens before what the running thread does now.
  bool ordered(epoch e) const {
    std::uint32_t const u = agent_of(e) - first_agent, c = clock_of(e);
    if (u < agents) {
      if (c <= base[u] || u == me) return true;
      if (u < threads && u / 32 == me / 32 && mine->view_of == barriers && c <= mine->view[u % 32]) return true;
      return mine->full && c <= (*mine->full)[u];
    }
    std::uint32_t const b = agent_of(e) / agents;
    auto const&         o = mine->others;
    return o && b < o->size() && (*o)[b] && c <= (*(*o)[b])[agent_of(e) % agents];
  }

  std::string name_of(std::uint32_t agent) const {
    std::uint32_t const t = agent % agents, b = agent / agents;
    uint3 const         i = b < launch.block_index.size() ? launch.block_index[b] : uint3{};
    if (t >= threads) return "an asynchronous copy";
    return "thread " + std::to_string(t) + " (warp " + std::to_string(t / 32) + ", lane " + std::to_string(t % 32) +
           ") of block (" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ")";
  }
  /// Whether e is the epoch of a barrier or copying engine of this block.
  bool by_engine(epoch e) const {
    std::uint32_t const u = agent_of(e) - first_agent;
    return u >= threads && u < agents;
  }

  std::string my_name() const { return name_of(first_agent + me); }
};

/// Writes down what lanes of a warp do, where the block is recorded.
inline void note(deed what, std::uint32_t warp, unsigned lanes, char const* name, site_number at) {
  if (recording) the_recorder().note(what, warp, lanes, name, at);
}

inline constinit block_state* current = nullptr;  // set by residents.hpp

inline block_state& running() { return *current; }

/// The same for the running thread.
inline void note(deed what, char const* name, site_number at) {
  if (recording) note(what, running().me / 32, 1u << running().me % 32, name, at);
}

}  // namespace tenon::simt::checked
