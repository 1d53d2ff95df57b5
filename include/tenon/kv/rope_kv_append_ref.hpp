#pragma once
//  The definition of rope_kv_append, in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_append_ref.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/kv/rope_kv_append_options.hpp>
#include <tenon/position/rope_options.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

namespace tenon::ref {

/// One head, normalised and turned; `position` outside the table: not turned.
template <class T, class W, class Table>
std::vector<double> turned_head(tensor_view<T, 3> const& x, index_t t, index_t h, tensor_view<W, 1> const& weight,
                                float eps, tensor_view<Table, 2> const& cos_sin, index_t position, rope_style style) {
  index_t const       width = x.extent[2], half = cos_sin.extent[1] / 2;
  std::vector<double> y(static_cast<std::size_t>(width));
  auto const          at = [&](index_t d) -> double& { return y[static_cast<std::size_t>(d)]; };
  for (index_t d = 0; d < width; ++d) at(d) = static_cast<double>(static_cast<float>(x(t, h, d)));
  if (weight.data) {
    double squares = 0;
    for (double const v : y) squares += v * v;
    double const scale = 1 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(eps));
    for (index_t d = 0; d < width; ++d) at(d) *= scale * static_cast<double>(static_cast<float>(weight(d)));
  }
  if (position < 0 || position >= cos_sin.extent[0]) return y;
  for (index_t i = 0; i < half; ++i) {
    double&      a = at(style == rope_style::half_split ? i : 2 * i);
    double&      b = at(style == rope_style::half_split ? half + i : 2 * i + 1);
    double const c = static_cast<double>(cos_sin(position, i)), s = static_cast<double>(cos_sin(position, half + i));
    double const u = a, v = b;
    a = u * c - v * s, b = v * c + u * s;
  }
  return y;
}

/// q = rope(norm(q)), cache.k[slot] = rope(norm(k)), cache.v[slot] = v
template <class CK, class CV, class T, class K, class V, class Position, class Table, class Slot, class W = float>
void rope_kv_append(paged_kv<CK, CV> cache, tensor_view<T, 3> q, tensor_view<K, 3> k, tensor_view<V, 3> v,
                    tensor_view<Position, 1> positions, tensor_view<Table, 2> cos_sin, tensor_view<Slot, 1> slots,
                    rope_kv_append_options options = {}, qk_norm<W> norm = {}) {
  index_t const pages = kv_places(cache.k).extent[0], page_size = kv_places(cache.k).extent[1];
  for (index_t t = 0; t < slots.extent[0]; ++t) {
    for (index_t h = 0; h < q.extent[1]; ++h) {
      auto const y = turned_head(q, t, h, norm.q, options.eps, cos_sin, positions(t), options.style);
      for (index_t d = 0; d < q.extent[2]; ++d)
        q(t, h, d) = static_cast<T>(static_cast<float>(y[static_cast<std::size_t>(d)]));
    }
    index_t const slot = slots(t);
    if (slot < 0 || slot >= pages * page_size) continue;
    for (index_t h = 0; h < k.extent[1]; ++h) {
      auto const y = turned_head(k, t, h, norm.k, options.eps, cos_sin, positions(t), options.style);
      store_kv_row(
          cache.k, slot / page_size, slot % page_size, h,
          [&](index_t d) { return static_cast<float>(y[static_cast<std::size_t>(d)]); }, options.k_scales);
      store_kv_row(
          cache.v, slot / page_size, slot % page_size, h, [&](index_t d) { return static_cast<float>(v(t, h, d)); },
          options.v_scales);
    }
  }
}

}  // namespace tenon::ref
