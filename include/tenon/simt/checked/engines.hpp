#pragma once
//  Asynchronous copies that complete on a memory barrier or in bulk groups. Nobody runs them: they make their step when all
//  threads wait (late delivery), when they are issued (eager), or either (random).
#include <tenon/simt/checked/barriers.hpp>
#include <tenon/simt/checked/operations.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace tenon::simt::checked {

/// A bulk load on its way to shared memory.
struct bulk_load_job {
  std::uint32_t          number;       // of its copy_record
  std::size_t            to, barrier;  // arena offsets
  void const*            from;
  std::size_t            bytes;
  site_number            at;
  std::vector<std::byte> snapshot;  // the source when it was issued
};

/// cp.async of one thread, and the arrival that follows them.
struct copies_job {
  std::vector<copy> copies;
  std::size_t       barrier;
  std::uint32_t     thread;
  site_number       at;
};

/// A bulk store on its way to global memory. Groups are its issuer's.
struct bulk_store_job {
  std::uint32_t          number, thread, group;
  std::size_t            to;  // arena offset, or nowhere
  void*                  address;
  void const*            from;
  std::size_t            bytes;
  site_number            at;
  bool                   has_read = false, has_written = false;
  std::vector<std::byte> data;  // read, not yet written
};

struct engine_state {
  std::vector<bulk_load_job>  loads;
  std::vector<copies_job>     copies;
  std::vector<bulk_store_job> stores;
  void                        begin_block() { loads.clear(), copies.clear(), stores.clear(); }
};

inline constinit engine_state* engines_now = nullptr;  // set by residents.hpp
inline engine_state&           engines() { return *engines_now; }

/// Whether what is issued now arrives at once.
inline bool arrives_at_once() {
  auto const& o = running().options;
  return o.delivery == delivery::eager || (o.delivery == delivery::random && (scheduler::instance().random() & 1));
}

/// Whether `address` and `bytes` are what a bulk copy takes.
inline bool is_bulk(void const* address, std::size_t bytes, char const* what, site_number at) {
  auto& b = running();
  if (reinterpret_cast<std::uintptr_t>(address) % 16) report_misaligned(address, bytes, 16, what, at);
  if (bytes % 16 == 0) return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
  if (!b.found.again(kind::misaligned, at, 1))
    b.found.add(kind::misaligned, level::error,
                {at, std::string(what) + " of " + std::to_string(bytes) + " bytes", b.my_name()}, {1, "", ""},
                where_is(address, bytes), "A bulk copy takes a multiple of 16 bytes.");
  return false;
}

/// The arena offset of shared bytes, nowhere and a finding where they are not.
inline std::size_t shared_offset(void const* address, char const* what, site_number at) {
  auto&             b = running();
  std::size_t const o = memory.find(address);
  if (o != arena::nowhere && in_shared(o)) return o;
  if (!b.found.again(kind::out_of_bounds, at, 0))
    b.found.add(kind::out_of_bounds, level::error, {at, what, b.my_name()}, {},
                o == arena::nowhere ? "" : bytes_of(o, 16),
                std::string("The ") + what + "'s shared side is not in shared memory.");
  return arena::nowhere;
}

// ---- loads ------------------------------------------------------------------------------------------------------------------

/// The current phase of the barrier gains what an engine brings.
inline void complete_on(std::size_t barrier, std::size_t bytes, site_number at) {
  auto const found = barriers().memory.find(barrier);
  if (found == barriers().memory.end()) {
    report_barrier(at, "completion of an asynchronous copy",
                   "Its mbarrier has been given up while the copy was on its way.");
    return;
  }
  found->second.owed -= static_cast<std::int64_t>(bytes);
  found->second.arrive_at = at;
  settle_barrier(barrier, found->second);
}

/// The epoch of what completes in the barrier's current phase.
inline epoch phase_epoch(std::size_t barrier) {
  auto const found = barriers().memory.find(barrier);
  if (found == barriers().memory.end()) return running().now;
  return make_epoch(running().first_agent + found->second.agent, found->second.phase + 1);
}

inline void finish(bulk_load_job const& j) {
  note(deed::arrives, 0, 0, bulk_load_name, j.at);
  if (std::memcmp(j.snapshot.data(), j.from, j.bytes)) report_changed_source(j.from, j.bytes, bulk_load_name, j.at);
  std::memcpy(memory.at(j.to), j.from, j.bytes);
  take_from_flight(j.to, j.bytes, j.number, phase_epoch(j.barrier), j.at);
  complete_on(j.barrier, j.bytes, j.at);
}

