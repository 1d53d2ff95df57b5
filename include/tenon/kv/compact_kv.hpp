#pragma once
//  The tokens that are kept to the front of their sequence: what makes pages free after tokens were selected.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/byte_rows.hpp>
#include <tenon/kv/compact_kv_kernel.cuh>
#include <tenon/kv/compact_kv_policy.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET {

namespace detail {

/// Tokens have a place each, or, scales, share one among all.
template <class E>
contract& check_token_places(contract& check, tensor_view<E, 4> const& x, bool may_share, char const* subject) {
  bool const all   = x.stride[0] == 0 && x.stride[1] == 0;
  bool const apart = (x.stride[0] != 0 || x.extent[0] <= 1) && (x.stride[1] != 0 || x.extent[1] <= 1);
  return check.require(x.size() == 0 || apart || (all && may_share), errc::bad_stride, subject, 0, 1);
}
template <kv_codes Format>
contract& check_token_places(contract& check, kv_code_pages<Format> const& pages, bool, char const* subject) {
  check_token_places(check, pages.code, false, subject);
  return check_token_places(check, pages.scale, true, subject);
}

/// Whether the parts of a row are one.
inline bool side_by_side(byte_rows const& rows) { return rows.extent[3] <= 1 || rows.stride[3] == rows.extent[4]; }

/// Keys and values of a cache, and the launch, which knows no formats.
struct compact_cache {
  byte_parts k, v;
};
inline status launch_compact_kv(compact_cache const& to, tensor_view<std::int32_t const, 3> to_table,
                                compact_cache const& from, tensor_view<std::int32_t const, 3> from_table,
                                tensor_view<std::int32_t const, 3> kept, tensor_view<std::int32_t const, 2> kept_length,
                                context const& where) {
  constexpr auto            limit = index_t{1} << 31;
  kernel::compact_kv_params params{};
  params.to_table = to_table, params.from_table = from_table, params.kept = kept, params.kept_length = kept_length;
  index_t bytes = 0, pieces = 0;
  for (int of = 0; of < 2; ++of)
    for (int part = 0; part < 2; ++part) {
      auto a = (of == 0 ? to.k : to.v).rows[part], b = (of == 0 ? from.k : from.v).rows[part];
      // Parts that lie side by side here and there are one.
      if (side_by_side(a) && side_by_side(b))
        for (auto* const rows : {&a, &b})
          rows->extent[4] *= rows->extent[3], rows->extent[3] = min(rows->extent[3], index_t{1});
      // Scales that all tokens share are there already; numbers and codes have places, if only one.
      if (part == 1 && a.stride[0] == 0 && a.stride[1] == 0) a.extent[4] = 0;
      index_t const row    = a.extent[4];
      int const     access = min(byte_access(a), byte_access(b));
      index_t const most   = (limit - 1) / max(row, index_t{1});
      if (kept.extent[2] > most) return {errc::out_of_range, "compact_kv", "max_kept", kept.extent[2], most};
      bytes += row * a.extent[3], pieces = max(pieces, row / access);
      params.to[of][part] = a, params.from[of][part] = b, params.access[of][part] = access;
    }
  if (bytes == 0) return {};

  auto const policy = choose_compact_kv_policy({where.arch});
  return dispatch_policy<compact_kv_menu>("compact_kv", policy, [&]<class Policy>(Policy) {
    constexpr auto value  = Policy::value;
    index_t const  shares = min(ceil_div(pieces, index_t{4}), index_t{value.shares});
    return arch::launch("compact_kv", where,
                        {.grid           = {static_cast<unsigned>(kept.extent[0] * kept.extent[1]),
                                            static_cast<unsigned>(max(shares, index_t{1})), 2},
                         .block          = static_cast<unsigned>(value.threads_per_block),
                         .shared_bytes   = 0,
                         .work_per_block = static_cast<double>(bytes * kept.extent[2]) / 16},
                        kernel::compact_kv<Policy>, params);
  });
}

}  // namespace detail

