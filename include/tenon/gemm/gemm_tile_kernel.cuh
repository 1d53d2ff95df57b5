#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) in true fp32 on CUDA cores, by tiles.
//
//  The ring of gemm_mma_kernel.cuh; each thread multiplies tile_rows x tile_columns of a stage. A warp's 4 x 8 threads take
//  neighbouring rows, so that eight lanes read one chunk of eight rows (what the swizzle spreads over all banks) or all the
//  same one. An element's sum runs over k in order, one fused multiply-add each: the same bits in every tile.
//  Traffic: A once per column of blocks, B once per row of blocks, through L2; D once.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>
#include <tenon/gemm/gemm_tile_loop.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class D, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads,
                             1) void gemm_tile(__grid_constant__ gemm_params<D, float, Pipeline> const p) {
  // Index map.
  auto&                      ring = arch::shared<gemm_ring<Policy, float>>();
  gemm_block<D, float> const block(p);
  auto const                 place = place_gemm_tile<Policy, Pipeline>(block.tile, p.d.extent[0], p.d.extent[1]);

  // Load and multiply: this block's tiles of K.
  int const  tiles = static_cast<int>(ceil_div(p.a.extent[1], gemm_ring<Policy, float>::depth));
  int const  first = static_cast<int>(static_cast<index_t>(tiles) * block.split / p.splits);
  int const  end   = static_cast<int>(static_cast<index_t>(tiles) * (block.split + 1) / p.splits);
  auto const fetch = [&](int t, int stage) { ring.fetch(block.a, block.b, place, t, end, stage); };

  gemm_tile_product<Policy> product;
  product.add(ring, first, end, fetch);

  end_gemm_block<Policy>(p, block, place, [&](auto* parts, int row) { product.template put<Pipeline>(parts, row); });
}

}  // namespace tenon::inline TENON_TARGET::kernel
