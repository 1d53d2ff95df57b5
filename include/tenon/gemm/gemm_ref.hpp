#pragma once
//  The definition of gemm, in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/store_as.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_params.hpp>

namespace tenon::ref {

/// D's row i = epilogue of the row's sums, dot(b_row) for each row of B
template <class D, gemm_epilogue Epilogue, class Dot>
void finish_row(tensor_view<D, 2> d, index_t i, Epilogue const& epilogue, Dot const& dot) {
  using pipeline     = epilogue::pipeline_of<Epilogue>;
  constexpr int  run = pipeline::segment > 8 ? pipeline::segment : 8;
  pipeline const stages(epilogue::from(epilogue));
  float          values[pipeline::row_values + 1] = {};
  stages.each_row_value([&](auto const& stage, int v) { values[v] = stage.row_value(stage.row_term(i, 0, 1)); });
  index_t const n = d.extent[1];
  for (index_t j = 0; j < n; j += run) {
    int const count  = static_cast<int>(n - j < run ? n - j : run);
    float     v[run] = {}, up[run] = {};
    for (int e = 0; e < count; ++e) {
      if constexpr (pipeline::paired) v[e] = dot(gate_row(j + e)), up[e] = dot(up_row(j + e));
      else v[e] = dot(j + e);
    }
    if constexpr (pipeline::paired) stages.run(epilogue::own_segment{}, v, up, i, j, count, values);
    else stages.run(epilogue::own_segment{}, v, i, j, count, values);
    for (int e = 0; e < count; ++e) d(i, j + e) = store_as<D>(v[e]);
  }
}

/// D[i,j] = epilogue(sum_k A[i,k] B[j,k]), with a pairwise epilogue of the sums for B's rows gate_row(j) and up_row(j)
template <class D, class T, gemm_epilogue Epilogue = identity>
void gemm(tensor_view<D, 2> d, tensor_view<T, 2> a, tensor_view<T, 2> b, Epilogue epilogue = {}) {
  for (index_t i = 0; i < d.extent[0]; ++i)
    finish_row(d, i, epilogue, [&](index_t j) {
      double sum = 0;
      for (index_t k = 0; k < a.extent[1]; ++k) sum += double(float(a(i, k))) * double(float(b(j, k)));
      return float(sum);
    });
}

}  // namespace tenon::ref
