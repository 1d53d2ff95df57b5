#pragma once
//  D[i,j] = epilogue(sum_k A[i,k] B[j,k]) on tensor cores: f16, bf16, and f32 rounded to tf32; fp32 accumulators.
//
//  A block computes rows x columns of D. Tiles of A and B, 2 depth bytes of K wide, travel through a ring of `stages`
//  swizzled shared tiles: cp.async keeps stages - 1 of them in flight, one barrier per tile. Each warp multiplies
//  tile_rows x tile_columns of it, fragments of step s + 1 loading while those of step s multiply. What lies outside A and
//  B is zeros in shared memory, so nothing depends on m, n or k being multiples of anything.
//
//  Which operand is the fragments' sixteen rows is the policy's: A's, or, swapped, B's, whose eight columns then are tokens.
//  With split > 1 the warps share the steps of each stage as well, and their sums meet at the end.
//
//  An element's sum runs over K in steps of one mma, in order, in every policy without a split, whichever way round: the same
//  row has the same bits in every tile. Traffic: A once per column of blocks, B once per row of blocks, through L2; D once.
//  The multistage loop follows NVIDIA/cutlass, include/cutlass/gemm/threadblock/mma_multistage.h (idea).
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_mma_loop.cuh>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class D, class T, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads,
                             1) void gemm_mma(__grid_constant__ gemm_params<D, T, Pipeline> const p) {
  // Index map.
  auto&                  ring = arch::shared<gemm_ring<Policy, T>>();
  gemm_block<D, T> const block(p);
  auto const             place = place_gemm_tile<Policy, Pipeline>(block.tile, p.d.extent[0], p.d.extent[1]);

  // Load and multiply: this block's tiles of K.
  int const  tiles = static_cast<int>(ceil_div(p.a.extent[1], gemm_ring<Policy, T>::depth));
  int const  first = static_cast<int>(static_cast<index_t>(tiles) * block.split / p.splits);
  int const  end   = static_cast<int>(static_cast<index_t>(tiles) * (block.split + 1) / p.splits);
  auto const fetch = [&](int t, int stage) { ring.fetch(block.a, block.b, place, t, end, stage); };

  gemm_mma_product<Policy, T> product;
  product.add(ring, first, end, fetch);

  end_gemm_block<Policy>(p, block, place, [&](auto* parts, int row) { product.template put<Pipeline>(parts, row); });
}

}  // namespace tenon::inline TENON_TARGET::kernel
