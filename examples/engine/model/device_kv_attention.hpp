#pragma once
//  The definitions of model/kv_attention.hpp, included once for each target and group of number formats.
#include <tenon/attention/paged_attention.hpp>
#include <tenon/kv/compact_kv.hpp>
#include <tenon/kv/copy_pages.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/kv/rope_kv_append.hpp>
#include <tenon/op/logits.hpp>
#include <tenon/op/mask.hpp>

#include "engine/model/kv_attention.hpp"

namespace tenon::engine::inline TENON_TARGET {

namespace detail {

/// Whether all codes of the cache have a scale that was known beforehand.
template <class E>
bool fixed_scales(kv_memory const& m) {
  return std::is_same_v<E, kv_fp8> && m.scales != nullptr;
}

/// Pages of E at `data`, with the scale at `scale` where it is fixed. Of numbers, a page's rows of one head are contiguous.
template <class E>
kv_pages<E> pages_at(kv_memory const& m, std::byte* data, [[maybe_unused]] float* scale) {
  if constexpr (is_kv_codes<E>) {
    auto pages = kv_pages_over<E>(data, m.pages, m.page_size, m.kv_heads, m.head_dim);
    if constexpr (std::is_same_v<E, kv_fp8>)
      if (fixed_scales<E>(m)) share_scale(pages, scale);
    return pages;
  } else {
    return {reinterpret_cast<E*>(data),
            {m.pages, m.page_size, m.kv_heads, m.head_dim},
            {m.kv_heads * m.page_size * m.head_dim, m.head_dim, m.page_size * m.head_dim, 1}};
  }
}
template <class E>
paged_kv<E> cache_at(kv_memory const& m) {
  return {pages_at<E>(m, m.k, m.scales), pages_at<E>(m, m.v, m.scales + (m.scales ? 1 : 0))};
}

}  // namespace detail

template <class T, class E>
status append_as(context const& where, kv_memory const& cache, new_tokens<T> const& n) {
  auto const scales = detail::fixed_scales<E>(cache) ? kv_scales::given : kv_scales::computed;
  return rope_kv_append(where, detail::cache_at<E>(cache), n.q, as_const(n.k), as_const(n.v), n.positions, n.cos_sin,
                        n.slots,
                        {.style = rope_style::half_split, .eps = n.eps, .k_scales = scales, .v_scales = scales},
                        qk_norm<float>{.q = n.q_norm, .k = n.k_norm});
}

template <class T, class E>
status attend_over(context const& where, kv_memory const& cache, queries<T> const& a) {
  // One mask for all models: a window of INT_MAX hides nothing.
  auto const seen = causal{} & sliding_window{a.window};
  auto const run  = [&](auto logits) {
    return paged_attention(where, a.out, a.q, detail::cache_at<E>(cache), a.block_table, a.query_start, a.kv_length,
                            {.scale = a.scale, .max_query_length = a.max_query_length, .max_kv_length = a.max_kv_length},
                            attention_variant{seen, logits}, a.lse);
  };
  return a.soft_cap > 0 ? run(soft_cap{a.soft_cap}) : run(scaled_logits{});
}

template <class E>
status copy_tokens_of(context const& where, kv_memory const& cache, tensor_view<std::int32_t const, 2> copies) {
  kv_memory own = cache;
  own.scales    = nullptr;  // fixed ones stay where they are
  return copy_pages(where, detail::cache_at<E>(own), copies);
}

template <class E>
status move_tokens_of(context const& where, kv_memory const& cache, moves_of_heads const& m) {
  index_t const kv_heads = m.tokens.extent[1];
  kv_memory     own      = cache;
  own.scales             = nullptr;  // fixed ones stay where they are
  paged_kv<E> pages      = detail::cache_at<E>(own);
  pages.k = pages_of_one_head(pages.k, kv_heads), pages.v = pages_of_one_head(pages.v, kv_heads);
  return compact_kv(where, pages, m.to_table, pages, m.from_table, m.from, m.tokens);
}

/// Everything for one number format of the decoder and one of the cache.
#define TENON_ENGINE_KV_ATTENTION(T, E)                                                    \
  template status append_as<T, E>(context const&, kv_memory const&, new_tokens<T> const&); \
  template status attend_over<T, E>(context const&, kv_memory const&, queries<T> const&);

#define TENON_ENGINE_KV_NUMBERS(T)    \
  TENON_ENGINE_KV_ATTENTION(T, float) \
  TENON_ENGINE_KV_ATTENTION(T, bf16)  \
  TENON_ENGINE_KV_ATTENTION(T, f16)

#define TENON_ENGINE_KV_CODES(T)        \
  TENON_ENGINE_KV_ATTENTION(T, kv_fp8)  \
  TENON_ENGINE_KV_ATTENTION(T, kv_int8) \
  TENON_ENGINE_KV_ATTENTION(T, kv_int4)

/// What has nothing to do with the decoder's number format, once for each of the cache.
#define TENON_ENGINE_KV_COPIES(E)                                                                          \
  template status copy_tokens_of<E>(context const&, kv_memory const&, tensor_view<std::int32_t const, 2>); \
  template status move_tokens_of<E>(context const&, kv_memory const&, moves_of_heads const&);

}  // namespace tenon::engine::inline TENON_TARGET
