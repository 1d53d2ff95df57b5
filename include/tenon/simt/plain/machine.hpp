#pragma once
//  The plain machine: runs kernels, judges nothing. Asynchronous copies are made at once.
#include <tenon/simt/machine.hpp>
#include <tenon/simt/plain/block.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>

namespace tenon::simt::machine {

// ---- barriers and fences ----------------------------------------------------------------------------------------------

inline void sync_block(site) {
  if (block::current) block::current->sync();
}
inline int sync_block_vote(block_vote_mode mode, bool predicate, site) {
  unsigned const yes = block::current ? block::current->sync_count(predicate) : predicate;
  if (mode == block_vote_mode::count) return static_cast<int>(yes);
  if (mode == block_vote_mode::any) return yes != 0;
  return yes == (block::current ? block::current->live() : 1u);
}
inline void sync_warp(unsigned mask, site) {
  if (block::current) block::current->warp_collective(mask, nullptr, [](void* const*, unsigned) {});
}
inline void sync_named(int id, int threads, site) {
  if (block::current) block::current->sync_named(id, threads, true);
}
inline void arrive_named(int id, int threads, site) {
  if (block::current) block::current->sync_named(id, threads, false);
}
inline void give_way(site) {
  if (block::current) block::current->give_way();
}
inline void fence(scope, site) { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void fence_proxy_async(site) {}

// ---- warp -------------------------------------------------------------------------------------------------------------

inline void meet(collective const&, unsigned mask, void* mine, void (*execute)(void* const*, unsigned), site) {
  if (block::current) {
    block::current->warp_collective(mask, mine, execute);
  } else {  // a direct run: the warp is one lane
    execute(&mine, 1);
  }
}

namespace detail {
struct exchange {
  std::uint64_t value;
  int           source;
  std::uint64_t result;
};
}  // namespace detail

inline std::uint64_t shuffle(shuffle_mode, std::uint64_t v, int source, unsigned mask, site) {
  if (!block::current) return v;
  detail::exchange mine{v, source, v};
  block::current->warp_collective(mask, &mine, [](void* const* lanes, unsigned here) {
    for (unsigned l = 0; l < 32; ++l) {
      if (!(here >> l & 1)) continue;
      auto& to = *static_cast<detail::exchange*>(lanes[l]);
      if (here >> to.source & 1) to.result = static_cast<detail::exchange const*>(lanes[to.source])->value;
    }
  });
  return mine.result;
}

inline std::uint32_t vote(vote_mode mode, bool predicate, unsigned mask, site) {
  struct voter {
    std::uint32_t yes, here;
  } mine{predicate, 1};
  if (block::current) {
    block::current->warp_collective(mask, &mine, [](void* const* lanes, unsigned here) {
      std::uint32_t yes = 0;
      for (unsigned l = 0; l < 32; ++l)
        if ((here >> l & 1) && static_cast<voter const*>(lanes[l])->yes) yes |= 1u << l;
      for (unsigned l = 0; l < 32; ++l)
        if (here >> l & 1) *static_cast<voter*>(lanes[l]) = {yes, here};
    });
  }
  return mode == vote_mode::ballot ? mine.yes : mode == vote_mode::any ? mine.yes != 0 : mine.yes == mine.here;
}

inline void ldmatrix(int count, bool transposed, std::uint32_t* r, void const* row, site) {
  ldmatrix_lane mine{row, r};
  void (*const execute[2][3])(void* const*, unsigned) = {{[](void* const* l, unsigned) { ldmatrix_warp(l, 1, false); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 2, false); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 4, false); }},
                                                         {[](void* const* l, unsigned) { ldmatrix_warp(l, 1, true); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 2, true); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 4, true); }}};
  block::current->warp_collective(~0u, &mine, execute[transposed][count / 2]);
}
inline void stmatrix(int count, bool transposed, std::uint32_t const* r, void* row, site) {
  stmatrix_lane mine{row, r};
  void (*const execute[2][3])(void* const*, unsigned) = {{[](void* const* l, unsigned) { stmatrix_warp(l, 1, false); },
                                                          [](void* const* l, unsigned) { stmatrix_warp(l, 2, false); },
                                                          [](void* const* l, unsigned) { stmatrix_warp(l, 4, false); }},
                                                         {[](void* const* l, unsigned) { stmatrix_warp(l, 1, true); },
                                                          [](void* const* l, unsigned) { stmatrix_warp(l, 2, true); },
                                                          [](void* const* l, unsigned) { stmatrix_warp(l, 4, true); }}};
  block::current->warp_collective(~0u, &mine, execute[transposed][count / 2]);
}

