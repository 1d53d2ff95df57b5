#pragma once
//  Copies, atomics and fences of a checked run.
#include <tenon/simt/checked/scheduler.hpp>
#include <tenon/simt/machine.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tenon::simt::checked {

// ---- knowledge in motion ------------------------------------------------------------------------------------------

/// Adds what `from` tells of its block to what is known of other blocks.
inline std::shared_ptr<known_blocks const> with_block(std::shared_ptr<known_blocks const> const& others,
                                                      std::uint32_t block, std::shared_ptr<clocks const> const& known) {
  if (!known) return others;
  auto all = others ? std::make_shared<known_blocks>(*others) : std::make_shared<known_blocks>();
  if (all->size() <= block) all->resize(block + 1);
  (*all)[block] = join((*all)[block], known);
  return all;
}

inline void merge(knowledge& to, knowledge const& from) {
  if (from.empty()) return;
  if (to.empty()) {
    to = from;
    return;
  }
  if (to.block == from.block) {
    to.own     = join(to.own, from.own);
    to.device  = join(to.device, from.device);
    to.others  = join(to.others, from.others);
    to.proxied = join(to.proxied, from.proxied);
  } else {
    to.others  = join(with_block(to.others, to.block, to.device), from.others);
    to.proxied = from.proxied;
    to.block   = from.block;
    to.own     = from.own;
    to.device  = from.device;
  }
}

inline void learn(knowledge const& k) {
  if (k.empty()) return;
  auto& b = running();
  if (k.block == b.serial) {
    b.mine->full    = join(b.mine->full, k.own);
    b.mine->proxied = join(b.mine->proxied, k.proxied);
  } else {
    b.mine->others = with_block(b.mine->others, k.block, k.device);
  }
  b.mine->others = join(b.mine->others, k.others);
}

/// What the running thread knows now; its next accesses are of a later clock.
inline knowledge release(scope how_far) {
  auto&     b = running();
  auto      c = std::make_shared<clocks>(b.agents);
  knowledge k;
  for (std::uint32_t u = 0; u < b.agents; ++u) (*c)[u] = b.knows(b.me, u);
  k.block   = b.serial;
  k.own     = c;
  k.device  = how_far == scope::device ? k.own : nullptr;
  k.others  = b.mine->others;
  k.proxied = b.mine->proxied;
  b.tick();
  return k;
}

/// At a block barrier: everyone knows of other blocks what anyone does, and a fence before it serves everyone after it.
inline void scheduler::share_knowledge() {
  auto&                               b = running();
  std::shared_ptr<known_blocks const> others;
  std::shared_ptr<clocks const>       proxied;
  knowledge                           released, pending;
  for (auto const& s : b.thread) {
    others  = join(others, s.others);
    proxied = join(proxied, s.proxied);
    merge(released, s.released);
    merge(pending, s.pending);
  }
  for (auto& s : b.thread) s.others = others, s.proxied = proxied, s.released = released, s.pending = pending;
}

/// fence.proxy.async: all that this thread knows to have been written is there for asynchronous copies.
inline void fence_proxy() {
  auto& b = running();
  auto  c = std::make_shared<clocks>(b.agents);
  for (std::uint32_t u = 0; u < b.agents; ++u) (*c)[u] = b.knows(b.me, u);
  b.mine->proxied = join(b.mine->proxied, std::shared_ptr<clocks const>(std::move(c)));
  b.tick();
}

/// What atomics have left at an address for those who read it.
inline std::unordered_map<std::uintptr_t, knowledge>& left_at() {
  static auto* const m = new std::unordered_map<std::uintptr_t, knowledge>;
  return *m;
}

// ---- fences and atomics -------------------------------------------------------------------------------------------

inline void fence_memory(scope how_far) {
  auto& t = *running().mine;
  learn(t.pending);
  t.pending  = {};
  t.released = release(how_far);
}

inline region where_is(void const* address, std::size_t bytes) {
  std::size_t const o = memory.find(address);
  return o == arena::nowhere ? region() : bytes_of(o, bytes);
}

inline void report_misaligned(void const* address, std::size_t bytes, std::size_t alignment, char const* what,
                              site_number at) {
  auto& b = running();
  if (b.found.again(kind::misaligned, at, 0)) return;
  b.found.add(kind::misaligned, level::error,
              {at, std::string(what) + " of " + std::to_string(bytes) + " bytes", b.my_name()}, {},
              where_is(address, bytes),
              "The address is " + std::to_string(reinterpret_cast<std::uintptr_t>(address) % alignment) +
                  " beyond a multiple of " + std::to_string(alignment) +
                  ", which a device refuses. Use a narrower access, or align the base and the stride.");
}

/// A thread that reads one unchanging address over and over waits for another: let that one run, but not for ever.
inline void notice_polling(void const* address, std::size_t bytes, site_number at) {
  constexpr std::uint32_t enough = 20000;
  auto&                   b      = running();
  auto&                   t      = *b.mine;
  std::uint64_t           value  = 0;
  std::memcpy(&value, address, bytes < 8 ? bytes : 8);
  if (t.polled != address || t.poll_value != value) {
    t.polled = address, t.poll_value = value, t.polls = 0;
    return;
  }
  if (++t.polls < 4) return;
  if (t.polls > enough) {
    if (!b.found.again(kind::deadlock, at, 0)) {
      t.wait_site = at, t.wait_for = "a loop on a value";
      b.found.add(
          kind::deadlock, level::error, {at, "polls a value that nobody changes", b.my_name()}, {},
          where_is(address, bytes),
          (b.options.resident_blocks > 1
               ? "Blocks that run at a time: " + std::to_string(b.options.resident_blocks) + "."
               : "Blocks run one after the other here, so a thread can wait only for its own block and for blocks "
                 "that have run. With check_options::resident_blocks several run at a time.") +
              scheduler::instance().who_waits());
    }
    scheduler::instance().give_up();
  }
  scheduler::instance().give_way();
  if (t.polls % 16 == 0 && b.options.resident_blocks > 1) scheduler::instance().let_blocks_run();
}

