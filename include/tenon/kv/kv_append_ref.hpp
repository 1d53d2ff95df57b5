#pragma once
//  The definition of kv_append.
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_append_options.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::ref {

/// One head of one token, x(d) its columns as floats: numbers.
template <class E, class Row>
void store_kv_row(tensor_view<E, 4> const& pages, index_t page, index_t place, index_t head, Row const& x,
                  kv_scales = kv_scales::computed) {
  for (index_t d = 0; d < pages.extent[3]; ++d) pages(page, place, head, d) = static_cast<E>(x(d));
}

/// Codes: the range of the columns that share a scale, the scale, the codes.
template <kv_codes Format, class Row>
void store_kv_row(kv_code_pages<Format> const& pages, index_t page, index_t place, index_t head, Row const& x,
                  kv_scales from = kv_scales::computed) {
  index_t const width = pages.width(), span = Format::group == 0 ? width : Format::group;
  for (index_t begin = 0; begin < width; begin += span) {
    index_t const end   = min(begin + span, width);
    auto&         scale = pages.scale(page, place, head, begin / span);
    if (from == kv_scales::computed) {
      kv_reach<Format> reach;
      for (index_t d = begin; d < end; ++d) reach.note(x(d));
      scale = reach.scale();
    }
    for (index_t d = begin; d < end; ++d) {
      std::uint8_t const code = kv_code_of<Format>(x(d), scale);
      std::uint8_t&      at   = pages.code(page, place, head, d * Format::bits / 8);
      if (Format::bits == 8) at = code;
      else at = static_cast<std::uint8_t>(d % 2 == 0 ? code : at | code << 4);
    }
  }
}

/// cache.k[slots[t] / page_size, slots[t] % page_size, h, :] = k[t, h, :], and v the same
template <class CK, class CV, class K, class V, class Slot>
void kv_append(paged_kv<CK, CV> cache, tensor_view<K, 3> k, tensor_view<V, 3> v, tensor_view<Slot, 1> slots,
               kv_append_options options = {}) {
  index_t const pages = kv_places(cache.k).extent[0], page_size = kv_places(cache.k).extent[1];
  for (index_t t = 0; t < slots.extent[0]; ++t) {
    index_t const slot = slots(t);
    if (slot < 0 || slot >= pages * page_size) continue;
    for (index_t h = 0; h < k.extent[1]; ++h) {
      store_kv_row(
          cache.k, slot / page_size, slot % page_size, h, [&](index_t d) { return static_cast<float>(k(t, h, d)); },
          options.k_scales);
      store_kv_row(
          cache.v, slot / page_size, slot % page_size, h, [&](index_t d) { return static_cast<float>(v(t, h, d)); },
          options.v_scales);
    }
  }
}

}  // namespace tenon::ref
