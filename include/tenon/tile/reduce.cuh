#pragma once
//  Reductions over a warp and over a block, in an order that the shape alone fixes.
#include <tenon/arch/arch.cuh>
#include <tenon/config.hpp>

namespace tenon::inline TENON_TARGET::tile {

struct plus {
  __device__ constexpr float operator()(float a, float b) const { return a + b; }
};
struct maximum {
  __device__ constexpr float operator()(float a, float b) const { return a < b ? b : a; }
};

/// Reduction over the 32 lanes; every lane gets it. Collective over the warp.
template <class T, class Operation>
__device__ inline T warp_reduce(T v, Operation operation) {
  TENON_UNROLL
  for (int lanes = 16; lanes > 0; lanes /= 2) v = operation(v, arch::shuffle_xor(v, lanes));
  return v;
}

/// Reduction over a block of Threads (1, or a multiple of 32); every thread gets it. Collective over the block, one
/// barrier; the storage may be used again after another one.
template <int Threads, class T = float>
struct block_reduce {
  static_assert(Threads == 1 || (Threads % 32 == 0 && Threads <= 1024),
                "tenon::tile::block_reduce: Threads must be 1 or a multiple of 32 up to 1024");

  struct storage {
    T warp[(Threads + 31) / 32];
  };
  storage& shared;

  template <class Operation>
  __device__ T operator()(T v, Operation operation) const {
    if constexpr (Threads == 1) {
      return v;
    } else {
      v = warp_reduce(v, operation);
      if (arch::lane() == 0) shared.warp[arch::warp()] = v;
      arch::sync_block();
      T all = shared.warp[0];
      TENON_UNROLL
      for (int w = 1; w < Threads / 32; ++w) all = operation(all, shared.warp[w]);
      return all;
    }
  }
};

}  // namespace tenon::inline TENON_TARGET::tile
