#pragma once
//  The CUDA machine as functions: what arch/host and simt/cuda.hpp are made of. Two machines implement them: the plain
//  one in this header's own program (plain/machine.hpp), the checked one in checked_runtime.cpp, which is not instrumented.
//
//  `site at` is the place of the call in the kernel; reports name it.
#include <tenon/config.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/simt/site.hpp>
#include <tenon/simt/tensor_core.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#if TENON_CHECKED
#  define TENON_SIMT_MACHINE
#else
#  define TENON_SIMT_MACHINE inline
#endif

namespace tenon::simt {

enum class scope { block, device };
enum class memory_order { relaxed, acquire, release, acquire_release };
enum class atomic_access { load, store, update };
enum class shuffle_mode { index, exclusive_or, up, down };
enum class vote_mode { ballot, any, all };
enum class block_vote_mode { count, any, all };

/// What the lanes of a warp do together. Lanes that meet must agree on all of it.
enum class warp_operation { sync, shuffle, vote, match, reduce, elect, ldmatrix, stmatrix, movmatrix, mma, registers };
struct collective {
  warp_operation operation;
  int            qualifier;  // mode, count: what must be equal in every lane beside the operation
  bool           aligned;    // takes the whole warp, converged
  char const*    name;
};

namespace machine {

// ---- barriers and fences ----------------------------------------------------------------------------------------------

TENON_SIMT_MACHINE void sync_block(site at);
/// A block barrier that also counts the threads whose predicate holds (count), or says whether any or all do.
TENON_SIMT_MACHINE int  sync_block_vote(block_vote_mode mode, bool predicate, site at);
TENON_SIMT_MACHINE void sync_warp(unsigned mask, site at);
/// Barrier `id` (0 to 15) of `threads` threads, whole warps; arrive_named does not wait.
TENON_SIMT_MACHINE void sync_named(int id, int threads, site at);
TENON_SIMT_MACHINE void arrive_named(int id, int threads, site at);
/// Lets others run.
TENON_SIMT_MACHINE void give_way(site at);
TENON_SIMT_MACHINE void fence(scope how_far, site at);
/// Orders this thread's plain accesses before it against asynchronous copies after it.
TENON_SIMT_MACHINE void fence_proxy_async(site at);

// ---- warp -------------------------------------------------------------------------------------------------------------

/// The lanes of `mask` meet; the last one runs execute(lanes, here) over everyone's argument, then all go on.
/// lane[l] is the argument of lane l where bit l of `here` is set. Orders no memory.
TENON_SIMT_MACHINE void meet(collective const& what, unsigned mask, void* mine,
                             void (*execute)(void* const* lane, unsigned here), site at);
TENON_SIMT_MACHINE std::uint64_t shuffle(shuffle_mode mode, std::uint64_t v, int source, unsigned mask, site at);
TENON_SIMT_MACHINE std::uint32_t vote(vote_mode mode, bool predicate, unsigned mask, site at);
TENON_SIMT_MACHINE void          ldmatrix(int count, bool transposed, std::uint32_t* r, void const* row, site at);
TENON_SIMT_MACHINE void          stmatrix(int count, bool transposed, std::uint32_t const* r, void* row, site at);
/// One mma.sync, or several of one kind: the warp meets once for all of them.
TENON_SIMT_MACHINE void mma(mma_operation const& what, mma_tiles const& tiles, void* d, std::uint32_t const* a,
                            std::uint32_t const* b, site at);
/// setmaxnreg: the warpgroup's registers per thread become n. An increase waits until the block's pool has them.
TENON_SIMT_MACHINE void set_registers(int n, bool increase, site at);

// ---- asynchronous copies ----------------------------------------------------------------------------------------------

TENON_SIMT_MACHINE void cp_async(void* shared, void const* global, int bytes, int source_bytes, site at);
TENON_SIMT_MACHINE void cp_async_commit(site at);
TENON_SIMT_MACHINE void cp_async_wait(int pending, site at);

/// Memory barriers: eight opaque bytes of shared memory that count arrivals and transaction bytes. A phase ends when
/// both are complete; phases alternate between parity 0 and 1.
TENON_SIMT_MACHINE void mbarrier_init(void* barrier, int arrivals, site at);
TENON_SIMT_MACHINE void mbarrier_invalidate(void* barrier, site at);
TENON_SIMT_MACHINE void mbarrier_arrive(void* barrier, int count, int expected_bytes, site at);
TENON_SIMT_MACHINE void mbarrier_expect(void* barrier, int bytes, site at);
/// Whether the phase of this parity has ended; `suspend` waits for it, but not for ever.
TENON_SIMT_MACHINE bool mbarrier_test(void* barrier, unsigned parity, bool suspend, site at);
/// Waits until it has.
TENON_SIMT_MACHINE void mbarrier_wait(void* barrier, unsigned parity, site at);
/// One arrival when this thread's cp.async so far have landed.
TENON_SIMT_MACHINE void mbarrier_arrive_after_copies(void* barrier, site at);

/// Bulk copies: 16-byte aligned, multiples of 16 bytes. A load completes `bytes` on the barrier, a store with its group.
TENON_SIMT_MACHINE void bulk_load(void* shared, void const* global, int bytes, void* barrier, site at);
TENON_SIMT_MACHINE void bulk_store(void* global, void const* shared, int bytes, site at);
TENON_SIMT_MACHINE void bulk_commit(site at);
/// Waits until at most `pending` groups are unfinished; with `read_only` until their sources have been read.
TENON_SIMT_MACHINE void bulk_wait(int pending, bool read_only, site at);

// ---- memory -----------------------------------------------------------------------------------------------------------

#if TENON_CHECKED
using chunk = unsigned long long __attribute__((vector_size(16)));

/// The block's dynamic shared memory, of which the caller wants `bytes`, or an array where that is 0. `type` is anchor_of()
/// what it sees there.
std::byte* shared_memory(std::size_t bytes, site at, void const* type = nullptr);
/// Judges a plain access; `alignment` 0 where any address will do.
void check_access(void const* address, std::size_t bytes, std::size_t alignment, bool write, site at);
/// Judges an atomic access; peek and poke then make it.
void atomic(void* address, std::size_t bytes, atomic_access how, memory_order order, scope how_far, site at);
void peek(void* to, void const* from, std::size_t bytes);
void poke(void* to, void const* from, std::size_t bytes);
/// One access of at most 16 bytes, judged and made. The value travels in a register, so the caller's copy stays a local.
chunk load(void const* address, std::size_t bytes, std::size_t alignment, site at);
void  store(void* address, std::size_t bytes, std::size_t alignment, chunk value, site at);
#endif

/// The value of lane `source`. T of 4 or 8 bytes.
template <class T>
T shuffle_from(shuffle_mode mode, T v, int source, unsigned mask, site at) {
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, &v, sizeof v);
  bits = shuffle(mode, bits, source, mask, at);
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}

/// Applies next(before) to *p in one indivisible step; the value before.
template <class T, class Next>
T atomic_update(T* p, memory_order order, scope how_far, site at, Next next) {
#if TENON_CHECKED
  atomic(p, sizeof(T), atomic_access::update, order, how_far, at);
  T before;
  peek(&before, p, sizeof(T));
  T const after = next(before);
  poke(p, &after, sizeof(T));
  return before;
#else
  (void)how_far, (void)at;
  auto const         o = order == memory_order::relaxed ? std::memory_order_relaxed : std::memory_order_acq_rel;
  std::atomic_ref<T> a(*p);
  T                  before = a.load(std::memory_order_relaxed);
  while (!a.compare_exchange_weak(before, next(before), o, std::memory_order_relaxed)) {
  }
  return before;
#endif
}

template <class T>
T atomic_load(T const* p, memory_order order, scope how_far, site at) {
#if TENON_CHECKED
  atomic(const_cast<T*>(p), sizeof(T), atomic_access::load, order, how_far, at);
  T v;
  peek(&v, p, sizeof(T));
  return v;
#else
  (void)how_far, (void)at;
  return std::atomic_ref<T>(const_cast<T&>(*p))
      .load(order == memory_order::relaxed ? std::memory_order_relaxed : std::memory_order_acquire);
#endif
}

template <class T>
void atomic_store(T* p, T v, memory_order order, scope how_far, site at) {
#if TENON_CHECKED
  atomic(p, sizeof(T), atomic_access::store, order, how_far, at);
  poke(p, &v, sizeof(T));
#else
  (void)how_far, (void)at;
  std::atomic_ref<T>(*p).store(v,
                               order == memory_order::relaxed ? std::memory_order_relaxed : std::memory_order_release);
#endif
}

}  // namespace machine

/// The lane that lane `own` reads in a shuffle of the whole warp; itself where there is none.
constexpr int shuffle_source(shuffle_mode mode, int own, int by) {
  switch (mode) {
    case shuffle_mode::index: return by & 31;
    case shuffle_mode::exclusive_or: return (own ^ by) & 31;
    case shuffle_mode::up: return own - by >= 0 ? own - by : own;
    case shuffle_mode::down: return own + by < 32 ? own + by : own;
  }
  return own;
}

}  // namespace tenon::simt

#if !TENON_CHECKED
#  include <tenon/simt/plain/machine.hpp>
#endif
