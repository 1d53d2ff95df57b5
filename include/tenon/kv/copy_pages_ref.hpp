#pragma once
//  The definition of copy_pages.
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>

namespace tenon::ref {

/// Tokens of one page to another: numbers, or either part of codes.
template <class E>
void copy_tokens(tensor_view<E, 4> const& pages, index_t from, index_t to, index_t tokens) {
  for (index_t t = 0; t < min(tokens, pages.extent[1]); ++t)
    for (index_t h = 0; h < pages.extent[2]; ++h)
      for (index_t d = 0; d < pages.extent[3]; ++d) pages(to, t, h, d) = pages(from, t, h, d);
}
template <kv_codes Format>
void copy_tokens(kv_code_pages<Format> const& pages, index_t from, index_t to, index_t tokens) {
  copy_tokens(pages.code, from, to, tokens);
  copy_tokens(pages.scale, from, to, tokens);
}

/// kv.k[to, t, h, :] = kv.k[from, t, h, :] for t < tokens, for every (from, to, tokens) of the list, and v the same
template <class K, class V, class Number>
void copy_pages(paged_kv<K, V> kv, tensor_view<Number, 2> copies) {
  index_t const pages   = kv_places(kv.k).extent[0];
  auto const    is_page = [&](index_t id) { return id >= 0 && id < pages; };
  for (index_t c = 0; c < copies.extent[0]; ++c) {
    index_t const from = copies(c, 0), to = copies(c, 1), tokens = copies(c, 2);
    if (from == to || !is_page(from) || !is_page(to)) continue;
    copy_tokens(kv.k, from, to, tokens);
    copy_tokens(kv.v, from, to, tokens);
  }
}

}  // namespace tenon::ref