inline void start_load(void* shared, void const* global, std::size_t bytes, void* barrier, site_number at) {
  auto& b = running();
  if (!barrier_at(barrier, bulk_load_name, at)) return;
  bool const        to_fits   = is_bulk(shared, bytes, bulk_load_name, at);
  bool const        from_fits = is_bulk(global, bytes, bulk_load_name, at);
  std::size_t const to        = shared_offset(shared, bulk_load_name, at);
  if (!to_fits || !from_fits || to == arena::nowhere) return complete_on(memory.find(barrier), bytes, at);
  if (std::size_t const from = memory.find(global); from != arena::nowhere) {
    access a{true, false, false, at, from, bytes};
    judge_proxy(a);
    judge_cells(a);
    if (a.outside) return complete_on(memory.find(barrier), bytes, at);
  }
  access a{false, true, false, at, to, bytes};
  judge_proxy(a);
  judge_cells(a);
  if (a.outside) return complete_on(memory.find(barrier), bytes, at);
  bulk_load_job j{static_cast<std::uint32_t>(shadows().copies.size()), to, memory.find(barrier), global, bytes, at, {}};
  auto const*   source = static_cast<std::byte const*>(global);
  j.snapshot.assign(source, source + bytes);
  note(deed::does, bulk_load_name, at);
  shadows().copies.push_back({b.me, at, bulk_load_name});
  put_in_flight(to, bytes, j.number);
  if (arrives_at_once()) return finish(j);
  std::memset(shared, 0xff, bytes);
  engines().loads.push_back(std::move(j));
}

inline void arrive_after_copies(void* barrier, site_number at) {
  auto&       b = running();
  auto* const m = barrier_at(barrier, "mbarrier_arrive_after_copies", at);
  if (!m) return;
  m->known.add();  // what the copies came after, those who wait for them come after as well
  copies_job j{std::move(b.mine->copies), memory.find(barrier), b.me, at};
  b.mine->copies.clear();
  engines().copies.push_back(std::move(j));
}

inline void finish(copies_job& j) {
  note(deed::arrives, 0, 0, cp_async_name, j.at);
  auto const found = barriers().memory.find(j.barrier);
  if (found == barriers().memory.end()) return complete_on(j.barrier, 0, j.at);
  auto& m = found->second;
  for (auto& c : j.copies) {
    if (std::memcmp(c.snapshot, c.from, c.source_bytes))
      report_changed_source(c.from, c.source_bytes, cp_async_name, c.at);
    deliver(c);
    if (c.to % 4 == 0) take_from_flight(c.to, c.bytes, c.number, phase_epoch(j.barrier), c.at);
  }
  m.arrive_at = j.at;
  if (m.pending == 0)
    report_barrier(j.at, "mbarrier_arrive_after_copies",
                   "More arrivals come than the barrier counts in a phase: " + needs(m) + ".");
  else --m.pending;
  settle_barrier(j.barrier, m);
}

/// One engine makes its step; false where none has anything to do.
inline bool engine_step() {
  auto&             e     = engines();
  std::size_t const total = e.loads.size() + e.copies.size();
  if (total == 0) return false;
  auto const  schedule = running().options.schedule;
  std::size_t i        = schedule == schedule::reversed ? total - 1
                         : schedule == schedule::random ? scheduler::instance().random() % total
                                                        : 0;
  if (i < e.loads.size()) {
    auto const j = std::move(e.loads[i]);
    e.loads.erase(e.loads.begin() + static_cast<std::ptrdiff_t>(i));
    finish(j);
  } else {
    i -= e.loads.size();
    auto j = std::move(e.copies[i]);
    e.copies.erase(e.copies.begin() + static_cast<std::ptrdiff_t>(i));
    finish(j);
  }
  return true;
}

// ---- stores -----------------------------------------------------------------------------------------------------------------

inline epoch store_epoch(std::uint32_t thread, std::uint32_t group, site_number at) {
  auto& agent = barriers().agent_of_thread[thread];
  if (agent == 0) agent = new_engine(at);
  return make_epoch(running().first_agent + agent, group + 1);
}

inline void read_source(bulk_store_job& j) {
  if (j.has_read) return;
  auto const* from = static_cast<std::byte const*>(j.from);
  j.data.assign(from, from + j.bytes);
  j.has_read = true;
}
inline void write_target(bulk_store_job& j) {
  if (j.has_written) return;
  std::memcpy(j.address, j.data.data(), j.bytes);
  j.has_written = true;
}
/// What the store wrote is the issuer's from now on.
inline void hand_over(bulk_store_job& j, epoch as) {
  if (j.to != arena::nowhere) take_from_flight(j.to, j.bytes, j.number, as, j.at);
}