/// to.k[token j of head h of request r] = from.k[token kept[r,h,j] of it] for j < kept_length[r,h], and v the same
///
/// Token t of a head lies in page table[r, h, t / page_size], at place t % page_size. In place, `to` and its table are
/// `from` and its table: the overload without them. Out of place, `to` may have pages of another size, or pages of one
/// head each (pages_of_one_head). Keys are stored rotated, so a token keeps its position wherever it moves.
///
/// to.k         (pages, page_size, kv_heads, head_dim)   f16 bf16 f32 kv_fp8 kv_int8 kv_int4   head_dim contiguous,
///                                                       any other strides; scales go with their codes
/// to.v         (pages, page_size, kv_heads, value_dim)  the same, chosen apart from k's
/// to_table     (requests, kv_heads, max_pages)          int32   any strides, 0 for heads that share their pages
/// from         as `to`, and of its formats              the same memory, or memory of its own
/// from_table   (requests, kv_heads, max_pages)          int32   any strides
/// kept         (requests, kv_heads, max_kept)           int32   any strides; ascending in each row
/// kept_length  (requests, kv_heads)                     int32   any strides; more than max_kept are max_kept
///
/// Arithmetic  none: the same bits. Tokens from kept_length on, and pages that no table names, keep theirs. A scale
///             that all tokens share (strides of 0) stays.
/// Cost        reads and writes each kept token's rows once, in one launch; no workspace. A token that stays where it
///             is is not touched.
/// Errors      shape_mismatch(pages, page_size, kv_heads, head_dim, value_dim, groups, requests, max_kept),
///             bad_stride(to.k, to.v, from.k, from.v; also where some but not all tokens of `to` share a place),
///             misaligned, out_of_range(null; max_kept, requests, page_size: too large).
/// Range       requests * kv_heads < 2^31, max_kept * bytes of a row < 2^31, tokens < 2^31. Lists and tables are read
///             on the device, so a wrong one is no error: a token that its table or cache does not have is not moved.
///             Lists that do not ascend strictly, and two (request, head, token) in one place of `to`, are a race.
///             Pages that others read, too, are copied first (copy_pages), not compacted in place.
/// Source      Rehg 2024, "KV-Compress: paged KV-cache compression with variable compression rates per attention head".
/// Test tests/kv/compact_kv_test.cpp.   Page docs/operators/compact_kv.md.
template <kv_element K, kv_element V, kv_element FromK, kv_element FromV>
requires(!std::is_const_v<K> && !std::is_const_v<V> && std::is_same_v<std::remove_const_t<FromK>, K> &&
         std::is_same_v<std::remove_const_t<FromV>, V>) status
    compact_kv(context const& where, paged_kv<K, V> to, tensor_view<std::int32_t const, 3> to_table,
               paged_kv<FromK, FromV> from, tensor_view<std::int32_t const, 3> from_table,
               tensor_view<std::int32_t const, 3> kept, tensor_view<std::int32_t const, 2> kept_length) {
  extent requests{"requests"}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, value_dim{"value_dim"}, pages{"pages"},
      page_size{"page_size"}, from_pages{"pages"}, from_page_size{"page_size"}, max_pages{"max_pages"},
      from_max_pages{"max_pages"}, max_kept{"max_kept"};
  constexpr auto limit = index_t{1} << 31;
  contract       check{"compact_kv"};
  check_pages(check, to.k, {pages, page_size, kv_heads}, head_dim, "to.k");
  check_pages(check, to.v, {pages, page_size, kv_heads}, value_dim, "to.v");
  check_pages(check, from.k, {from_pages, from_page_size, kv_heads}, head_dim, "from.k");
  check_pages(check, from.v, {from_pages, from_page_size, kv_heads}, value_dim, "from.v");
  check.shape(kept_length, requests, kv_heads)
      .shape(kept, requests, kv_heads, max_kept)
      .shape(to_table, requests, kv_heads, max_pages)
      .shape(from_table, requests, kv_heads, from_max_pages)
      .addressable(kept_length, "kept_length")
      .addressable(kept, "kept")
      .addressable(to_table, "to_table")
      .addressable(from_table, "from_table");
  detail::check_token_places(check, to.k, false, "to.k");
  detail::check_token_places(check, to.v, false, "to.v");
  check.require(page_size.value < limit, errc::out_of_range, "page_size", page_size.value, limit - 1)
      .require(from_page_size.value < limit, errc::out_of_range, "page_size", from_page_size.value, limit - 1)
      .require(kv_heads.value < limit && requests.value < limit && requests.value * kv_heads.value < limit,
               errc::out_of_range, "requests", requests.value, limit - 1);
  TENON_TRY(check.result);
  for (extent const& e : {requests, kv_heads, max_kept, pages, page_size, from_pages, from_page_size})
    if (e.value == 0) return {};

  return detail::launch_compact_kv({byte_parts_of(to.k), byte_parts_of(to.v)}, to_table,
                                   {byte_parts_of(from.k), byte_parts_of(from.v)}, from_table, kept, kept_length,
                                   where);
}

/// The same in place.
template <kv_element K, kv_element V>
requires(!std::is_const_v<K> && !std::is_const_v<V>) status
    compact_kv(context const& where, paged_kv<K, V> kv, tensor_view<std::int32_t const, 3> table,
               tensor_view<std::int32_t const, 3> kept, tensor_view<std::int32_t const, 2> kept_length) {
  return compact_kv(where, kv, table, kv, table, kept, kept_length);
}

}  // namespace tenon::inline TENON_TARGET
