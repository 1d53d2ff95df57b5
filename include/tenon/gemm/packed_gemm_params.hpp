#pragma once
//  What every kernel of the product with packed weights takes.
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_params.hpp>
#include <tenon/op/epilogue_pipeline.hpp>
#include <tenon/quant/packed_weight.hpp>

namespace tenon {

/// D[i,j] = epilogue(a_scale[i] sum_k A[i,k] w[j,k]), w = scale (code - zero)
template <class D, class A, class Weight, gemm_epilogue Epilogue>
struct packed_gemm_params {
  using pipeline               = epilogue::pipeline_of<Epilogue>;
  static constexpr bool paired = pipeline::paired;

  tensor_view<D, 2>           d;              // (m, n)
  tensor_view<A const, 2>     a;              // (m, k): f32, f16, bf16; int8_t and e4m3 with scales
  Weight                      b;              // (n, k), or (paired_rows(n), k)
  tensor_view<float const, 2> a_scales = {};  // (m, groups): of 8-bit inputs; groups is 1, or one per a_group columns
  int                         a_group  = 0;
  int                         splits   = 1;  // blocks that share the sum of one tile (tile/split.cuh)
  float*                      partials = nullptr;
  unsigned*                   counters = nullptr;
  pipeline                    epilogue;
};

}  // namespace tenon
