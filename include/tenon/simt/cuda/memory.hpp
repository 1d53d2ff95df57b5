#pragma once
//  Loads and stores with cache hints, asynchronous copies by the pipeline primitives, shared memory of the launch.
#include <tenon/config.hpp>
#include <tenon/simt/launch.hpp>
#include <tenon/simt/machine.hpp>
#include <tenon/simt/type_anchor.hpp>

#include <cstddef>
#include <type_traits>

namespace tenon::simt {

/// The block's dynamic shared memory, seen as an array of T, 1024-byte aligned.
template <class T>
T* dynamic_shared([[maybe_unused]] site at = site::here()) {
#if TENON_CHECKED
  return reinterpret_cast<T*>(machine::shared_memory(0, at, anchor_of<T>()));
#else
  return reinterpret_cast<T*>(shared_memory);
#endif
}

namespace detail {

template <class T>
constexpr void may_be_hinted() {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16 && (sizeof(T) & (sizeof(T) - 1)) == 0,
                "tenon::simt: a load or store with a cache hint moves 1, 2, 4, 8 or 16 bytes");
}

template <class T>
T hinted_load(T const* p, [[maybe_unused]] site at) {
  may_be_hinted<T>();
#if TENON_CHECKED
  auto const bytes = machine::load(p, sizeof(T), sizeof(T), at);
  T          v;
  __builtin_memcpy(&v, &bytes, sizeof v);
  return v;
#else
  return *p;
#endif
}

template <class T>
void hinted_store(T* p, T const& v, [[maybe_unused]] site at) {
  may_be_hinted<T>();
#if TENON_CHECKED
  machine::chunk bytes{};
  __builtin_memcpy(&bytes, &v, sizeof v);
  machine::store(p, sizeof(T), sizeof(T), bytes, at);
#else
  *p = v;
#endif
}

}  // namespace detail
}  // namespace tenon::simt

#define TENON_SIMT_LOAD(NAME)                                            \
  template <class T>                                                     \
  T NAME(T const* p, tenon::simt::site at = tenon::simt::site::here()) { \
    return tenon::simt::detail::hinted_load(p, at);                      \
  }
#define TENON_SIMT_STORE(NAME)                                                                   \
  template <class T>                                                                             \
  void NAME(T* p, std::type_identity_t<T> v, tenon::simt::site at = tenon::simt::site::here()) { \
    tenon::simt::detail::hinted_store(p, v, at);                                                 \
  }
TENON_SIMT_LOAD(__ldg)
TENON_SIMT_LOAD(__ldca)
TENON_SIMT_LOAD(__ldcg)
TENON_SIMT_LOAD(__ldcs)
TENON_SIMT_LOAD(__ldcv)
TENON_SIMT_LOAD(__ldlu)
TENON_SIMT_STORE(__stcg)
TENON_SIMT_STORE(__stcs)
TENON_SIMT_STORE(__stwb)
TENON_SIMT_STORE(__stwt)
#undef TENON_SIMT_LOAD
#undef TENON_SIMT_STORE

/// Copies `bytes` (4, 8 or 16) to shared memory, the last `zeros` of them as 0 instead of from the source.
inline void __pipeline_memcpy_async(void* shared, void const* global, std::size_t bytes, std::size_t zeros = 0,
                                    tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::cp_async(shared, global, static_cast<int>(bytes), static_cast<int>(bytes - zeros), at);
}
inline void __pipeline_commit(tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::cp_async_commit(at);
}
/// Waits for all but the last `pending` committed groups of this thread.
inline void __pipeline_wait_prior(std::size_t pending, tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::cp_async_wait(static_cast<int>(pending), at);
}
