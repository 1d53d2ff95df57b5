#pragma once
//  The CUDA machine as functions: what arch/host and simt/cuda.hpp are made of. A plain build defines them here; a
//  checked build only declares them, and checked_runtime.cpp, which is not instrumented, defines them.
#include <tenon/config.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/simt/site.hpp>
#include <tenon/simt/tensor_core.hpp>
#if !TENON_CHECKED
#  include <tenon/simt/block.hpp>
#endif

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tenon::simt {

enum class scope { block, device };
enum class memory_order { relaxed, acquire, release, acquire_release };
enum class atomic_access { load, store, update };
enum class shuffle_mode { index, exclusive_or, up, down };
enum class vote_mode { ballot, any, all };

#if TENON_CHECKED
namespace machine {

using chunk = unsigned long long __attribute__((vector_size(16)));

void          sync_block(site at);
void          sync_warp(unsigned mask, site at);
void          fence(scope how_far, site at);
std::uint64_t shuffle(shuffle_mode mode, std::uint64_t v, int source, unsigned mask, site at);
std::uint32_t vote(vote_mode mode, bool predicate, unsigned mask, site at);
void          ldmatrix(int count, bool transposed, std::uint32_t* r, void const* row, site at);
void          mma_m16n8k16_f16(float* d, std::uint32_t const* a, std::uint32_t const* b, site at);
void          mma_m16n8k16_bf16(float* d, std::uint32_t const* a, std::uint32_t const* b, site at);
void          cp_async(void* shared, void const* global, int bytes, int source_bytes, site at);
void          cp_async_commit(site at);
void          cp_async_wait(int pending, site at);
std::byte*    shared_memory(std::size_t bytes, site at);
/// Judges a plain access; `alignment` 0 where any address will do.
void check_access(void const* address, std::size_t bytes, std::size_t alignment, bool write, site at);
/// Judges an atomic access; peek and poke then make it.
void atomic(void* address, std::size_t bytes, atomic_access how, memory_order order, scope how_far, site at);
void peek(void* to, void const* from, std::size_t bytes);
void poke(void* to, void const* from, std::size_t bytes);
/// One access of at most 16 bytes, judged and made. The value travels in a register, so the caller's copy stays a local.
chunk load(void const* address, std::size_t bytes, std::size_t alignment, site at);
void  store(void* address, std::size_t bytes, std::size_t alignment, chunk value, site at);

}  // namespace machine
#else
namespace machine {

inline void sync_block(site at) {
  if (block::current) block::current->sync(at);
}
inline void sync_warp(unsigned mask, site at) {
  if (block::current) block::current->warp_collective(at, mask, nullptr, [](void* const*, unsigned) {});
}
inline void fence(scope, site) { std::atomic_thread_fence(std::memory_order_seq_cst); }

namespace detail {
template <class T>
struct exchange {
  T   value;
  int source;
  T   result;
};
}  // namespace detail

template <class T>
T shuffle_value(T v, int source, unsigned mask, site at) {
  if (!block::current) return v;  // a direct run: the warp is one lane
  detail::exchange<T> mine{v, source, v};
  block::current->warp_collective(at, mask, &mine, [](void* const* lanes, unsigned here) {
    for (unsigned l = 0; l < 32; ++l) {
      if (!(here >> l & 1)) continue;
      auto& to = *static_cast<detail::exchange<T>*>(lanes[l]);
      if (here >> to.source & 1) to.result = static_cast<detail::exchange<T> const*>(lanes[to.source])->value;
    }
  });
  return mine.result;
}

inline std::uint32_t vote(vote_mode mode, bool predicate, unsigned mask, site at) {
  std::uint32_t bits = predicate, voters = 1;
  if (block::current) {
    detail::exchange<std::uint32_t> mine{predicate, 0, 0};
    block::current->warp_collective(at, mask, &mine, [](void* const* lanes, unsigned here) {
      std::uint32_t all = 0;
      for (unsigned l = 0; l < 32; ++l)
        if ((here >> l & 1) && static_cast<detail::exchange<std::uint32_t> const*>(lanes[l])->value) all |= 1u << l;
      for (unsigned l = 0; l < 32; ++l)
        if (here >> l & 1) {
          auto& lane  = *static_cast<detail::exchange<std::uint32_t>*>(lanes[l]);
          lane.result = all, lane.source = static_cast<int>(here);
        }
    });
    bits = mine.result, voters = static_cast<std::uint32_t>(mine.source);
  }
  return mode == vote_mode::ballot ? bits : mode == vote_mode::any ? bits != 0 : bits == voters;
}

inline void ldmatrix(int count, bool transposed, std::uint32_t* r, void const* row, site at) {
  ldmatrix_lane mine{row, r};
  void (*const execute[2][3])(void* const*, unsigned) = {{[](void* const* l, unsigned) { ldmatrix_warp(l, 1, false); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 2, false); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 4, false); }},
                                                         {[](void* const* l, unsigned) { ldmatrix_warp(l, 1, true); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 2, true); },
                                                          [](void* const* l, unsigned) { ldmatrix_warp(l, 4, true); }}};
  block::current->warp_collective(at, ~0u, &mine, execute[transposed][count / 2]);
}
inline void mma_m16n8k16_f16(float* d, std::uint32_t const* a, std::uint32_t const* b, site at) {
  mma_lane mine{d, a, b};
  block::current->warp_collective(at, ~0u, &mine, [](void* const* l, unsigned) { mma_m16n8k16_warp<f16>(l); });
}
inline void mma_m16n8k16_bf16(float* d, std::uint32_t const* a, std::uint32_t const* b, site at) {
  mma_lane mine{d, a, b};
  block::current->warp_collective(at, ~0u, &mine, [](void* const* l, unsigned) { mma_m16n8k16_warp<bf16>(l); });
}

inline void cp_async(void* shared, void const* global, int bytes, int source_bytes, site) {
  if (source_bytes > 0) std::memcpy(shared, global, static_cast<std::size_t>(source_bytes));
  if (source_bytes < bytes)
    std::memset(static_cast<char*>(shared) + source_bytes, 0, static_cast<std::size_t>(bytes - source_bytes));
}
inline void cp_async_commit(site) {}
inline void cp_async_wait(int, site) {}

}  // namespace machine
#endif

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

namespace machine {

/// The value of lane `source`. T of 4 or 8 bytes.
template <class T>
T shuffle_from(shuffle_mode mode, T v, int source, unsigned mask, site at) {
#if TENON_CHECKED
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, &v, sizeof v);
  bits = shuffle(mode, bits, source, mask, at);
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
#else
  (void)mode;
  return shuffle_value(v, source, mask, at);
#endif
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
}  // namespace tenon::simt
