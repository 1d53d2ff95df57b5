#pragma once
//  New keys and values into the pages of a cache.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/kv/kv_append_kernel.cuh>
#include <tenon/kv/kv_append_policy.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET {

/// cache.k[slots[t] / page_size, slots[t] % page_size, h, :] = k[t, h, :], and v the same
///
/// cache.k (pages, page_size, kv_heads, head_dim)    f16 bf16 f32   head_dim contiguous, any other strides
/// cache.v (pages, page_size, kv_heads, value_dim)   f16 bf16 f32   value_dim contiguous, any other strides
/// k       (tokens, kv_heads, head_dim)              f16 bf16 f32   head_dim contiguous, any other strides
/// v       (tokens, kv_heads, value_dim)             f16 bf16 f32   value_dim contiguous, any other strides
/// slots   (tokens)                                  int64          any stride; page * page_size + place; a slot outside
///                                                                  [0, pages * page_size), -1 say, writes nothing
///
/// Arithmetic  one rounding to the cache's type; a cache of the same type gets the same bits.
/// Cost        reads k, v and slots once, writes as many elements; no workspace.
/// Errors      shape_mismatch(page_size, pages, tokens, kv_heads, head_dim, value_dim), bad_stride(cache.k, cache.v, k, v),
///             misaligned, out_of_range(tokens).
/// Range       tokens < 2^31. Two tokens with one slot are a race: the caller gives every slot once.
/// Source      Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention".
/// Test tests/kv/kv_append_test.cpp.   Page docs/operators/kv_append.md.
template <floating CK, floating CV, class K, class V>
status kv_append(context const& where, paged_kv<CK, CV> cache, tensor_view<K, 3> k, tensor_view<V, 3> v,
                 tensor_view<std::int64_t const, 1> slots) {
  extent tokens{"tokens"}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, value_dim{"value_dim"}, pages{"pages"},
      page_size{"page_size"};
  TENON_TRY(contract{"kv_append"}
                .shape(k, tokens, kv_heads, head_dim)
                .shape(v, tokens, kv_heads, value_dim)
                .shape(slots, tokens)
                .shape(cache.k, pages, page_size, kv_heads, head_dim)
                .shape(cache.v, pages, page_size, kv_heads, value_dim)
                .contiguous(cache.k, "cache.k")
                .contiguous(cache.v, "cache.v")
                .contiguous(k, "k")
                .contiguous(v, "v")
                .addressable(cache.k, "cache.k")
                .addressable(cache.v, "cache.v")
                .addressable(k, "k")
                .addressable(v, "v")
                .addressable(slots, "slots")
                .require(tokens.value < (index_t{1} << 31), errc::out_of_range, "tokens", tokens.value,
                         (index_t{1} << 31) - 1)
                .result);
  if (k.size() + v.size() == 0 || pages.value * page_size.value == 0) return {};

  bool const vectorised = head_dim.value % 8 == 0 && value_dim.value % 8 == 0 && is_vectorised<8>(k) &&
                          is_vectorised<8>(v) && is_vectorised<8>(cache.k) && is_vectorised<8>(cache.v);
  auto const policy = choose_kv_append_policy({where.arch}, vectorised);
  using KE          = std::remove_const_t<K>;
  using VE          = std::remove_const_t<V>;
  return dispatch_policy<kv_append_menu>("kv_append", policy, [&]<class Policy>(Policy) {
    return arch::launch("kv_append", where,
                        {.grid           = static_cast<unsigned>(tokens.value),
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .work_per_block = static_cast<double>(kv_heads.value * (head_dim.value + value_dim.value))},
                        kernel::kv_append<Policy, CK, CV, KE, VE>,
                        kernel::kv_append_params<CK, CV, KE, VE>{cache, as_const(k), as_const(v), slots});
  });
}

}  // namespace tenon::inline TENON_TARGET
