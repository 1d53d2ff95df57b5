// One configuration of the matrix product.
#include <tenon/gemm/gemm.hpp>

using tenon::bf16, tenon::tensor_view;

tenon::status gemm(tenon::context const& where, tensor_view<bf16, 2> d, tensor_view<bf16 const, 2> a,
                   tensor_view<bf16 const, 2> b) {
  return tenon::gemm(where, d, a, b, {}, tenon::epilogue::swiglu());
}
