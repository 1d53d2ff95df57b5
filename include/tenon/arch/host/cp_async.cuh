#pragma once
//  Asynchronous copies, see cuda/cp_async.cuh. A plain build copies at once; a checked build delivers when told to.
#include <tenon/simt/machine.hpp>

namespace tenon::inline host::arch {

template <int Bytes, int Prefetch = 0>
inline void cp_async(void* shared, void const* global, int source_bytes = Bytes, simt::site at = simt::site::here()) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "tenon::arch::cp_async: Bytes must be 4, 8 or 16");
  static_assert(Prefetch == 0 || Prefetch == 128 || Prefetch == 256,
                "tenon::arch::cp_async: Prefetch must be 0, 128 or 256");
  simt::machine::cp_async(shared, global, Bytes, source_bytes, at);
}

inline void cp_async_commit(simt::site at = simt::site::here()) { simt::machine::cp_async_commit(at); }

template <int Pending>
inline void cp_async_wait(simt::site at = simt::site::here()) {
  simt::machine::cp_async_wait(Pending, at);
}

}  // namespace tenon::inline host::arch
