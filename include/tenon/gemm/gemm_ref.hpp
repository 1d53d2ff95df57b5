#pragma once
//  The definition of gemm, in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_params.hpp>

namespace tenon::ref {

/// D[i,j] = epilogue(sum_k A[i,k] B[j,k]), with a pairwise epilogue of the sums for B's rows gate_row(j) and up_row(j)
template <class D, class T, gemm_epilogue Epilogue = identity>
void gemm(tensor_view<D, 2> d, tensor_view<T, 2> a, tensor_view<T, 2> b, Epilogue epilogue = {}) {
  auto const dot = [&](index_t i, index_t j) {
    double sum = 0;
    for (index_t k = 0; k < a.extent[1]; ++k) sum += double(float(a(i, k))) * double(float(b(j, k)));
    return float(sum);
  };
  for (index_t i = 0; i < d.extent[0]; ++i)
    for (index_t j = 0; j < d.extent[1]; ++j) {
      if constexpr (pairwise<Epilogue>) {
        d(i, j) = D(epilogue(dot(i, gate_row(j)), dot(i, up_row(j)), i, j));
      } else {
        d(i, j) = D(epilogue(dot(i, j), i, j));
      }
    }
}

}  // namespace tenon::ref
