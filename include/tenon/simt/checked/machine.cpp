//  The checked machine: every operation of simt/machine.hpp, judged. Not compiled by itself: checked_runtime.cpp includes it.
#include <tenon/simt/buffer.hpp>
#include <tenon/simt/checked/residents.hpp>
#include <tenon/simt/machine.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

extern "C" {
void* __real_memcpy(void*, void const*, std::size_t);
void* __real_memmove(void*, void const*, std::size_t);
void* __real_memset(void*, int, std::size_t);
}

namespace tenon::simt {
namespace checked {

static site_number number(site const& at) { return sites().of(at); }

[[gnu::noinline]] static void count(std::size_t offset, std::size_t bytes, site_number at) {
  if (bytes <= 16) counters().access(offset, bytes, at);
}

}  // namespace checked

using namespace checked;

namespace machine {

std::byte* allocate(std::size_t bytes, std::size_t element_bytes, void const* type) {
  runtime_scope const scope;
  return memory.allocate(bytes, element_bytes, type);
}
void name(std::byte* p, std::string_view name) {
  runtime_scope const scope;
  if (auto const found = memory.allocations().find(memory.find(p)); found != memory.allocations().end())
    found->second.name = name;
}
void release(std::byte* p) {
  runtime_scope const scope;
  memory.release(p);
}
void copy_from_host(void* to, void const* from, std::size_t bytes) {
  __real_memcpy(to, from, bytes);
  memory.set(to, bytes);
}
void copy_to_host(void* to, void const* from, std::size_t bytes) { __real_memcpy(to, from, bytes); }

// Outside a kernel there is one thread and nothing to wait for.
static bool in_kernel() { return doing == activity::kernel; }

/// An operation of the running thread: the machine is at work, and the place of the call has a number.
struct step {
  runtime_scope const scope;
  site_number const   at;

  explicit step(site const& place) : at(number(place)) {}

  /// Whether this run leaves the operation out; notes it where operations are listed.
  bool left_out(char const* name) const {
    auto& b = running();
    if (b.options.list_operations) ++b.launch.operations[at][name];
    return b.launch.without && b.launch.without == at;
  }
};

void sync_block(site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("sync_block")) return;
  scheduler::instance().sync_block(now.at);
}

int sync_block_vote(block_vote_mode mode, bool predicate, site at) {
  if (!in_kernel()) return predicate;
  step const now(at);
  if (now.left_out("sync_block_vote")) return predicate;
  auto& s = scheduler::instance();
  s.vote(predicate);
  s.sync_block(now.at);
  return mode == block_vote_mode::count ? s.voted()
         : mode == block_vote_mode::any ? s.voted() != 0
                                        : s.voted() == s.voters();
}

void sync_named(int id, int threads, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("sync_named")) return;
  come_to_named(id, threads, true, now.at);
}
void arrive_named(int id, int threads, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("arrive_named")) return;
  come_to_named(id, threads, false, now.at);
}

void sync_warp(unsigned mask, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("sync_warp")) return;
  scheduler::instance().meet({warp_operation::sync, 0, false, "sync_warp"}, mask, now.at, nullptr, nullptr);
}

void give_way(site) {
  if (!in_kernel()) return;
  runtime_scope const scope;
  scheduler::instance().give_way();
  if (running().options.resident_blocks > 1) scheduler::instance().let_blocks_run();
}

void fence(simt::scope how_far, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out(how_far == simt::scope::device ? "fence_device" : "fence_block")) return;
  fence_memory(how_far);
}

void fence_proxy_async(site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("fence_proxy_async")) return;
  fence_proxy();
}

struct shuffle_lane {
  std::uint64_t value, result;
  int           source;
  bool          absent;
};

