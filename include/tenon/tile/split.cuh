#pragma once
//  A sum over K that several blocks share: each hands in its part of a tile, and the block that comes last adds all parts in
//  their order. So the result does not depend on who came when, and no block waits for another.
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>

namespace tenon::inline TENON_TARGET::tile {

/// Says that this block's part is in memory. True in the block that came last of `parts`: then all parts are there. `counter`
/// is zero before and after; `last` is the block's shared memory. Collective over the block; contains two barriers.
__device__ inline bool arrives_last(unsigned* counter, int parts, int thread, bool& last) {
  arch::sync_block();
  if (thread == 0) {
    unsigned const end = static_cast<unsigned>(parts) - 1;  // the count wraps to zero after it
    last               = arch::atomic_increment<arch::memory_order::acquire_release>(counter, end) == end;
  }
  arch::sync_block();
  return last;
}

/// Writes this block's part of a tile to partials[split], (splits, Rows, Columns) f32 for this tile, from load(v, r, c), four
/// neighbours from column c on, and arrives.
template <int Threads, int Rows, int Columns, class Load>
__device__ inline bool hand_in(float* partials, unsigned* counter, int split, int splits, int thread, bool& last,
                               Load const& load) {
  float* const mine = partials + static_cast<index_t>(split) * (Rows * Columns);
  for (int i = 4 * thread; i < Rows * Columns; i += 4 * Threads) {
    vec<float, 4> part;
    load(part.element, i / Columns, i % Columns);
    arch::store<4>(mine + i, part);
  }
  return arrives_last(counter, splits, thread, last);
}

/// Four neighbours of the sum of all parts, from part 0 on.
template <int Rows, int Columns>
__device__ inline void sum_parts(float (&v)[4], float const* partials, int splits, int row, int column) {
  float const* from = partials + row * Columns + column;
  TENON_UNROLL_DEVICE
  for (int e = 0; e < 4; ++e) v[e] = 0;
  for (int s = 0; s < splits; ++s, from += Rows * Columns) {
    auto const part = arch::load<4>(from);
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e) v[e] += part[e];
  }
}

}  // namespace tenon::inline TENON_TARGET::tile
