#pragma once
//  The definition of fake_quantize, in double precision.
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_rows.hpp>

#include <cmath>
#include <type_traits>

namespace tenon::ref {

/// y = s clamp(round(x / s), -largest, largest) with s = max |x| / largest of the row or group. `Number` is what x / s
/// is rounded to: std::int8_t (integers) or e4m3.
template <class Number, class T, class X>
void fake_quantize(tensor_view<T, 2> y, tensor_view<float, 2> scales, tensor_view<X, 2> x, double largest,
                   int group = 0) {
  index_t const k = x.extent[1], width = group > 0 ? group : max(k, index_t{1});
  for (index_t i = 0; i < x.extent[0]; ++i)
    for (index_t g = 0; g < row_scales(k, group); ++g) {
      index_t const end    = min((g + 1) * width, k);
      double        absmax = 0;
      for (index_t j = g * width; j < end; ++j)
        absmax = std::fmax(absmax, std::abs(static_cast<double>(static_cast<float>(x(i, j)))));
      double const s = absmax / largest;
      scales(i, g)   = static_cast<float>(s);
      for (index_t j = g * width; j < end; ++j) {
        double const v = s > 0 ? static_cast<double>(static_cast<float>(x(i, j))) / s : 0.;
        double const c = v < -largest ? -largest : v > largest ? largest : v;
        double       n = std::nearbyint(c);
        if constexpr (std::is_same_v<Number, e4m3>)
          n = static_cast<double>(static_cast<float>(e4m3(static_cast<float>(c))));
        y(i, j) = T(static_cast<float>(s * n));
      }
    }
}

}  // namespace tenon::ref