namespace detail {
struct mma_request : mma_lane {
  mma_tiles const* tiles;
};
}  // namespace detail
inline void mma(mma_operation const& what, mma_tiles const& tiles, void* d, std::uint32_t const* a,
                std::uint32_t const* b, site) {
  detail::mma_request mine{{&what, d, a, b}, &tiles};
  block::current->warp_collective(~0u, static_cast<mma_lane*>(&mine), [](void* const* lanes, unsigned) {
    auto const& any = *static_cast<detail::mma_request const*>(static_cast<mma_lane const*>(lanes[0]));
    mma_warp(*any.what, *any.tiles, tensor_core_numerics, lanes);
  });
}

inline void set_registers(int, bool, site) {}

// ---- asynchronous copies ----------------------------------------------------------------------------------------------

inline void cp_async(void* shared, void const* global, int bytes, int source_bytes, site) {
  if (source_bytes > 0) std::memcpy(shared, global, static_cast<std::size_t>(source_bytes));
  if (source_bytes < bytes)
    std::memset(static_cast<char*>(shared) + source_bytes, 0, static_cast<std::size_t>(bytes - source_bytes));
}
inline void cp_async_commit(site) {}
inline void cp_async_wait(int, site) {}

namespace detail {

/// The opaque eight bytes. One OS thread runs a block, so nothing here is atomic.
struct mbarrier_state {
  std::uint64_t arrivals : 20;  // of a phase
  std::uint64_t pending : 20;   // of the current one
  std::uint64_t phase : 1;
  std::uint64_t owed : 23;  // transaction bytes still to come, modulo 2^23

  void settle() {
    if (pending == 0 && owed == 0) phase = phase ^ 1u, pending = arrivals;
  }
};
static_assert(sizeof(mbarrier_state) == 8);

inline mbarrier_state& state_of(void* barrier) { return *static_cast<mbarrier_state*>(barrier); }

}  // namespace detail

inline void mbarrier_init(void* barrier, int arrivals, site) {
  auto& b = detail::state_of(barrier) = {};
  b.arrivals = b.pending = static_cast<unsigned>(arrivals) & 0xfffffu;
}
inline void mbarrier_invalidate(void*, site) {}
inline void mbarrier_expect(void* barrier, int bytes, site) {
  auto& b = detail::state_of(barrier);
  b.owed  = (b.owed + static_cast<unsigned>(bytes)) & 0x7fffffu;
}
inline void mbarrier_arrive(void* barrier, int count, int expected_bytes, site at) {
  mbarrier_expect(barrier, expected_bytes, at);
  auto& b   = detail::state_of(barrier);
  b.pending = (b.pending - static_cast<unsigned>(count)) & 0xfffffu;
  b.settle();
}
inline bool mbarrier_test(void* barrier, unsigned parity, bool, site) {
  if (detail::state_of(barrier).phase != (parity & 1)) return true;
  if (block::current) block::current->give_way();
  return detail::state_of(barrier).phase != (parity & 1);
}
inline void mbarrier_wait(void* barrier, unsigned parity, site) {
  struct wait {
    void*    barrier;
    unsigned parity;
  } const mine{barrier, parity & 1};
  auto const over = [](void const* p) {
    auto const& w = *static_cast<wait const*>(p);
    return detail::state_of(w.barrier).phase != w.parity;
  };
  if (over(&mine)) return;
  if (block::current) block::current->wait_until(over, &mine);
}
inline void mbarrier_arrive_after_copies(void* barrier, site at) { mbarrier_arrive(barrier, 1, 0, at); }

inline void bulk_load(void* shared, void const* global, int bytes, void* barrier, site) {
  std::memcpy(shared, global, static_cast<std::size_t>(bytes));
  auto& b = detail::state_of(barrier);
  b.owed  = (b.owed - static_cast<unsigned>(bytes)) & 0x7fffffu;
  b.settle();
}
inline void bulk_store(void* global, void const* shared, int bytes, site) {
  std::memcpy(global, shared, static_cast<std::size_t>(bytes));
}
inline void bulk_commit(site) {}
inline void bulk_wait(int, bool, site) {}

}  // namespace tenon::simt::machine
