#pragma once
//  The definition of embedding_gather.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon::ref {

/// y[t,h] = epilogue(table[ids[t],h]), with 0 for the table's value where ids[t] is outside it
template <class Y, class T, class Id, elementwise Epilogue>
void embedding_gather(tensor_view<Y, 2> y, tensor_view<T, 2> table, tensor_view<Id, 1> ids, Epilogue epilogue) {
  for (index_t t = 0; t < y.extent[0]; ++t)
    for (index_t h = 0; h < y.extent[1]; ++h) {
      index_t const id = ids(t);
      y(t, h)          = Y(epilogue(id >= 0 && id < table.extent[0] ? static_cast<float>(table(id, h)) : 0.0f, t, h));
    }
}

}  // namespace tenon::ref
