#pragma once
//  Attention over a cache of any format, for the decoder: the kernels of all formats are in translation units of their own.
#include <tenon/core/context.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <climits>
#include <cstddef>
#include <cstdint>

#include "engine/model/kv_cache_format.hpp"

namespace tenon::engine::inline TENON_TARGET {

/// One layer's cache: pages of keys and pages of values, each of page_bytes_of(format, ...).
struct kv_memory {
  kv_cache_format format = kv_cache_format::f32;
  std::byte*      k      = nullptr;
  std::byte*      v      = nullptr;
  index_t         pages = 0, page_size = 0, kv_heads = 0, head_dim = 0;
  float* scales = nullptr;  // kv_fp8: two, of all keys and of all values; null: each token and head has its own
};

/// All codes of `pages` have the scale at `scale`.
inline void share_scale(kv_code_pages<kv_fp8>& pages, float* scale) {
  pages.scale.data = scale;
  for (index_t& stride : pages.scale.stride) stride = 0;
}

/// New tokens on their way into the cache.
template <class T>
struct new_tokens {
  tensor_view<T, 3>                  q, k, v;    // (tokens, heads, head_dim), k and v (tokens, kv_heads, head_dim)
  tensor_view<std::int32_t const, 1> positions;  // (tokens)
  tensor_view<std::int64_t const, 1> slots;      // (tokens)
  tensor_view<float const, 2>        cos_sin;    // (positions, rotary_dim)
  tensor_view<float const, 1>        q_norm = {}, k_norm = {};  // (head_dim); no view: heads are not normed
  float                              eps = 0;                   // of those norms
};

/// The queries of a step and what they see.
template <class T>
struct queries {
  tensor_view<T, 3>                  out;  // (tokens, heads, head_dim)
  tensor_view<T const, 3>            q;
  tensor_view<std::int32_t const, 2> block_table;
  tensor_view<std::int32_t const, 1> query_start, kv_length;
  int                                window           = INT_MAX;  // tokens that a query sees, its own among them
  float                              scale            = 0;        // 0: head_dim^-1/2
  float                              soft_cap         = 0;        // 0: none
  index_t                            max_query_length = 0, max_kv_length = 0;
  tensor_view<float, 2>              lse = {};  // (tokens, heads): log sum exp of the logits; no view: not wanted
};

/// Norms and rotates q and k, q in place, and stores k and v as E.
template <class T, class E>
status append_as(context const& where, kv_memory const& cache, new_tokens<T> const& tokens);

/// out = attention of the queries over a cache of E.
template <class T, class E>
status attend_over(context const& where, kv_memory const& cache, queries<T> const& asked);

/// Copies the first tokens of pages of a cache of E to other pages. copies (copies, 3): from, to, tokens; independent_copies.
template <class E>
status copy_tokens_of(context const& where, kv_memory const& cache, tensor_view<std::int32_t const, 2> copies);

/// Where tokens of heads that have pages of their own, of a cache with kv_heads = 1, move to.
struct moves_of_heads {
  tensor_view<std::int32_t const, 3> from_table, to_table;  // (1, kv_heads, max_pages)
  tensor_view<std::int32_t const, 3> from;                  // (1, kv_heads, max_tokens)
  tensor_view<std::int32_t const, 2> tokens;                // (1, kv_heads)
};

/// Token j of head h becomes what token from[h, j] was.
template <class E>
status move_tokens_of(context const& where, kv_memory const& cache, moves_of_heads const& moves);

template <class T>
status append(context const& where, kv_memory const& cache, new_tokens<T> const& tokens) {
  return visit_kv_format(cache.format, [&]<class E>() { return append_as<T, E>(where, cache, tokens); });
}
template <class T>
status attend(context const& where, kv_memory const& cache, queries<T> const& asked) {
  return visit_kv_format(cache.format, [&]<class E>() { return attend_over<T, E>(where, cache, asked); });
}
inline status copy_tokens(context const& where, kv_memory const& cache, tensor_view<std::int32_t const, 2> copies) {
  return visit_kv_format(cache.format, [&]<class E>() { return copy_tokens_of<E>(where, cache, copies); });
}
inline status move_tokens(context const& where, kv_memory const& cache, moves_of_heads const& moves) {
  return visit_kv_format(cache.format, [&]<class E>() { return move_tokens_of<E>(where, cache, moves); });
}

}  // namespace tenon::engine::inline TENON_TARGET
