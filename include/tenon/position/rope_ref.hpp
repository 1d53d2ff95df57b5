#pragma once
//  The definition of rope.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/position/rope_options.hpp>

namespace tenon::ref {

/// (a, b) -> (a cos - b sin, b cos + a sin) for the pairs of every head's first rotary_dim elements, in place
template <class T, class Position, class Table>
void rope(tensor_view<T, 3> x, tensor_view<Position, 1> positions, tensor_view<Table, 2> cos_sin, rope_style style) {
  index_t const half = cos_sin.extent[1] / 2;
  for (index_t t = 0; t < x.extent[0]; ++t) {
    index_t const p = positions(t);
    if (p < 0 || p >= cos_sin.extent[0]) continue;
    for (index_t head = 0; head < x.extent[1]; ++head)
      for (index_t i = 0; i < half; ++i) {
        T&           a = x(t, head, style == rope_style::half_split ? i : 2 * i);
        T&           b = x(t, head, style == rope_style::half_split ? half + i : 2 * i + 1);
        double const c = double(cos_sin(p, i)), s = double(cos_sin(p, half + i));
        double const u = double(float(a)), v = double(float(b));
        a = T(float(u * c - v * s));
        b = T(float(v * c + u * s));
      }
  }
}

}  // namespace tenon::ref
