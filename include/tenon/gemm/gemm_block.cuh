#pragma once
//  Which part of which product a block of the dense kernels makes, and how it ends: sums, through the parts of K that other
//  blocks have, through the epilogue, into D.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/tile/finish.cuh>
#include <tenon/tile/split.cuh>

namespace tenon::inline TENON_TARGET::kernel {

/// One block's share of the work, its views those of its own matrix of the batch.
template <class D, class T>
struct gemm_block {
  index_t                 tile;   // of this D
  index_t                 batch;  // which matrix
  int                     split;  // which part of K
  tensor_view<D, 2>       d;      // rows batch * m .. batch * m + m - 1 are this matrix: an epilogue's rows
  tensor_view<T const, 2> a, b;

  template <class Pipeline>
  __device__ explicit gemm_block(gemm_params<D, T, Pipeline> const& p) : d(p.d), a(p.a), b(p.b) {
    index_t const index = blockIdx.x, part = index / p.tiles;
    tile  = index - part * p.tiles;
    batch = part / p.splits;
    split = static_cast<int>(part - batch * p.splits);
    a.data += batch * p.a_batch, b.data += batch * p.b_batch;
    d.data += batch * (p.d_batch - d.extent[0] * d.stride[0]);
    d.extent[0] *= batch + 1;
  }
  /// This matrix's first row in d.
  __device__ index_t first_row(index_t m) const { return batch * m; }
};

/// Where tile `tile` of D starts, in D's rows and B's. Tiles are numbered in bands of eight rows of tiles, down each column of
/// a band, then across: blocks that run together share their rows of A and B in L2.
struct gemm_tile_place {
  index_t row, b_row;
};
template <class Policy, class Pipeline>
__device__ inline gemm_tile_place place_gemm_tile(index_t tile, index_t m, index_t n) {
  constexpr unsigned band    = 8;
  constexpr int      columns = Policy::value.d_columns(needs_of<Pipeline>());
  unsigned const     t       = static_cast<unsigned>(tile);
  unsigned const     down    = static_cast<unsigned>(ceil_div(m, Policy::value.rows));
  unsigned const     across  = static_cast<unsigned>(ceil_div(n, columns));
  unsigned const     first   = t / (band * across) * band;
  unsigned const     height  = min(band, down - first);
  return {static_cast<index_t>(first + t % (band * across) % height) * Policy::value.rows,
          static_cast<index_t>(t % (band * across) / height) * Policy::value.columns};
}

/// Shared memory of a block's end. It takes the place of the ring of tiles, and where the whole tile of sums would not fit
/// there, it goes by slices of rows.
template <class Policy, class Pipeline>
struct gemm_end_storage {
  static constexpr int slice = Policy::value.slice_rows();
  using sums                 = tile::sums<slice, Policy::value.columns, Policy::value.swapped>;

  sums                              parts[Policy::value.split];  // of the warps that share a stage's K
  tile::row_values<Pipeline, slice> values;
  bool                              last;
};

/// The end of a block. put(sums, row) lays this warp's sums of rows row.. of the tile into a slice. Collective over the block;
/// shared memory must be free.
template <class Policy, class D, class T, class Pipeline, class Put>
__device__ inline void end_gemm_block(gemm_params<D, T, Pipeline> const& p, gemm_block<D, T> const& block,
                                      gemm_tile_place const& place, Put const& put) {
  constexpr gemm_policy policy = Policy::value;
  using storage                = gemm_end_storage<Policy, Pipeline>;
  constexpr int slice = storage::slice, slices = policy.rows / slice, columns = policy.columns;
  auto&         shared = arch::shared<storage>();
  int const     thread = static_cast<int>(threadIdx.x);
  index_t const begin  = block.first_row(p.d.extent[0]) + place.row;  // of the tile, in block.d

  for (int s = 0; s < slices; ++s) {
    index_t const row = begin + s * slice;
    if (row >= block.d.extent[0]) break;
    if (s > 0) arch::sync_block();  // the slice before is read
    put(shared.parts, s * slice);

    index_t const at       = (block.batch * p.tiles + block.tile) * slices + s;
    float* const  partials = p.splits > 1 ? p.partials + at * p.splits * (slice * columns) : nullptr;
    auto const    own      = [&](float(&v)[4], int r, int c) {
      shared.parts[0].get(v, r, c);
      TENON_UNROLL_DEVICE
      for (int part = 1; part < policy.split; ++part) {
        float more[4];
        shared.parts[part].get(more, r, c);
        TENON_UNROLL_DEVICE
        for (int e = 0; e < 4; ++e) v[e] += more[e];
      }
    };
    if (p.splits > 1) {
      arch::sync_block();
      if (!tile::hand_in<policy.threads, slice, columns>(partials, p.counters + at, block.split, p.splits, thread,
                                                         shared.last, own))
        continue;
    }
    shared.values.make(p.epilogue, row, block.d.extent[0], policy.threads / 32);
    arch::sync_block();
    tile::finish<policy.threads, slice, columns>(block.d, p.epilogue, shared.values, row, place.b_row, thread,
                                                 [&](float(&v)[4], int r, int c) {
                                                   if (p.splits > 1)
                                                     tile::sum_parts<slice, columns>(v, partials, p.splits, r, c);
                                                   else own(v, r, c);
                                                 });
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