std::uint64_t shuffle(shuffle_mode mode, std::uint64_t v, int source, unsigned mask, site at) {
  if (!in_kernel()) return v;
  step const         now(at);
  static char const* names[] = {"shuffle", "shuffle_xor", "shuffle_up", "shuffle_down"};
  shuffle_lane       mine{v, v, source, false};
  collective const   what{warp_operation::shuffle, static_cast<int>(mode), false, names[static_cast<int>(mode)]};
  scheduler::instance().meet(what, mask, now.at, &mine, [](void* const* lanes, unsigned here) {
    for (unsigned l = 0; l < 32; ++l) {
      if (!(here >> l & 1)) continue;
      auto& to = *static_cast<shuffle_lane*>(lanes[l]);
      if (here >> to.source & 1) to.result = static_cast<shuffle_lane const*>(lanes[to.source])->value;
      else to.absent = true;
    }
  });
  // A block of one thread has no other lanes to miss: tiles reduce over it as over a warp.
  if (mine.absent && running().threads > 1 && !running().found.again(kind::divergent_collective, now.at, 2))
    running().found.add(kind::divergent_collective, level::error, {now.at, what.name, running().my_name()}, {2, "", ""},
                        {},
                        "It reads lane " + std::to_string(source) +
                            ", which does not take part: it is not in the mask, has returned or does not exist. The "
                            "value is undefined.");
  return mine.result;
}

std::uint32_t vote(vote_mode mode, bool predicate, unsigned mask, site at) {
  if (!in_kernel()) return predicate;
  step const now(at);
  struct lane {
    bool          predicate;
    std::uint32_t yes, here;
  } mine{predicate, 0, 0};
  static char const* names[] = {"ballot", "any", "all"};
  scheduler::instance().meet({warp_operation::vote, static_cast<int>(mode), false, names[static_cast<int>(mode)]}, mask,
                             now.at, &mine, [](void* const* lanes, unsigned here) {
                               std::uint32_t yes = 0;
                               for (unsigned l = 0; l < 32; ++l)
                                 if ((here >> l & 1) && static_cast<lane const*>(lanes[l])->predicate) yes |= 1u << l;
                               for (unsigned l = 0; l < 32; ++l)
                                 if (here >> l & 1)
                                   static_cast<lane*>(lanes[l])->yes = yes, static_cast<lane*>(lanes[l])->here = here;
                             });
  return mode == vote_mode::ballot ? mine.yes : mode == vote_mode::any ? mine.yes != 0 : mine.yes == mine.here;
}

struct matrix_rows {
  void*       row;
  int         count;
  bool        store;
  site_number at;
};

/// Judges the rows that the lanes of the warp name; false where one is not in shared memory.
static bool judge_rows(matrix_rows const* const (&lane)[32]) {
  auto&               b     = running();
  auto const&         any   = *lane[0];
  std::uint32_t const first = b.me / 32 * 32;
  bool                good  = true;
  std::size_t         offset[32];
  for (int l = 0; l < 8 * any.count; ++l) {
    void* const row = lane[l]->row;
    b.become(first + static_cast<std::uint32_t>(l));
    if (reinterpret_cast<std::uintptr_t>(row) % 16)
      report_misaligned(row, 16, 16, any.store ? "stmatrix row" : "ldmatrix row", any.at);
    std::size_t const o = memory.find(row);
    if (o == arena::nowhere || !in_shared(o)) {
      good = false;
      if (!b.found.again(kind::out_of_bounds, any.at, 0))
        b.found.add(kind::out_of_bounds, level::error,
                    {any.at, any.store ? "stmatrix row" : "ldmatrix row", b.my_name()}, {}, "",
                    "The row is not in shared memory.");
      continue;
    }
    if (any.store) judge<true>(o, 16, any.at);
    else judge<false>(o, 16, any.at);
    offset[l] = o;
  }
  for (int m = 0; counting && good && m < any.count; ++m) {
    std::size_t matrix[8];
    std::copy_n(offset + 8 * m, 8, matrix);
    counters().matrix(matrix);
  }
  return good;
}

template <class Lane>
struct matrix_request : matrix_rows {
  Lane fragment;
  bool transposed;
};

template <class Lane, void (*Warp)(void* const*, int, bool)>
static void matrix_instruction(collective const& what, matrix_request<Lane>& mine) {
  scheduler::instance().meet(what, ~0u, mine.at, &mine, [](void* const* lanes, unsigned here) {
    if (here != ~0u) return;
    matrix_rows const* rows[32];
    void*              fragments[32];
    for (int l = 0; l < 32; ++l) {
      auto& lane = *static_cast<matrix_request<Lane>*>(lanes[l]);
      rows[l] = &lane, fragments[l] = &lane.fragment;
    }
    auto const& any = *static_cast<matrix_request<Lane> const*>(lanes[0]);
    if (judge_rows(rows)) Warp(fragments, any.count, any.transposed);
  });
}

