#pragma once
//  The keys and values of many requests in pages: what kv_append writes and paged_attention reads.
//
//  Token t of a request lies in page block_table(request, t / page_size), at place t % page_size.
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>

#include <type_traits>

namespace tenon {

/// One layer's cache. Any strides, the innermost 1: a layout (pages, kv_heads, page_size, head_dim) is the same view with
/// two strides exchanged. K and V may differ in format (kv_format.hpp) and width.
template <kv_element K, kv_element V = K>
struct paged_kv {
  kv_pages<K> k;  // (pages, page_size, kv_heads, head_dim)
  kv_pages<V> v;  // (pages, page_size, kv_heads, value_dim)
};
template <class K, class V>
paged_kv(tensor_view<K, 4>, tensor_view<V, 4>) -> paged_kv<K, V>;
template <class K, class V>
paged_kv(kv_code_pages<K>, kv_code_pages<V>) -> paged_kv<K, V>;
template <class K, class V>
paged_kv(tensor_view<K, 4>, kv_code_pages<V>) -> paged_kv<K, V>;
template <class K, class V>
paged_kv(kv_code_pages<K>, tensor_view<V, 4>) -> paged_kv<K, V>;

template <kv_codes Format>
constexpr kv_code_pages<std::remove_const_t<Format> const> as_const(kv_code_pages<Format> const& pages) {
  return {as_const(pages.code), as_const(pages.scale)};
}
template <class K, class V>
constexpr auto as_const(paged_kv<K, V> const& kv) {
  return paged_kv<std::remove_const_t<K> const, std::remove_const_t<V> const>{as_const(kv.k), as_const(kv.v)};
}

// Extents (pages, page_size, kv_heads, width) of pages of either kind.
template <class E>
TENON_HD constexpr index_t kv_width(tensor_view<E, 4> const& pages) {
  return pages.extent[3];
}
template <kv_codes Format>
TENON_HD constexpr index_t kv_width(kv_code_pages<Format> const& pages) {
  return pages.width();
}
template <class E>
TENON_HD constexpr tensor_view<E, 4> const& kv_places(tensor_view<E, 4> const& pages) {
  return pages;
}
template <kv_codes Format>
TENON_HD constexpr auto const& kv_places(kv_code_pages<Format> const& pages) {
  return pages.code;
}

}  // namespace tenon
