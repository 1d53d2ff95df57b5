// One configuration of every operator that quantises rows.
#include <tenon/norm/rms_norm_quantize.hpp>
#include <tenon/quant/fake_quantize.hpp>
#include <tenon/quant/quantize_rows.hpp>
#include <tenon/quant/swiglu_quantize.hpp>

using tenon::bf16, tenon::e4m3, tenon::tensor_view;

template <class Code>
tenon::status quantize(tenon::context const& where, tensor_view<Code, 2> codes, tensor_view<float, 2> scales,
                       tensor_view<bf16, 2> x, tensor_view<bf16 const, 1> weight) {
  TENON_TRY(tenon::quantize_rows(where, codes, scales, x));
  TENON_TRY(tenon::swiglu_quantize(where, codes, scales, x));
  TENON_TRY(tenon::rms_norm_quantize(where, codes, scales, x, weight));
  return tenon::add_rms_norm_quantize(where, codes, scales, x, x, weight);
}
template tenon::status quantize(tenon::context const&, tensor_view<std::int8_t, 2>, tensor_view<float, 2>,
                                tensor_view<bf16, 2>, tensor_view<bf16 const, 1>);
template tenon::status quantize(tenon::context const&, tensor_view<e4m3, 2>, tensor_view<float, 2>,
                                tensor_view<bf16, 2>, tensor_view<bf16 const, 1>);
template tenon::status tenon::fake_quantize(tenon::context const&, tensor_view<bf16, 2>, tensor_view<float, 2>,
                                            tensor_view<bf16, 2>, tenon::fake_quantize_options,
                                            tenon::weight_rounding<tenon::weight_code::int4>);
