#pragma once
//  The block's dynamic shared memory, see cuda/shared.cuh.
#include <tenon/simt/launch.hpp>
#include <tenon/simt/type_anchor.hpp>

namespace tenon::inline host::arch {

template <class Storage>
Storage& shared([[maybe_unused]] simt::site at = simt::site::here()) {
#if TENON_CHECKED
  return *reinterpret_cast<Storage*>(simt::machine::shared_memory(sizeof(Storage), at, simt::anchor_of<Storage>()));
#else
  return *reinterpret_cast<Storage*>(simt::shared_memory);
#endif
}

}  // namespace tenon::inline host::arch
