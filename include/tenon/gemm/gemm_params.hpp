#pragma once
//  What every kernel of the dense product takes.
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon {

/// An epilogue of one value, or of a gate and an up.
template <class E>
concept gemm_epilogue = epilogue::stages<E>;

/// D[i,j] = epilogue(sum_k A[i,k] B[j,k])
template <class D, class T, gemm_epilogue Epilogue>
struct gemm_params {
  static constexpr bool paired = epilogue::pipeline_of<Epilogue>::paired;

  tensor_view<D, 2>       d;  // (m, n)
  tensor_view<T const, 2> a;  // (m, k)
  tensor_view<T const, 2> b;  // (n, k), or (paired_rows(n), k)
  Epilogue                epilogue;
};

}  // namespace tenon
