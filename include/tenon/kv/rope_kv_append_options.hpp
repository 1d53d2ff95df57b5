#pragma once
//  What one may ask of rope_kv_append.
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_append_options.hpp>
#include <tenon/position/rope_options.hpp>

#include <type_traits>

namespace tenon {

/// Weights of the normalisation of every head of q and of k, (head_dim) each; no address: none. A model that stores 1 + weight
/// (Gemma) adds the 1 when it is loaded.
template <class W = float>
struct qk_norm {
  tensor_view<W const, 1> q = {};
  tensor_view<W const, 1> k = {};
};
template <class W>
qk_norm(tensor_view<W, 1>, tensor_view<W, 1>) -> qk_norm<std::remove_const_t<W>>;

struct rope_kv_append_options {
  rope_style style    = rope_style::half_split;
  float      eps      = 1e-6f;  // of the normalisation
  kv_scales  k_scales = kv_scales::computed;
  kv_scales  v_scales = kv_scales::computed;
};

}  // namespace tenon
