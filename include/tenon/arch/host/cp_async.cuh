#pragma once
//  Asynchronous copies, see cuda/cp_async.cuh.
#include <tenon/simt/site.hpp>

#include <cstring>

namespace tenon::inline host::arch {

template <int Bytes>
inline void cp_async(void* shared, void const* global, int source_bytes = Bytes, simt::site = simt::site::here()) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "tenon::arch::cp_async: Bytes must be 4, 8 or 16");
  if (source_bytes > 0) std::memcpy(shared, global, static_cast<std::size_t>(source_bytes));
  if (source_bytes < Bytes)
    std::memset(static_cast<char*>(shared) + source_bytes, 0, static_cast<std::size_t>(Bytes - source_bytes));
}

inline void cp_async_commit(simt::site = simt::site::here()) {}

template <int Pending>
inline void cp_async_wait(simt::site = simt::site::here()) {}

}  // namespace tenon::inline host::arch
