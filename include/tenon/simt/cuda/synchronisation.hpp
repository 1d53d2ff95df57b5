#pragma once
//  Barriers and fences of CUDA C++.
#include <tenon/simt/machine.hpp>

inline void __syncthreads(tenon::simt::site at = tenon::simt::site::here()) { tenon::simt::machine::sync_block(at); }
inline int  __syncthreads_count(int predicate, tenon::simt::site at = tenon::simt::site::here()) {
   return tenon::simt::machine::sync_block_vote(tenon::simt::block_vote_mode::count, predicate != 0, at);
}
inline int __syncthreads_and(int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::sync_block_vote(tenon::simt::block_vote_mode::all, predicate != 0, at) != 0;
}
inline int __syncthreads_or(int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::sync_block_vote(tenon::simt::block_vote_mode::any, predicate != 0, at) != 0;
}
inline void __syncwarp(unsigned mask = ~0u, tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::sync_warp(mask, at);
}

inline void __threadfence_block(tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::fence(tenon::simt::scope::block, at);
}
inline void __threadfence(tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::fence(tenon::simt::scope::device, at);
}
/// There is one device, and the host waits for its end.
inline void __threadfence_system(tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::fence(tenon::simt::scope::device, at);
}