inline void start_store(void* global, void const* shared, std::size_t bytes, site_number at) {
  auto&             b         = running();
  bool const        from_fits = is_bulk(shared, bytes, bulk_store_name, at);
  bool const        to_fits   = is_bulk(global, bytes, bulk_store_name, at);
  std::size_t const from      = shared_offset(shared, bulk_store_name, at);
  if (!from_fits || !to_fits || from == arena::nowhere) return;
  access reads{true, false, false, at, from, bytes};
  judge_proxy(reads);
  judge_cells(reads);
  if (reads.outside) return;
  bulk_store_job j{static_cast<std::uint32_t>(shadows().copies.size()),
                   b.me,
                   b.mine->bulk_groups,
                   memory.find(global),
                   global,
                   shared,
                   bytes,
                   at,
                   false,
                   false,
                   {}};
  if (j.to != arena::nowhere) {
    access writes{false, true, false, at, j.to, bytes};
    judge_proxy(writes);
    judge_cells(writes);
    if (writes.outside) return;
  }
  note(deed::does, bulk_store_name, at);
  shadows().copies.push_back({b.me, at, bulk_store_name});
  keep_reading(from, bytes, store_epoch(b.me, j.group, at), at);
  if (j.to != arena::nowhere) put_in_flight(j.to, bytes, j.number);
  if (arrives_at_once()) read_source(j), write_target(j);
  engines().stores.push_back(std::move(j));
}

inline void wait_for_stores(std::uint32_t pending, bool read_only) {
  auto&         b    = running();
  std::uint32_t done = 0;
  for (auto& j : engines().stores) {
    if (j.thread != b.me || j.group + pending >= b.mine->bulk_groups) continue;
    done = std::max(done, j.group + 1);
    read_source(j);
    if (read_only) continue;
    write_target(j);
    hand_over(j, b.now);
  }
  if (!read_only)
    std::erase_if(engines().stores,
                  [&](auto const& j) { return j.thread == b.me && j.group + pending < b.mine->bulk_groups; });
  if (done == 0) return;
  auto known                                 = std::make_shared<clocks>(b.agents);
  (*known)[barriers().agent_of_thread[b.me]] = done;
  b.mine->full                               = join(b.mine->full, std::shared_ptr<clocks const>(std::move(known)));
}

/// The running thread returns.
inline void abandon_stores() {
  auto& b = running();
  for (auto& j : engines().stores) {
    if (j.thread != b.me) continue;
    std::uint32_t const agent = barriers().agent_of_thread[b.me];
    if (b.knows(b.me, agent) > j.group) continue;  // its source has been waited for
    if (!b.found.again(kind::unwaited_copy, j.at, 0))
      b.found.add(kind::unwaited_copy, level::error,
                  {j.at, "bulk store still reading when its thread returns", b.my_name()}, {},
                  where_is(j.from, j.bytes),
                  "Shared memory ends with the block. Missing: bulk_commit() and bulk_wait_read<0>() by the thread "
                  "that issued it.");
  }
}

/// The last thread of the block has returned: nothing may be on its way but bulk stores that have read their source.
inline void end_engines() {
  auto& b = running();
  for (auto& j : engines().loads)
    if (!b.found.again(kind::unwaited_copy, j.at, 0))
      b.found.add(kind::unwaited_copy, level::error, {j.at, "bulk load still in flight when the block ends", {}}, {},
                  bytes_of(j.to, j.bytes), "Nobody waited for it. Missing: mbarrier_wait() for its phase.");
  for (auto& j : engines().copies)
    if (!b.found.again(kind::unwaited_copy, j.at, 0))
      b.found.add(kind::unwaited_copy, level::error, {j.at, "cp.async still in flight when the block ends", {}}, {}, {},
                  "Nobody waited for it. Missing: mbarrier_wait() for its phase.");
  for (auto& j : engines().stores) {
    read_source(j), write_target(j);
    hand_over(j, make_epoch(b.first_agent + j.thread, b.thread[j.thread].clock));
  }
  for (auto& [offset, m] : barriers().memory)
    if (m.owed != 0 && engines().loads.empty() && !b.found.has(kind::transaction_mismatch))
      b.found.add(kind::transaction_mismatch, level::error, {m.arrive_at, "last arrival at a barrier", {}},
                  {m.made_at, "initialised here", {}}, bytes_of_barrier(offset),
                  "The block ends in the middle of a phase: " + needs(m) +
                      ". mbarrier_expect() and the sizes of the copies must agree.");
  auto const& r = barriers().registers;
  for (std::size_t w = 0; w < r.size(); ++w)
    if (r[w] != r[w / 4 * 4] && !b.found.has(kind::divergent_collective))
      b.found.add(
          kind::divergent_collective, level::error, {}, {}, {},
          "The warps of a warpgroup end with different register counts; setmaxnreg is for all four warps of it.");
  engines().begin_block();
}

/// The running thread returns, the last one of its block or not.
inline void leave_engines(bool last) {
  abandon_stores();
  if (last) end_engines();
}

}  // namespace tenon::simt::checked
