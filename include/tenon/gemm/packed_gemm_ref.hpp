#pragma once
//  The definition of the product with a quantised weight, in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_ref.hpp>
#include <tenon/quant/quantized_rows.hpp>
#include <tenon/quant/quantized_weight.hpp>

namespace tenon::ref {

/// D[i,j] = epilogue(sum_k A[i,k] w[j,k]), w = factor scale (code - zero). Columns are those of the codes: where w.order is
/// there, A is in that order already.
template <class D, class T, gemm_epilogue Epilogue = identity>
void gemm(tensor_view<D, 2> d, tensor_view<T, 2> a, quantized_weight const& w, Epilogue epilogue = {}) {
  for (index_t i = 0; i < d.extent[0]; ++i)
    finish_row(d, i, epilogue, [&](index_t j) {
      double sum = 0;
      for (index_t k = 0; j < w.rows && k < w.columns; ++k)
        sum += double(float(a(i, k))) * double(w.scale(j, k)) * double(w.number(j, k));
      return float(sum);
    });
}

/// The same with A = scales codes.
template <class D, class Code, gemm_epilogue Epilogue = identity>
void gemm(tensor_view<D, 2> d, quantized_rows<Code> const& a, quantized_weight const& w, Epilogue epilogue = {}) {
  for (index_t i = 0; i < d.extent[0]; ++i)
    finish_row(d, i, epilogue, [&](index_t j) {
      double sum = 0;
      for (index_t k = 0; j < w.rows && k < w.columns; ++k)
        sum += double(a.scale(i, k)) * double(float(a.codes(i, k))) * double(w.scale(j, k)) * double(w.number(j, k));
      return float(sum);
    });
}

}  // namespace tenon::ref