void ldmatrix(int count, bool transposed, std::uint32_t* r, void const* row, site at) {
  if (!in_kernel()) return;
  step const                    now(at);
  matrix_request<ldmatrix_lane> mine{{const_cast<void*>(row), count, false, now.at}, {row, r}, transposed};
  matrix_instruction<ldmatrix_lane, ldmatrix_warp>(
      {warp_operation::ldmatrix, count * 2 + transposed, true, transposed ? "ldmatrix_transposed" : "ldmatrix"}, mine);
}
void stmatrix(int count, bool transposed, std::uint32_t const* r, void* row, site at) {
  if (!in_kernel()) return;
  step const                    now(at);
  matrix_request<stmatrix_lane> mine{{row, count, true, now.at}, {row, r}, transposed};
  matrix_instruction<stmatrix_lane, stmatrix_warp>(
      {warp_operation::stmatrix, count * 2 + transposed, true, transposed ? "stmatrix_transposed" : "stmatrix"}, mine);
}

void meet(collective const& what, unsigned mask, void* mine, void (*execute)(void* const*, unsigned), site at) {
  if (!in_kernel()) return execute(&mine, 1);
  step const now(at);
  scheduler::instance().meet(what, mask, now.at, mine, execute);
}

struct mma_request : mma_lane {
  mma_tiles const* tiles;
};
void mma(mma_operation const& what, mma_tiles const& tiles, void* d, std::uint32_t const* a, std::uint32_t const* b,
         site at) {
  if (!in_kernel()) return;
  step const  now(at);
  mma_request mine{{&what, d, a, b}, &tiles};
  int const   qualifier = ((what.m * 32 + what.n) * 128 + what.k) * 1024 + static_cast<int>(what.a) * 64 +
                        static_cast<int>(what.b) * 4 + static_cast<int>(what.d) + (tiles.high * 64 + tiles.wide) * 7919;
  scheduler::instance().meet({warp_operation::mma, qualifier, true, what.name}, ~0u, now.at,
                             static_cast<mma_lane*>(&mine), [](void* const* lanes, unsigned here) {
                               auto const& any =
                                   *static_cast<mma_request const*>(static_cast<mma_lane const*>(lanes[0]));
                               if (here == ~0u) mma_warp(*any.what, *any.tiles, running().launch.sums, lanes);
                             });
}

void set_registers(int n, bool increase, site at) {
  if (!in_kernel()) return;
  step const       now(at);
  collective const what{warp_operation::registers, n, true, increase ? "increase_registers" : "decrease_registers"};
  scheduler::instance().meet(what, ~0u, now.at, nullptr, nullptr);
  if (running().me % 32 == 0) set_warp_registers(n, increase, now.at);
  scheduler::instance().meet(what, ~0u, now.at, nullptr, nullptr);  // the warp goes on as one
}

// ---- asynchronous copies ----------------------------------------------------------------------------------------------

void cp_async(void* shared, void const* global, int bytes, int source_bytes, site at) {
  if (!in_kernel()) return;
  step const now(at);
  issue_copy(shared, global, static_cast<unsigned>(bytes), static_cast<unsigned>(std::max(source_bytes, 0)), now.at);
}
void cp_async_commit(site) {
  if (in_kernel()) ++running().mine->groups;
}
void cp_async_wait(int pending, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("cp_async_wait")) return;
  wait_for_copies(static_cast<unsigned>(pending));
}

