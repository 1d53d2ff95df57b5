#pragma once
//  The first tokens of pages of a cache to other pages: copy on write, and the reuse of a page that matches in part.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/byte_rows.hpp>
#include <tenon/kv/copy_pages_kernel.cuh>
#include <tenon/kv/copy_pages_policy.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET {

namespace detail {

/// The rows of a view, in as few as there are.
inline kernel::copy_pages_rows copy_pages_rows_of(byte_rows at) {
  // What tokens, heads or parts share is copied once; what pages share is there already.
  for (int d = 1; d < 4; ++d)
    if (at.stride[d] == 0) at.extent[d] = min(at.extent[d], index_t{1});
  if (at.stride[0] == 0) at.extent[4] = 0;

  // Parts that lie side by side are a row, and so are heads of such parts.
  for (int d = 3; d >= 2; --d) {
    if (at.extent[d] > 1 && at.stride[d] != at.extent[4]) break;
    at.extent[4] *= at.extent[d], at.extent[d] = 1;
  }
  return {at, byte_access(at)};
}

}  // namespace detail

/// kv.k[to, t, h, :] = kv.k[from, t, h, :] for t < tokens, for every (from, to, tokens) of `copies`, and v the same
///
/// kv.k    (pages, page_size, kv_heads, head_dim)    f16 bf16 f32 kv_fp8 kv_int8 kv_int4   head_dim contiguous, any other
///                                                   strides; scales go with their codes
/// kv.v    (pages, page_size, kv_heads, value_dim)   the same, chosen apart from k's
/// copies  (copies, 3)                               int32          any strides; from, to, tokens: an array of block_copy; a
///                                                                  page outside [0, pages), -1 say, from == to and no tokens
///                                                                  copy nothing; more tokens than a page has are its tokens
///
/// Arithmetic  none: the same bits. Tokens from `tokens` on keep theirs. Scales that tokens share (strides of 0) are copied for
///             the first of them; those that pages share stay.
/// Cost        reads and writes each token's rows once, in one launch; no workspace.
/// Errors      shape_mismatch(fields, page_size, pages, kv_heads, head_dim, value_dim, groups), bad_stride(kv.k, kv.v),
///             misaligned(kv.k, kv.v, copies), out_of_range(kv.k, kv.v, copies: null; copies, head_dim, value_dim, kv_heads,
///             page_size: too large).
/// Range       copies < 2^31, head_dim, value_dim and kv_heads < 2^24, a page's keys, and its values, < 2^31 bytes. The list is
///             read on the device, so a wrong one is no error. Pages that are written are distinct, and none is read, too, or
///             it is a race: the caller makes a list whose order matters in several calls (independent_copies). A page may be
///             read by several copies.
/// Source      Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention".
/// Test tests/kv/copy_pages_test.cpp.   Page docs/operators/copy_pages.md.
template <kv_element K, kv_element V>
requires(!std::is_const_v<K> && !std::is_const_v<V>) status
    copy_pages(context const& where, paged_kv<K, V> kv, tensor_view<std::int32_t const, 2> copies) {
  extent list{"copies"}, fields{"fields", 3}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, value_dim{"value_dim"},
      pages{"pages"}, page_size{"page_size"};
  constexpr auto limit = index_t{1} << 31, wide = index_t{1} << 24;
  contract       check{"copy_pages"};
  check.shape(copies, list, fields);
  check_pages(check, kv.k, {pages, page_size, kv_heads}, head_dim, "kv.k");
  check_pages(check, kv.v, {pages, page_size, kv_heads}, value_dim, "kv.v");
  TENON_TRY(check.addressable(copies, "copies")
                .require(list.value < limit, errc::out_of_range, "copies", list.value, limit - 1)
                .require(head_dim.value < wide, errc::out_of_range, "head_dim", head_dim.value, wide - 1)
                .require(value_dim.value < wide, errc::out_of_range, "value_dim", value_dim.value, wide - 1)
                .require(kv_heads.value < wide, errc::out_of_range, "kv_heads", kv_heads.value, wide - 1)
                .result);
  kernel::copy_pages_params params{{}, copies, pages.value};
  byte_parts const          parts[2] = {byte_parts_of(kv.k), byte_parts_of(kv.v)};
  for (int of = 0; of < 2; ++of)
    for (int part = 0; part < 2; ++part) params.rows[of][part] = detail::copy_pages_rows_of(parts[of].rows[part]);

  // Of the largest part of a page.
  index_t bytes = 0, pieces = 0;
  for (auto const& of : params.rows)
    for (auto const& rows : of) {
      auto const&   at    = rows.at;
      index_t const token = at.extent[2] * at.extent[3] * at.extent[4];
      index_t const most  = (limit - 1) / max(token, index_t{1});  // tokens in a page
      check.require(at.extent[1] <= most, errc::out_of_range, "page_size", page_size.value, most);
      TENON_TRY(check.result);
      bytes += at.extent[1] * token;
      pieces = max(pieces, at.extent[1] * at.extent[2] * (at.extent[4] / rows.access));
    }
  if (list.value == 0 || pages.value == 0 || pieces == 0) return {};

  auto const policy = choose_copy_pages_policy({where.arch});
  return dispatch_policy<copy_pages_menu>("copy_pages", policy, [&]<class Policy>(Policy) {
    constexpr auto value  = Policy::value;
    index_t const  shares = ceil_div(pieces, index_t{value.threads_per_block} * value.held);
    return arch::launch(
        "copy_pages", where,
        {.grid  = {static_cast<unsigned>(list.value), static_cast<unsigned>(min(shares, index_t{value.shares})), 2},
         .block = static_cast<unsigned>(value.threads_per_block),
         .shared_bytes   = 0,
         .work_per_block = static_cast<double>(bytes) / 8},
        kernel::copy_pages<Policy>, params);
  });
}

}  // namespace tenon::inline TENON_TARGET
