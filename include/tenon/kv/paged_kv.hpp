#pragma once
//  The keys and values of many requests in pages: what kv_append writes and paged_attention reads.
//
//  Token t of a request lies in page block_table(request, t / page_size), at place t % page_size.
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// One layer's cache. Any strides, the innermost 1: a layout (pages, kv_heads, page_size, head_dim) is the same view with
/// two strides exchanged. K and V may differ in type and width.
template <class K, class V = K>
struct paged_kv {
  tensor_view<K, 4> k;  // (pages, page_size, kv_heads, head_dim)
  tensor_view<V, 4> v;  // (pages, page_size, kv_heads, value_dim)
};
template <class K, class V>
paged_kv(tensor_view<K, 4>, tensor_view<V, 4>) -> paged_kv<K, V>;

template <class K, class V>
constexpr auto as_const(paged_kv<K, V> const& kv) {
  return paged_kv<std::remove_const_t<K> const, std::remove_const_t<V> const>{as_const(kv.k), as_const(kv.v)};
}

}  // namespace tenon
