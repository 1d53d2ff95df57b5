#pragma once
//  Barriers and fences, see cuda/sync.cuh.
#include <tenon/simt/block.hpp>

#include <atomic>

namespace tenon::inline host::arch {

using simt::site;

inline void sync_block(site at = site::here()) {
  if (simt::block::current) simt::block::current->sync(at);
}

inline void sync_warp(unsigned mask = ~0u, site at = site::here()) {
  if (simt::block::current)
    simt::block::current->warp_collective(simt::warp_operation::sync, at, mask, nullptr, [](void* const*, unsigned) {});
}

inline void fence_device(site = site::here()) { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void fence_block(site = site::here()) { std::atomic_thread_fence(std::memory_order_seq_cst); }

}  // namespace tenon::inline host::arch
