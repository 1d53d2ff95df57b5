// One configuration of the product with packed weights, and of the weight made dense.
#include <tenon/gemm/packed_gemm.hpp>
#include <tenon/quant/dequantize.hpp>

using tenon::bf16, tenon::tensor_view;
using weight = tenon::packed_weight<tenon::weight_code::int4, tenon::scale_kind::group, tenon::pack_order::pairs>;

tenon::status multiply(tenon::context const& where, tensor_view<bf16, 2> d, tensor_view<bf16 const, 2> a, weight b) {
  return tenon::gemm(where, d, a, b);
}

tenon::status widen(tenon::context const& where, tensor_view<bf16, 2> w, weight b) {
  return tenon::dequantize(where, w, b);
}
