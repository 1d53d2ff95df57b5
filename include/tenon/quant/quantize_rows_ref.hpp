#pragma once
//  The definition of quantize_rows, in double precision.
#include <tenon/core/integer.hpp>
#include <tenon/core/nearest_code.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_rows.hpp>

#include <cmath>

namespace tenon::ref {

/// scale = max |x| / largest code of the row or group, or `scale` where that is positive;  code = round(x / scale)
template <row_code Code, class X>
void quantize_rows(tensor_view<Code, 2> codes, tensor_view<float, 2> scales, tensor_view<X, 2> x, int group = 0,
                   float scale = 0) {
  index_t const k = x.extent[1], width = group > 0 ? group : max(k, index_t{1});
  for (index_t i = 0; i < x.extent[0]; ++i)
    for (index_t g = 0; g < row_scales(k, group); ++g) {
      double absmax = 0;
      for (index_t j = g * width; j < min((g + 1) * width, k); ++j)
        absmax = std::fmax(absmax, std::abs(static_cast<double>(static_cast<float>(x(i, j)))));
      double const s = scale > 0 ? static_cast<double>(scale) : absmax / static_cast<double>(largest_code<Code>);
      scales(i, g)   = static_cast<float>(s);
      for (index_t j = g * width; j < min((g + 1) * width, k); ++j)
        codes(i, j) =
            nearest_code<Code>(s > 0 ? static_cast<float>(static_cast<double>(static_cast<float>(x(i, j))) / s) : 0.f);
    }
}

}  // namespace tenon::ref
