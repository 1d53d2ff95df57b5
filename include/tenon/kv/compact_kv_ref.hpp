#pragma once
//  The definition of compact_kv.
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>

namespace tenon::ref {

/// One head of one token of `from` to a place of `to`: numbers, or either part of codes.
template <class E, class F>
void move_token(tensor_view<E, 4> const& to, index_t to_page, index_t to_place, tensor_view<F, 4> const& from,
                index_t page, index_t place, index_t head) {
  for (index_t d = 0; d < to.extent[3]; ++d) to(to_page, to_place, head, d) = from(page, place, head, d);
}
template <kv_codes E, kv_codes F>
void move_token(kv_code_pages<E> const& to, index_t to_page, index_t to_place, kv_code_pages<F> const& from,
                index_t page, index_t place, index_t head) {
  move_token(to.code, to_page, to_place, from.code, page, place, head);
  if (to.scale.stride[0] == 0 && to.scale.stride[1] == 0) return;  // what all tokens share is there already
  move_token(to.scale, to_page, to_place, from.scale, page, place, head);
}

/// token j of head h of request r becomes what token kept[r,h,j] was, for j < kept_length[r,h], in ascending order
template <class K, class V, class FK, class FV>
void compact_kv(paged_kv<K, V> to, tensor_view<std::int32_t const, 3> to_table, paged_kv<FK, FV> from,
                tensor_view<std::int32_t const, 3> from_table, tensor_view<std::int32_t const, 3> kept,
                tensor_view<std::int32_t const, 2> kept_length) {
  index_t const to_size = kv_places(to.k).extent[1], from_size = kv_places(from.k).extent[1];
  for (index_t r = 0; r < kept_length.extent[0]; ++r)
    for (index_t h = 0; h < kept_length.extent[1]; ++h)
      for (index_t j = 0; j < kept_length(r, h); ++j) {
        index_t const t       = kept(r, h, j);
        index_t const to_page = to_table(r, h, j / to_size), page = from_table(r, h, t / from_size);
        move_token(to.k, to_page, j % to_size, from.k, page, t % from_size, h);
        move_token(to.v, to_page, j % to_size, from.v, page, t % from_size, h);
      }
}

}  // namespace tenon::ref
