#pragma once
//  Pages of any format as rows of bytes: what operators see that move tokens without looking into them.
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon {

/// One view of a cache: (pages, page_size, kv_heads, parts, bytes). A part is an element, or several side by side.
using byte_rows = tensor_view<std::uint8_t, 5>;

/// Every element a part of its own. `x` may be const where nothing is written.
template <class E>
byte_rows byte_rows_of(tensor_view<E, 4> const& x) {
  constexpr auto size = static_cast<index_t>(sizeof(E));
  byte_rows      rows;
  rows.data = reinterpret_cast<std::uint8_t*>(const_cast<std::remove_const_t<E>*>(x.data));
  for (int d = 0; d < 4; ++d) rows.extent[d] = x.extent[d], rows.stride[d] = x.stride[d] * size;
  rows.extent[4] = size, rows.stride[4] = 1;
  return rows;
}

/// Bytes that move at once, which follows from the address, the strides and the length of the rows: 16, 4 or 1.
inline int byte_access(byte_rows const& rows) {
  if (rows.extent[4] % 16 == 0 && is_vectorised<16>(rows)) return 16;
  return rows.extent[4] % 4 == 0 && is_vectorised<4>(rows) ? 4 : 1;
}

/// What pages of one format are made of: numbers and nothing, or codes and scales.
struct byte_parts {
  byte_rows rows[2];
};
template <class E>
byte_parts byte_parts_of(tensor_view<E, 4> const& pages) {
  return {{byte_rows_of(pages), {}}};
}
template <kv_codes Format>
byte_parts byte_parts_of(kv_code_pages<Format> const& pages) {
  return {{byte_rows_of(pages.code), byte_rows_of(pages.scale)}};
}

}  // namespace tenon
