#pragma once
//  The definition of permute_columns.
#include <tenon/core/tensor_view.hpp>

namespace tenon::ref {

/// y[i,j] = x[i,order[j]], with 0 where order[j] is outside x
template <class Y, class X, class Index>
void permute_columns(tensor_view<Y, 2> y, tensor_view<X, 2> x, tensor_view<Index, 1> order) {
  for (index_t i = 0; i < y.extent[0]; ++i)
    for (index_t j = 0; j < y.extent[1]; ++j) {
      index_t const from = order(j);
      y(i, j)            = from >= 0 && from < x.extent[1] ? x(i, from) : Y(0.0f);
    }
}

}  // namespace tenon::ref
