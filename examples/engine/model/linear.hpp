#pragma once
//  Linear layers as the decoder calls them: dense or packed weights behind one call.
#include <tenon/core/throw_if.hpp>
#include <tenon/embedding/embedding_gather.hpp>
#include <tenon/gemm/gemm.hpp>
#include <tenon/quant/quantized_rows.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "engine/model/memory.hpp"
#include "engine/model/packed_product.hpp"
#include "engine/model/product_finish.hpp"

namespace tenon::engine::inline TENON_TARGET {

/// y = x W^T + bias, W dense or packed
template <class T>
struct linear {
  array<T>            weight;  // (outputs, inputs); empty where the weight is packed
  array<std::byte>    packed;  // layout.bytes()
  packed_layout       layout;
  input_form          form;   // of the inputs of a packed weight
  array<std::int32_t> order;  // (inputs): column j of a packed weight multiplies input order[j]; empty: its own
  array<T>            bias;   // (outputs) or empty
  index_t             outputs = 0;
  index_t             inputs  = 0;

  bool is_packed() const { return packed.size() > 0; }
  auto view() const { return weight.view(outputs, inputs); }
};

/// Layers of the same input side by side: one product where their weights could be joined, else one of each.
template <class T>
struct linear_set {
  std::vector<linear<T>> parts;            // in the order of the columns of y
  index_t                outputs     = 0;  // of all parts
  index_t                inputs      = 0;
  bool                   interleaved = false;  // one part, gate and up rows in turns of eight
};

/// What products need beside their weights: inputs permuted, quantised, and the gate of a pair that was not joined.
template <class T>
class product_space {
 public:
  product_space() = default;

  /// Makes room for `tokens` rows of what `l` needs.
  void reserve(linear_set<T> const& l, std::size_t tokens) {
    for (auto const& part : l.parts) {
      auto const k = static_cast<std::size_t>(part.inputs);
      if (part.order.size() > 0) grow(permuted_, tokens * k);
      if (part.form.kind == input_kind::plain) continue;
      grow(codes_, tokens * k);
      grow(scales_, tokens * static_cast<std::size_t>(row_scales(part.inputs, part.form.group)));
    }
  }
  void reserve_pair(linear_set<T> const& l, std::size_t tokens) {
    reserve(l, tokens);
    if (l.interleaved) return;
    grow(gate_, tokens * static_cast<std::size_t>(l.outputs / 2));
    grow(up_, tokens * static_cast<std::size_t>(l.outputs / 2));
    std::vector<std::int32_t> rows(tokens);
    std::iota(rows.begin(), rows.end(), 0);
    rows_ = array<std::int32_t>(tokens);
    rows_.upload(rows);
  }

  /// d = a W^T + bias (+ residual, where its data is not null). d may be the residual.
  void apply(context const& where, tensor_view<T, 2> d, tensor_view<T const, 2> a, linear_set<T> const& l,
             epilogue::residual_stage<T> const& residual = {}) {
    index_t                    first = 0;
    product_input<T>           in{{}, a};
    array<std::int32_t> const* order = nullptr;
    for (auto const& part : l.parts) {
      product_finish<T> finish{{part.bias.data()}, residual};
      if (residual.data) finish.residual.data += first * residual.column_stride;
      prepare(where, in, order, a, part);
      multiply(where, columns(d, first, part.outputs), in, part, finish);
      first += part.outputs;
    }
  }

  /// d = activation(gate) * up
  void apply_pair(context const& where, tensor_view<T, 2> d, tensor_view<T const, 2> a, linear_set<T> const& l,
                  gate_activation activation) {
    product_input<T>           in{{}, a};
    array<std::int32_t> const* order = nullptr;
    linear<T> const&           gate  = l.parts.front();
    prepare(where, in, order, a, gate);
    if (l.interleaved) {
      if (gate.is_packed())
        throw_if(packed_gated_product(where, d, in, gate.layout, gate.packed.data(), gate.bias.data(), activation));
      else throw_if(gemm(where, d, a, gate.view(), {}, gated_finish(gate.bias.data(), activation)));
      return;
    }
    linear<T> const& up     = l.parts.back();
    index_t const    tokens = d.extent[0], columns = d.extent[1];
    auto const       gates = gate_.view(tokens, columns), ups = up_.view(tokens, columns);
    multiply(where, gates, in, gate, {{gate.bias.data()}});
    prepare(where, in, order, a, up);
    multiply(where, ups, in, up, {{up.bias.data()}});
    // Every row of ups in its own place, through an epilogue.
    throw_if(embedding_gather(where, d, as_const(ups), std::as_const(rows_).view(tokens),
                              times_gate<T>{epilogue::residual(as_const(gates)), activation}));
  }

 private:
  template <class E>
  static void grow(array<E>& a, std::size_t size) {
    if (a.size() < size) a = array<E>(size);
  }

  static tensor_view<T, 2> columns(tensor_view<T, 2> d, index_t first, index_t count) {
    return {d.data + first * d.stride[1], {d.extent[0], count}, {d.stride[0], d.stride[1]}};
  }

  /// Brings `in` into the order and the form that `part` wants, unless it is in them already.
  void prepare(context const& where, product_input<T>& in, array<std::int32_t> const*& order, tensor_view<T const, 2> a,
               linear<T> const& part) {
    bool const permuted = part.order.size() > 0, moved = order != (permuted ? &part.order : nullptr);
    if (moved) {
      in.values = a, order = nullptr;
      if (permuted) {
        auto const to = permuted_.view(a.extent[0], a.extent[1]);
        throw_if(permute_input<T>(where, to, a, part.order.view(a.extent[1])));
        in.values = as_const(to), order = &part.order;
      }
    }
    if (!moved && in.form == part.form) return;
    in.form = part.form, in.codes = codes_.data(), in.scales = scales_.data();
    throw_if(quantize_input(where, in));
  }

  static void multiply(context const& where, tensor_view<T, 2> d, product_input<T> const& in, linear<T> const& l,
                       product_finish<T> const& finish) {
    if (l.is_packed()) throw_if(packed_product(where, d, in, l.layout, l.packed.data(), finish));
    else throw_if(gemm(where, d, in.values, l.view(), {}, finish));
  }

  array<T>           permuted_;  // (tokens, inputs)
  array<std::int8_t> codes_;     // (tokens, inputs)
  array<float>       scales_;    // (tokens, groups of inputs)
  // Of a gate and an up that were not joined.
  array<T>            gate_, up_;  // (tokens, intermediate)
  array<std::int32_t> rows_;       // (tokens): 0, 1, 2, ...
};

}  // namespace tenon::engine::inline TENON_TARGET
