#pragma once
//  The definition of kv_append.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>

namespace tenon::ref {

/// cache.k[slots[t] / page_size, slots[t] % page_size, h, :] = k[t, h, :], and v the same
template <class CK, class CV, class K, class V, class Slot>
void kv_append(paged_kv<CK, CV> cache, tensor_view<K, 3> k, tensor_view<V, 3> v, tensor_view<Slot, 1> slots) {
  index_t const page_size = cache.k.extent[1];
  for (index_t t = 0; t < slots.extent[0]; ++t) {
    index_t const slot = slots(t);
    if (slot < 0 || slot >= cache.k.extent[0] * page_size) continue;
    for (index_t h = 0; h < k.extent[1]; ++h) {
      for (index_t d = 0; d < k.extent[2]; ++d)
        cache.k(slot / page_size, slot % page_size, h, d) = static_cast<CK>(static_cast<float>(k(t, h, d)));
      for (index_t d = 0; d < v.extent[2]; ++d)
        cache.v(slot / page_size, slot % page_size, h, d) = static_cast<CV>(static_cast<float>(v(t, h, d)));
    }
  }
}

}  // namespace tenon::ref
