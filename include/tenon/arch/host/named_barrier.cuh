#pragma once
//  Barriers of part of a block, see cuda/named_barrier.cuh.
#include <tenon/simt/machine.hpp>

namespace tenon::inline host::arch {

inline void sync_named(int id, int threads, simt::site at = simt::site::here()) {
  simt::machine::sync_named(id, threads, at);
}
inline void arrive_named(int id, int threads, simt::site at = simt::site::here()) {
  simt::machine::arrive_named(id, threads, at);
}

}  // namespace tenon::inline host::arch
