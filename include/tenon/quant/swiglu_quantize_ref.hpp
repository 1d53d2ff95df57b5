#pragma once
//  The definition of swiglu_quantize, in double precision but for the functor.
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/quant/quantize_rows_ref.hpp>

#include <vector>

namespace tenon::ref {

/// quantize_rows of pair(gate, up)
template <row_code Code, class X, pairwise Pair>
void swiglu_quantize(tensor_view<Code, 2> codes, tensor_view<float, 2> scales, tensor_view<X, 2> gate,
                     tensor_view<X, 2> up, int group, float scale, Pair pair) {
  std::vector<float> v(static_cast<std::size_t>(codes.size()));
  auto const         y = dense(v.data(), codes.extent[0], codes.extent[1]);
  for (index_t i = 0; i < y.extent[0]; ++i)
    for (index_t j = 0; j < y.extent[1]; ++j)
      y(i, j) = pair(static_cast<float>(gate(i, j)), static_cast<float>(up(i, j)), i, j);
  quantize_rows(codes, scales, y, group, scale);
}

}  // namespace tenon::ref
