#pragma once
//  Where the scales of codes come from, and what both operators that append check about them.
#include <tenon/core/contract.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>

#include <type_traits>

namespace tenon {

enum class kv_scales {
  computed,  // from the values of each token and head, and written beside the codes
  given,  // kv_fp8: found beforehand, read from the cache's scales; strides of 0 share one among tokens, heads or all
};

struct kv_append_options {
  kv_scales k_scales = kv_scales::computed;
  kv_scales v_scales = kv_scales::computed;
};

/// Scales that are given belong to kv_fp8; those that are computed have a place each.
template <class E>
contract& check_scales(contract& check, tensor_view<E, 4> const&, kv_scales from, char const* subject) {
  return check.require(from == kv_scales::computed, errc::unsupported, subject);
}
template <kv_codes Format>
contract& check_scales(contract& check, kv_code_pages<Format> const& pages, kv_scales from, char const* subject) {
  if (from == kv_scales::given) return check.require(std::is_same_v<Format, kv_fp8>, errc::unsupported, subject);
  for (int d = 0; d < 4; ++d)
    check.require(pages.scale.size() == 0 || pages.scale.extent[d] <= 1 || pages.scale.stride[d] != 0, errc::bad_stride,
                  subject, 0, 1);
  return check;
}

/// Whether N columns from a multiple of N on may be stored by one access.
template <int N, class E>
bool stores_columns(tensor_view<E, 4> const& pages) {
  return pages.extent[3] % N == 0 && is_vectorised<N>(pages);
}
template <int N, kv_codes Format>
bool stores_columns(kv_code_pages<Format> const& pages) {
  return pages.width() % N == 0 && is_vectorised<N * Format::bits / 8>(pages.code);
}

}  // namespace tenon
