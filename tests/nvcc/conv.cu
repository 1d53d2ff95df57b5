// Configurations of the convolution: a layer of a residual network in bf16, f32, and int8 to int8.
#include <tenon/conv/conv2d.hpp>

#include <cstdint>

using tenon::bf16, tenon::tensor_view;
namespace epilogue = tenon::epilogue;

tenon::status conv(tenon::context const& where, tensor_view<bf16, 4> y, tensor_view<bf16 const, 4> x,
                   tensor_view<bf16 const, 4> w, tensor_view<float const, 1> factors,
                   tensor_view<float const, 1> shifts, tensor_view<bf16 const, 2> residual) {
  return tenon::conv2d(
      where, y, x, w, {.padding = {1, 1}},
      epilogue::scale_shift_columns(factors, shifts) | epilogue::residual(residual) | epilogue::relu());
}
tenon::status conv(tenon::context const& where, tensor_view<float, 4> y, tensor_view<float const, 4> x,
                   tensor_view<float const, 4> w) {
  return tenon::conv2d(where, y, x, w);
}
tenon::status conv(tenon::context const& where, tensor_view<std::int8_t, 4> y, tensor_view<std::int8_t const, 4> x,
                   tensor_view<std::int8_t const, 4> w, tensor_view<float const, 1> scales) {
  return tenon::conv2d(where, y, x, w, {}, epilogue::scale_columns(scales) | epilogue::relu());
}
