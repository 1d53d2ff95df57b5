// Configurations of the matrix product: a gated unit in bf16, quantised rows, and f32 with and without tf32.
#include <tenon/gemm/gemm.hpp>
#include <tenon/op/epilogue_rows.hpp>

#include <cstdint>

using tenon::bf16, tenon::tensor_view;

tenon::status gemm(tenon::context const& where, tensor_view<bf16, 2> d, tensor_view<bf16 const, 2> a,
                   tensor_view<bf16 const, 2> b) {
  return tenon::gemm(where, d, a, b, {}, tenon::epilogue::swiglu());
}
tenon::status gemm(tenon::context const& where, tensor_view<std::int8_t, 2> d, tensor_view<bf16 const, 2> a,
                   tensor_view<bf16 const, 2> b, tensor_view<float, 2> scales) {
  return tenon::gemm(where, d, a, b, {}, tenon::epilogue::quantize<std::int8_t>(scales));
}
tenon::status gemm(tenon::context const& where, tensor_view<float, 2> d, tensor_view<float const, 2> a,
                   tensor_view<float const, 2> b) {
  return tenon::gemm(where, d, a, b, {.allow_tf32 = true});
}