/// Where left_at() keeps what was left at an address: shared memory is another for each block.
inline std::uintptr_t key_of(void const* address) {
  auto const        a = reinterpret_cast<std::uintptr_t>(address);
  std::size_t const o = memory.find(address);
  return o == arena::nowhere || !in_shared(o) ? a : a ^ (std::uintptr_t{running().serial} + 1) << 48;
}

inline void atomic_step(void* address, std::size_t bytes, atomic_access how, memory_order order, scope how_far,
                        site_number at) {
  auto& b = running();
  if (reinterpret_cast<std::uintptr_t>(address) % bytes) report_misaligned(address, bytes, bytes, "atomic", at);
  notice_polling(address, bytes, at);
  note(deed::does,
       how == atomic_access::load    ? "atomic load"
       : how == atomic_access::store ? "atomic store"
                                     : "atomic",
       at);
  if (std::size_t const o = memory.find(address); o != arena::nowhere) {
    access a{how != atomic_access::store, how != atomic_access::load, true, at, o, bytes};
    judge_cells(a);
  }
  auto&      left    = left_at();
  auto const key     = key_of(address);
  bool const acquire = order == memory_order::acquire || order == memory_order::acquire_release;
  bool const release = order == memory_order::release || order == memory_order::acquire_release;
  if (how != atomic_access::store) {
    if (auto const found = left.find(key); found != left.end()) {
      if (acquire) learn(found->second);
      else merge(b.mine->pending, found->second);
    }
  }
  if (how == atomic_access::load) return;
  ++b.launch.events;
  if (!release && b.mine->released.empty()) {
    if (how == atomic_access::store) left.erase(key);
    return;
  }
  knowledge const hand_over = release ? checked::release(how_far) : b.mine->released;
  if (how == atomic_access::store) left[key] = {};
  merge(left[key], hand_over);
}

// ---- asynchronous copies ------------------------------------------------------------------------------------------

inline void deliver(copy& c) {
  if (c.delivered) return;
  c.delivered = true;
  std::memcpy(c.shared, c.from, c.source_bytes);
  std::memset(static_cast<char*>(c.shared) + c.source_bytes, 0, c.bytes - c.source_bytes);
}

inline void issue_copy(void* shared, void const* global, unsigned bytes, unsigned source_bytes, site_number at) {
  auto& b = running();
  if (source_bytes > bytes) source_bytes = bytes;
  if (b.alignment_matters) {
    if (reinterpret_cast<std::uintptr_t>(shared) % bytes)
      report_misaligned(shared, bytes, bytes, "cp.async to shared memory", at);
    if (source_bytes && reinterpret_cast<std::uintptr_t>(global) % bytes)
      report_misaligned(global, bytes, bytes, "cp.async from global memory", at);
  }
  if (std::size_t const from = memory.find(global); source_bytes && from != arena::nowhere) {
    judge<false>(from, source_bytes, at);
  }
  std::size_t const to = memory.find(shared);
  if (to == arena::nowhere || !in_shared(to)) {
    if (!b.found.again(kind::out_of_bounds, at, 0))
      b.found.add(kind::out_of_bounds, level::error, {at, "cp.async", b.my_name()}, {}, where_is(shared, bytes),
                  "The destination of a cp.async is not shared memory.");
    std::memcpy(shared, global, source_bytes);
    std::memset(static_cast<char*>(shared) + source_bytes, 0, bytes - source_bytes);
    return;
  }
  bool const clean = judge<true>(to, bytes, at);
  copy       c{};
  c.number = static_cast<std::uint32_t>(shadows().copies.size());
  c.group  = b.mine->groups;
  c.to = to, c.shared = shared, c.from = global, c.bytes = bytes, c.source_bytes = source_bytes, c.at = at;
  std::memcpy(c.snapshot, global, source_bytes);
  shadows().copies.push_back({b.me, at, cp_async_name});
  if (to % 4 == 0 && clean) put_in_flight(to, bytes, c.number);
  bool const late = b.options.delivery == delivery::late ||
                    (b.options.delivery == delivery::random && (scheduler::instance().random() & 1));
  if (!late) deliver(c);
  else std::memset(shared, 0xff, bytes);
  b.mine->copies.push_back(c);
}

/// A copy whose source does not hold any more what it held when the copy was issued.
inline void report_changed_source(void const* from, std::size_t bytes, char const* name, site_number at) {
  auto& b = running();
  if (b.found.again(kind::unwaited_copy, at, 1)) return;
  b.found.add(kind::unwaited_copy, level::error,
              {at, std::string(name) + " whose source changed on its way", b.my_name()}, {1, "", ""},
              where_is(from, bytes),
              "The source was written between the copy and its wait. Missing: the wait for the copy before the write.");
}

inline void finish_copy(copy& c) {
  auto& b = running();
  if (std::memcmp(c.snapshot, c.from, c.source_bytes))
    report_changed_source(c.from, c.source_bytes, cp_async_name, c.at);
  deliver(c);
  if (c.to % 4 == 0) take_from_flight(c.to, c.bytes, c.number, b.now, c.at);
}

inline void wait_for_copies(unsigned pending) {
  auto& t    = *running().mine;
  auto& all  = t.copies;
  auto  keep = std::remove_if(all.begin(), all.end(), [&](copy& c) {
    if (c.group + pending >= t.groups) return false;
    finish_copy(c);
    return true;
  });
  all.erase(keep, all.end());
}

}  // namespace tenon::simt::checked
