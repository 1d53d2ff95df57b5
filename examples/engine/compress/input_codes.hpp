#pragma once
//  What quantising the inputs of a product makes wrong of them.
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantize_rows_ref.hpp>

#include <cstdint>
#include <vector>

namespace tenon::engine {

/// Of x (rows, columns): codes times scales less x, in int8 or fp8; with a scale for all of them, or (0) one that each row finds.
/// The numbers are in `space`.
inline tensor_view<float const, 2> input_errors(tensor_view<float const, 2> x, bool fp8, float scale,
                                                std::vector<float>& space) {
  index_t const rows = x.extent[0], columns = x.extent[1];
  space.assign(static_cast<std::size_t>(x.size()), 0);
  auto const errors = dense(space.data(), rows, columns);
  auto const fill   = [&]<class Code>(Code) {
    std::vector<Code>  codes(static_cast<std::size_t>(x.size()));
    std::vector<float> scales(static_cast<std::size_t>(rows));
    auto const         c = dense(codes.data(), rows, columns);
    ref::quantize_rows(c, dense(scales.data(), rows, 1), x, 0, scale);
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; ++j)
        errors(i, j) = static_cast<float>(c(i, j)) * scales[static_cast<std::size_t>(i)] - x(i, j);
  };
  if (fp8) fill(e4m3{});
  else fill(std::int8_t{});
  return as_const(errors);
}

}  // namespace tenon::engine
