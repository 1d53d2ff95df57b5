#pragma once
//  What every operator asks of the pages of a cache.
#include <tenon/core/contract.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>

namespace tenon {

/// The named extents of a cache.
struct kv_extents {
  extent& pages;
  extent& page_size;
  extent& kv_heads;
};

/// Pages of numbers: (pages, page_size, kv_heads, width), width contiguous.
template <class E>
contract& check_pages(contract& check, tensor_view<E, 4> const& pages, kv_extents e, extent& width,
                      char const* subject) {
  return check.shape(pages, e.pages, e.page_size, e.kv_heads, width)
      .contiguous(pages, subject)
      .addressable(pages, subject);
}
/// Pages of codes: the same in bytes, and scales (pages, page_size, kv_heads, groups).
template <kv_codes Format>
contract& check_pages(contract& check, kv_code_pages<Format> const& pages, kv_extents e, extent& width,
                      char const* subject) {
  extent groups{"groups", kv_groups<Format>(pages.width())}, row{"row", pages.code.extent[3]};
  if (width.value < 0) width.value = pages.width();
  return check.shape(pages.code, e.pages, e.page_size, e.kv_heads, row)
      .require(width.value == pages.width(), errc::shape_mismatch, width.name, pages.width(), width.value)
      .shape(pages.scale, e.pages, e.page_size, e.kv_heads, groups)
      .contiguous(pages.code, subject)
      .addressable(pages.code, subject)
      .addressable(pages.scale, subject);
}

/// Whether rows may be moved in pieces of 16 bytes (numbers: of eight elements).
template <class E>
bool kv_rows_vectorised(tensor_view<E, 4> const& pages) {
  return is_vectorised<8>(pages);
}
template <kv_codes Format>
bool kv_rows_vectorised(kv_code_pages<Format> const& pages) {
  return is_vectorised<16>(pages.code);
}

}  // namespace tenon
