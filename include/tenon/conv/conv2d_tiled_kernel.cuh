#pragma once
//  y[b,i,j,o] = epilogue(sum_{p,q,c} w[o,p,q,c] x[b, i stride - padding + p dilation, j .., c]) as a dense product whose A is
//  never stored: row = pixel of y, column = (tap p, q; channel c), and B = w as it is.
//
//  A block computes rows x columns of the product with the main loops and the end of gemm: gemm_mma_loop.cuh (f16, bf16, int8
//  summed in int32) or gemm_tile_loop.cuh (f32). Only what fills a stage of A differs (conv2d_block.cuh): where each row starts
//  in x is worked out once per block, and a thread's sixteen bytes of a stage are one tap for all its rows, so a stage costs a
//  thread two divisions. Padding is a copy of no bytes, which leaves zeros.
//  Traffic: x kernel_h kernel_w / stride^2 times per column of blocks, from L2 where neighbouring tiles share it; w once per row
//  of blocks; y once.
//  Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014 (the product that is not stored).
#include <tenon/arch/arch.cuh>
#include <tenon/conv/conv2d_block.cuh>
#include <tenon/conv/conv2d_params.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_mma_loop.cuh>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>
#include <tenon/gemm/gemm_tile_loop.cuh>

#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class D, class T, class Pipeline>
__global__ __launch_bounds__(Policy::value.threads,
                             1) void conv2d_tiled(__grid_constant__ conv2d_params<D, T, Pipeline> const p) {
  constexpr bool tensor_cores = Policy::value.kind == gemm_kind::mma;
  using product_type = std::conditional_t<tensor_cores, gemm_mma_product<Policy, T>, gemm_tile_product<Policy>>;

  // Index map.
  auto&                    shared = arch::shared<conv2d_storage<Policy, T>>();
  conv2d_block<D, T> const block(p);
  index_t const            m     = p.product.d.extent[0];
  auto                     place = place_gemm_tile<Policy, Pipeline>(block.tile_of_group, m, p.group_columns);
  place.b_row += block.first_column;
  shared.make_pixels(p.image, place.row, m);

  // Load and multiply.
  int const  end   = static_cast<int>(ceil_div(p.depth, gemm_ring<Policy, T>::depth));
  auto const fetch = [&](int t, int stage) { shared.fetch(p.image, block, p.depth, place, t, end, stage); };

  product_type product;
  product.add(shared.ring, 0, end, fetch);

  // Fuse and store.
  end_gemm_block<Policy>(p.product, block, place,
                         [&](auto* parts, int row) { product.template put<Pipeline>(parts, row); });
}

}  // namespace tenon::inline TENON_TARGET::kernel
