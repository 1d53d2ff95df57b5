#pragma once
//  Bulk copies, see cuda/bulk.cuh. A plain build copies at once; a checked build delivers when told to.
#include <tenon/arch/host/mbarrier.cuh>
#include <tenon/simt/machine.hpp>

namespace tenon::inline host::arch {

inline void bulk_load(void* shared, void const* global, int bytes, mbarrier* b, simt::site at = simt::site::here()) {
  simt::machine::bulk_load(shared, global, bytes, b, at);
}
inline void bulk_store(void* global, void const* shared, int bytes, simt::site at = simt::site::here()) {
  simt::machine::bulk_store(global, shared, bytes, at);
}
inline void bulk_commit(simt::site at = simt::site::here()) { simt::machine::bulk_commit(at); }

template <int Pending>
inline void bulk_wait(simt::site at = simt::site::here()) {
  simt::machine::bulk_wait(Pending, false, at);
}
template <int Pending>
inline void bulk_wait_read(simt::site at = simt::site::here()) {
  simt::machine::bulk_wait(Pending, true, at);
}

inline void bulk_prefetch(void const*, int) {}

}  // namespace tenon::inline host::arch
