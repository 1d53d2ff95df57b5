#pragma once
//  The definitions of model/packed_product.hpp, included once for each target and number format.
#include <tenon/core/numeric.hpp>
#include <tenon/gemm/packed_gemm.hpp>
#include <tenon/quant/permute_columns.hpp>
#include <tenon/quant/quantize_rows.hpp>

#include <type_traits>

#include "engine/model/packed_product.hpp"

namespace tenon::engine::inline TENON_TARGET {

namespace detail {

template <class Code, class T>
quantized_rows<Code const> rows_of(product_input<T> const& in) {
  index_t const tokens = in.values.extent[0], k = in.values.extent[1];
  return {tenon::dense(reinterpret_cast<Code const*>(in.codes), tokens, k),
          tenon::dense(static_cast<float const*>(in.scales), tokens, row_scales(k, in.form.group)), in.form.group};
}

template <class Code, class T>
status quantize_input(context const& where, product_input<T> const& in) {
  index_t const tokens = in.values.extent[0], k = in.values.extent[1];
  return quantize_rows(where, tenon::dense(reinterpret_cast<Code*>(in.codes), tokens, k),
                       tenon::dense(in.scales, tokens, row_scales(k, in.form.group)), in.values,
                       {.group = in.form.group, .scale = in.form.scale});
}

/// The kernel for the inputs and the layout that are there: int8 inputs meet int8 rows, fp8 inputs fp8 rows and blocks.
/// A gated pair has no blocks of rows: two matrices do not share them.
template <bool Paired, class T, class Finish>
status product(context const& where, tensor_view<T, 2> d, product_input<T> const& in, packed_layout const& layout,
               std::byte const* b, Finish const& finish) {
  auto const with = [&](auto const& input, auto const& weight) -> status {
    using packed = std::remove_cvref_t<decltype(weight)>;
    if constexpr (Paired && packed::scales == scale_kind::block)
      return {errc::unsupported, "packed_product", "blocks of rows of a gated pair"};
    else return gemm(where, d, input, weight, {}, finish);
  };
  switch (in.form.kind) {
    case input_kind::plain: return visit_packed<T>(layout, b, [&](auto const& w) { return with(in.values, w); });
    case input_kind::int8:
      if (layout.code != weight_code::int8 || layout.scales != scale_kind::row) break;
      return with(rows_of<std::int8_t>(in),
                  packed_weight<weight_code::int8, scale_kind::row, pack_order::quads>{layout, b});
    case input_kind::fp8:
      if (layout.code != weight_code::fp8) break;
      if (layout.scales == scale_kind::row)
        return with(rows_of<e4m3>(in), packed_weight<weight_code::fp8, scale_kind::row, pack_order::quads>{layout, b});
      return with(rows_of<e4m3>(in), packed_weight<weight_code::fp8, scale_kind::block, pack_order::quads>{layout, b});
  }
  return {errc::unsupported, "packed_product", "inputs"};
}

}  // namespace detail

template <class T>
status quantize_input(context const& where, product_input<T> const& in) {
  switch (in.form.kind) {
    case input_kind::plain: return {};
    case input_kind::int8: return detail::quantize_input<std::int8_t>(where, in);
    case input_kind::fp8: return detail::quantize_input<e4m3>(where, in);
  }
  return {};
}

template <class T>
status packed_product(context const& where, tensor_view<T, 2> d, product_input<T> const& in,
                      packed_layout const& layout, std::byte const* b, product_finish<T> const& finish) {
  return detail::product<false>(where, d, in, layout, b, finish);
}

template <class T>
status packed_gated_product(context const& where, tensor_view<T, 2> d, product_input<T> const& in,
                            packed_layout const& layout, std::byte const* b, T const* bias,
                            gate_activation activation) {
  return detail::product<true>(where, d, in, layout, b, gated_finish(bias, activation));
}

template <class T>
status permute_input(context const& where, tensor_view<T, 2> to, tensor_view<T const, 2> from,
                     tensor_view<std::int32_t const, 1> order) {
  return permute_columns(where, to, from, order);
}

/// Everything for one number format.
#define TENON_ENGINE_PACKED_PRODUCT(T)                                                                                \
  template status quantize_input<T>(context const&, product_input<T> const&);                                         \
  template status packed_product<T>(context const&, tensor_view<T, 2>, product_input<T> const&, packed_layout const&, \
                                    std::byte const*, product_finish<T> const&);                                      \
  template status packed_gated_product<T>(context const&, tensor_view<T, 2>, product_input<T> const&,                 \
                                          packed_layout const&, std::byte const*, T const*, gate_activation);         \
  template status permute_input<T>(context const&, tensor_view<T, 2>, tensor_view<T const, 2>,                        \
                                   tensor_view<std::int32_t const, 1>);

}  // namespace tenon::engine::inline TENON_TARGET
