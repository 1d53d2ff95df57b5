#pragma once
//  The definition of dequantize.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_weight.hpp>

namespace tenon::ref {

/// w[i,j] = factor * scale[i / block_rows, j / group] * (value(code[i,j]) - zero[i, j / group]), columns as the codes have them
template <class W>
void dequantize(tensor_view<W, 2> w, quantized_weight const& q) {
  for (index_t i = 0; i < w.extent[0]; ++i)
    for (index_t j = 0; j < w.extent[1]; ++j) w(i, j) = W(q.scale(i, j) * q.number(i, j));
}

}  // namespace tenon::ref
