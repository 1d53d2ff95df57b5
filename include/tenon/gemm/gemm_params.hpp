#pragma once
//  What every kernel of the dense product takes.
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon {

/// An epilogue of one value, or of a gate and an up.
template <class E>
concept gemm_epilogue = epilogue::stages<E>;

/// D[i,j] = epilogue(sum_k A[i,k] B[j,k]) of one matrix, or of each matrix of a batch. A block's number counts tiles of D,
/// then parts of K, then matrices.
template <class D, class T, class Pipeline>
struct gemm_params {
  using pipeline               = Pipeline;
  static constexpr bool paired = Pipeline::paired;
  static_assert(Pipeline::segment != 2 && Pipeline::segment <= 128 &&
                    (Pipeline::segment & (Pipeline::segment - 1)) == 0,
                "tenon::gemm_params: stages look along 4, 8, 16, 32, 64 or 128 columns");

  tensor_view<D, 2>       d;  // (m, n)
  tensor_view<T const, 2> a;  // (m, k)
  tensor_view<T const, 2> b;  // (n, k), or (paired_rows(n), k)
  Pipeline                epilogue;
  index_t                 d_batch = 0, a_batch = 0, b_batch = 0;  // elements from one matrix to the next
  index_t                 tiles    = 1;                           // of one D
  int                     splits   = 1;                           // blocks that share a tile's sum over K
  float*                  partials = nullptr;                     // (tiles of the batch, splits, rows, columns)
  unsigned*               counters = nullptr;                     // one per tile and slice
};

}  // namespace tenon