void mbarrier_init(void* barrier, int arrivals, site at) {
  if (!in_kernel()) return;
  step const now(at);
  init_barrier(barrier, arrivals, now.at);
}
void mbarrier_invalidate(void* barrier, site at) {
  if (!in_kernel()) return;
  step const now(at);
  invalidate_barrier(barrier, now.at);
}
void mbarrier_arrive(void* barrier, int count, int expected_bytes, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("mbarrier_arrive")) return;
  arrive_at_barrier(barrier, count, expected_bytes, expected_bytes ? "mbarrier_arrive_expect" : "mbarrier_arrive",
                    now.at);
}
void mbarrier_expect(void* barrier, int bytes, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("mbarrier_expect")) return;
  arrive_at_barrier(barrier, 0, bytes, "mbarrier_expect", now.at);
}
bool mbarrier_test(void* barrier, unsigned parity, bool suspend, site at) {
  if (!in_kernel()) return true;
  step const now(at);
  if (now.left_out("mbarrier_test")) return true;
  return test_barrier(barrier, parity, suspend, false, suspend ? "mbarrier_try_wait" : "mbarrier_test", now.at);
}
void mbarrier_wait(void* barrier, unsigned parity, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("mbarrier_wait")) return;
  test_barrier(barrier, parity, true, true, "mbarrier_wait", now.at);
}
void mbarrier_arrive_after_copies(void* barrier, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("mbarrier_arrive_after_copies")) return;
  arrive_after_copies(barrier, now.at);
}

void bulk_load(void* shared, void const* global, int bytes, void* barrier, site at) {
  if (!in_kernel()) return;
  step const now(at);
  start_load(shared, global, static_cast<std::size_t>(std::max(bytes, 0)), barrier, now.at);
}
void bulk_store(void* global, void const* shared, int bytes, site at) {
  if (!in_kernel()) return;
  step const now(at);
  start_store(global, shared, static_cast<std::size_t>(std::max(bytes, 0)), now.at);
}
void bulk_commit(site) {
  if (in_kernel()) ++running().mine->bulk_groups;
}
void bulk_wait(int pending, bool read_only, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out(read_only ? "bulk_wait_read" : "bulk_wait")) return;
  wait_for_stores(static_cast<unsigned>(pending), read_only);
}

// ---- memory -----------------------------------------------------------------------------------------------------------

std::byte* shared_memory(std::size_t bytes, site at, void const* type) {
  auto& b = running();
  views_of_shared.add(type, bytes == 0);
  if (bytes > b.shared_bytes && in_kernel()) {
    step const now(at);
    if (!b.found.again(kind::out_of_bounds, now.at, 0))
      b.found.add(kind::out_of_bounds, level::error,
                  {now.at, "shared storage of " + std::to_string(bytes) + " bytes", b.my_name()}, {}, {},
                  "The launch gave the block only " + std::to_string(b.shared_bytes) + " bytes of shared memory.",
                  "shared_bytes");
  }
  return memory.shared();
}

[[gnu::always_inline]] static inline void check(void const* address, std::size_t bytes, std::size_t alignment,
                                                bool write, site const& at) {
  if (doing != activity::kernel) {
    if (write) memory.set(address, bytes);
    return;
  }
  bool const aligned = alignment <= 1 || reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
  if (!aligned && running().alignment_matters) {
    step const now(at);
    report_misaligned(address, bytes, alignment, write ? "vector store" : "vector load", now.at);
  }
  std::size_t const o = memory.find(address);
  if (o == arena::nowhere) return;
  step const now(at);
  if (counting) count(o, bytes, now.at);
  if (write) judge<true>(o, bytes, now.at);
  else judge<false>(o, bytes, now.at);
}

void check_access(void const* address, std::size_t bytes, std::size_t alignment, bool write, site at) {
  check(address, bytes, alignment, write, at);
}
chunk load(void const* address, std::size_t bytes, std::size_t alignment, site at) {
  check(address, bytes, alignment, false, at);
  chunk v{};
  __real_memcpy(&v, address, bytes);
  return v;
}
void store(void* address, std::size_t bytes, std::size_t alignment, chunk value, site at) {
  check(address, bytes, alignment, true, at);
  __real_memcpy(address, &value, bytes);
}

void atomic(void* address, std::size_t bytes, atomic_access how, memory_order order, simt::scope how_far, site at) {
  if (!in_kernel()) return;
  step const now(at);
  if (now.left_out("atomic")) {  // a plain access instead
    doing = activity::kernel;
    if (how != atomic_access::store) check_access(address, bytes, 1, false, at);
    if (how != atomic_access::load) check_access(address, bytes, 1, true, at);
    return;
  }
  atomic_step(address, bytes, how, order, how_far, now.at);
}
void peek(void* to, void const* from, std::size_t bytes) { __real_memcpy(to, from, bytes); }
void poke(void* to, void const* from, std::size_t bytes) { __real_memcpy(to, from, bytes); }

}  // namespace machine

}  // namespace tenon::simt
