#pragma once
//  A model's weights on the device.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include "engine/model/linear.hpp"
#include "engine/model/memory.hpp"
#include "engine/model/weight_loader.hpp"

namespace tenon::engine::inline TENON_TARGET {

template <class T>
struct layer_weights {
  layer_shape   shape;
  array<float>  attention_norm;                        // (hidden)
  array<float>  mlp_norm;                              // (hidden)
  array<float>  after_attention_norm, after_mlp_norm;  // (hidden), where the model has them
  array<float>  q_norm, k_norm;                        // (head_dim), where the model has them
  array<float>  kv_scales;  // of keys and of values in an fp8 cache, where the files have them
  linear_set<T> products[4];

  linear_set<T>&       operator[](product p) { return products[static_cast<int>(p)]; }
  linear_set<T> const& operator[](product p) const { return products[static_cast<int>(p)]; }
};

template <class T>
struct model_weights {
  array<T>                      embedding;  // (vocabulary, hidden)
  std::vector<layer_weights<T>> layers;
  array<float>                  final_norm;  // (hidden)
  array<T>                      head;        // (vocabulary, hidden); empty where it is the embedding
};

/// The decoder's number format.
template <class T>
inline constexpr number_format format_for = std::is_same_v<T, float> ? number_format::f32
                                            : std::is_same_v<T, f16> ? number_format::f16
                                                                     : number_format::bf16;

namespace detail {

template <class T, class From>
array<T> to_device(std::vector<From> const& values) {
  array<T> a(values.size() * sizeof(From) / sizeof(T));
  a.upload({reinterpret_cast<T const*>(values.data()), a.size()});
  return a;
}

template <class T>
linear_set<T> to_device(host_linear_set const& from) {
  linear_set<T> set;
  set.outputs = from.outputs, set.inputs = from.inputs, set.interleaved = from.interleaved;
  for (auto const& part : from.parts) {
    linear<T> l;
    l.weight = to_device<T>(part.weight), l.bias = to_device<T>(part.bias);
    l.packed = to_device<std::byte>(part.packed.bytes), l.order = to_device<std::int32_t>(part.order);
    l.layout = part.packed.layout, l.form = part.packed.inputs;
    l.outputs = part.outputs, l.inputs = part.inputs;
    set.parts.push_back(std::move(l));
  }
  return set;
}

}  // namespace detail

template <class T>
model_weights<T> load_weights(model_config const& config, weight_loader const& loader) {
  model_weights<T> m;
  m.embedding  = detail::to_device<T>(loader.embedding());
  m.final_norm = detail::to_device<float>(loader.final_norm());
  m.head       = detail::to_device<T>(loader.head());
  m.layers.resize(static_cast<std::size_t>(config.layers));
  for (std::size_t i = 0; i < m.layers.size(); ++i) {
    auto& l         = m.layers[i];
    l.shape         = loader.shape(i);
    auto const norm = [&](array<float>& to, layer_norm which, bool present = true) {
      if (present) to = detail::to_device<float>(loader.norm(i, which));
    };
    if (l.shape.heads > 0) {
      norm(l.attention_norm, layer_norm::before_attention);
      norm(l.after_attention_norm, layer_norm::after_attention, config.norms_after);
      norm(l.q_norm, layer_norm::q, config.qk_norm), norm(l.k_norm, layer_norm::k, config.qk_norm);
      l.kv_scales = detail::to_device<float>(loader.kv_scales(i));
    }
    if (l.shape.intermediate > 0) {
      norm(l.mlp_norm, layer_norm::before_mlp);
      norm(l.after_mlp_norm, layer_norm::after_mlp, config.norms_after);
    }
  }
  loader.each_product(
      [&](std::size_t layer, product p, host_linear_set&& set) { m.layers[layer][p] = detail::to_device<T>(set); });
  return m;
}

}  // namespace tenon::engine::inline TENON_TARGET
