#pragma once
//  Barriers and fences, see cuda/sync.cuh.
#include <tenon/simt/machine.hpp>

namespace tenon::inline host::arch {

using simt::site;

inline void sync_block(site at = site::here()) { simt::machine::sync_block(at); }
inline void sync_warp(unsigned mask = ~0u, site at = site::here()) { simt::machine::sync_warp(mask, at); }
inline void fence_device(site at = site::here()) { simt::machine::fence(simt::scope::device, at); }
inline void fence_block(site at = site::here()) { simt::machine::fence(simt::scope::block, at); }
inline void fence_proxy_async(site at = site::here()) { simt::machine::fence_proxy_async(at); }
/// Blocks are not in clusters here, and the asynchronous engines see barriers as threads do: nothing is missing without it.
inline void fence_mbarrier_init() {}

}  // namespace tenon::inline host::arch
