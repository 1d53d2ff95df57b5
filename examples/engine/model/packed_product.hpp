#pragma once
//  Products with packed weights, for the decoder: the kernels of all formats are in translation units of their own.
#include <tenon/core/context.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/packed_weight.hpp>

#include <cstdint>

#include "engine/model/product_finish.hpp"
#include "engine/model/quantized_linear.hpp"

namespace tenon::engine::inline TENON_TARGET {

/// Inputs in the form that a packed weight wants: values as they are, or codes and their scales.
template <class T>
struct product_input {
  input_form              form;
  tensor_view<T const, 2> values;            // (tokens, k)
  std::int8_t*            codes  = nullptr;  // (tokens, k), where the form is not plain: int8 or e4m3
  float*                  scales = nullptr;  // (tokens, row_scales(k, form.group))
};

/// Fills in.codes and in.scales from in.values; nothing to do for plain inputs.
template <class T>
status quantize_input(context const& where, product_input<T> const& in);

/// d = finish(in b^T), for every layout that quantized_linear's `pack` makes.
template <class T>
status packed_product(context const& where, tensor_view<T, 2> d, product_input<T> const& in,
                      packed_layout const& layout, std::byte const* b, product_finish<T> const& finish);

/// d = activation(gate) * up of interleaved rows, with a bias (or null).
template <class T>
status packed_gated_product(context const& where, tensor_view<T, 2> d, product_input<T> const& in,
                            packed_layout const& layout, std::byte const* b, T const* bias, gate_activation activation);

/// to[t, j] = from[t, order[j]]
template <class T>
status permute_input(context const& where, tensor_view<T, 2> to, tensor_view<T const, 2> from,
                     tensor_view<std::int32_t const, 1> order);

}  // namespace tenon::engine::inline TENON_TARGET
