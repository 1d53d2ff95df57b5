#pragma once
//  New keys and values into the pages of a cache, as numbers or as codes.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/kv/kv_append_kernel.cuh>
#include <tenon/kv/kv_append_options.hpp>
#include <tenon/kv/kv_append_policy.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/kv_rows_launch.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET {

/// cache.k[slots[t] / page_size, slots[t] % page_size, h, :] = k[t, h, :], and v the same
///
/// cache.k (pages, page_size, kv_heads, head_dim)    f16 bf16 f32 kv_fp8 kv_int8 kv_int4   head_dim contiguous, any other
///                                                   strides
/// cache.v (pages, page_size, kv_heads, value_dim)   the same, chosen apart from k's
/// k       (tokens, kv_heads, head_dim)              f16 bf16 f32   head_dim contiguous, any other strides
/// v       (tokens, kv_heads, value_dim)             f16 bf16 f32   value_dim contiguous, any other strides
/// slots   (tokens)                                  int64          any stride; page * page_size + place; a slot outside
///                                                                  [0, pages * page_size), -1 say, writes nothing
/// options k_scales, v_scales: computed, or (kv_fp8) given: read from the cache's scales, which are positive then
///
/// Arithmetic  numbers: one rounding to the cache's type; a cache of the same type gets the same bits. Codes: a scale per
///             token and head (kv_int4: per 32 columns of it) from the values, then code = round_half_even((x - offset) *
///             (1 / scale)) in fp32, saturated: the same bits on every target and policy. What is read back is off by at most
///             scale / 2 (kv_fp8: half a step of e4m3), and NaN where the columns of a scale held NaN or infinity.
/// Cost        reads k, v and slots once, writes elements, or codes and scales; no workspace.
/// Errors      shape_mismatch(page_size, pages, tokens, kv_heads, head_dim, value_dim, groups), bad_stride(cache.k, cache.v,
///             k, v; k_scales, v_scales: computed ones that share a place), misaligned, out_of_range(tokens, head_dim,
///             value_dim, kv_heads), unsupported(k_scales, v_scales: given ones of another format).
/// Range       tokens < 2^31, head_dim, value_dim and kv_heads < 2^24; kv_int4: even widths. Two tokens with one slot are a
///             race: the caller gives every slot once.
/// Source      Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention"; Liu et
///             al. 2024, "KIVI" (asymmetric ranges).
/// Test tests/kv/kv_append_test.cpp, kv_append_codes_test.cpp.   Page docs/operators/kv_append.md.
template <kv_element CK, kv_element CV, class K, class V>
requires(!std::is_const_v<CK> && !std::is_const_v<CV>) status
    kv_append(context const& where, paged_kv<CK, CV> cache, tensor_view<K, 3> k, tensor_view<V, 3> v,
              tensor_view<std::int64_t const, 1> slots, kv_append_options options = {}) {
  extent tokens{"tokens"}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, value_dim{"value_dim"}, pages{"pages"},
      page_size{"page_size"};
  constexpr auto limit = index_t{1} << 31, wide = index_t{1} << 24;
  contract       check{"kv_append"};
  check.shape(k, tokens, kv_heads, head_dim).shape(v, tokens, kv_heads, value_dim).shape(slots, tokens);
  check_pages(check, cache.k, {pages, page_size, kv_heads}, head_dim, "cache.k");
  check_pages(check, cache.v, {pages, page_size, kv_heads}, value_dim, "cache.v");
  check_scales(check, cache.k, options.k_scales, "k_scales");
  check_scales(check, cache.v, options.v_scales, "v_scales");
  TENON_TRY(check.contiguous(k, "k")
                .contiguous(v, "v")
                .addressable(k, "k")
                .addressable(v, "v")
                .addressable(slots, "slots")
                .require(tokens.value < limit, errc::out_of_range, "tokens", tokens.value, limit - 1)
                .require(head_dim.value < wide, errc::out_of_range, "head_dim", head_dim.value, wide - 1)
                .require(value_dim.value < wide, errc::out_of_range, "value_dim", value_dim.value, wide - 1)
                .require(kv_heads.value < wide, errc::out_of_range, "kv_heads", kv_heads.value, wide - 1)
                .result);
  if (k.size() + v.size() == 0 || pages.value * page_size.value == 0) return {};

  using KE          = std::remove_const_t<K>;
  using VE          = std::remove_const_t<V>;
  double const work = static_cast<double>(kv_heads.value * (head_dim.value + value_dim.value));
  kernel::kv_append_params<CK, CV, KE, VE> const params{cache,
                                                        as_const(k),
                                                        as_const(v),
                                                        slots,
                                                        options.k_scales == kv_scales::given,
                                                        options.v_scales == kv_scales::given};
  if constexpr (is_kv_codes<CK> || is_kv_codes<CV>) {
    auto const may_move = [&]<int N>(std::integral_constant<int, N>) {
      return head_dim.value % N == 0 && value_dim.value % N == 0 && is_vectorised<N>(k) && is_vectorised<N>(v) &&
             stores_columns<N>(cache.k) && stores_columns<N>(cache.v);
    };
    return launch_kv_rows(
        "kv_append", where, {tokens.value, 2 * kv_heads.value, max(head_dim.value, value_dim.value), 4 * work},
        may_move, []<class Policy>(Policy) { return kernel::kv_append_rows<Policy, CK, CV, KE, VE>; }, params);
  } else {
    bool const vectorised = head_dim.value % 8 == 0 && value_dim.value % 8 == 0 && is_vectorised<8>(k) &&
                            is_vectorised<8>(v) && is_vectorised<8>(cache.k) && is_vectorised<8>(cache.v);
    auto const policy = choose_kv_append_policy({where.arch}, vectorised);
    return dispatch_policy<kv_append_menu>("kv_append", policy, [&]<class Policy>(Policy) {
      return arch::launch("kv_append", where,
                          {.grid           = static_cast<unsigned>(tokens.value),
                           .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                           .shared_bytes   = 0,
                           .work_per_block = work},
                          kernel::kv_append<Policy, CK, CV, KE, VE>, params);
    });
  }
}

}  // namespace tenon::inline TENON_TARGET
