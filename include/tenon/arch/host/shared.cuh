#pragma once
//  The block's dynamic shared memory, see cuda/shared.cuh.
#include <tenon/simt/launch.hpp>

namespace tenon::inline host::arch {

template <class Storage>
Storage& shared() {
  return *reinterpret_cast<Storage*>(simt::shared_memory);
}

}  // namespace tenon::inline host::arch
