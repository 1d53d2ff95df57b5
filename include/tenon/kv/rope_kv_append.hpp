#pragma once
//  Between a decoder layer's projections and its attention, in one launch: heads normalised, rotary embedding, cache written.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/kv_rows_launch.hpp>
#include <tenon/kv/kv_rows_policy.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/kv/rope_kv_append_kernel.cuh>
#include <tenon/kv/rope_kv_append_options.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET {

/// q[t, h, :] = rope(norm(q[t, h, :]));  cache.k[slots[t], h, :] = rope(norm(k[t, h, :]));  cache.v[slots[t], h, :] = v[t, h, :]
///
/// norm(x) = x weight / sqrt(mean(x^2) + eps), or x where there are no weights;  rope as in position/rope.hpp, with the row of
/// positions[t];  places and codes as in kv_append.
///
/// cache     (pages, page_size, kv_heads, head_dim or value_dim)   as in kv_append
/// q         (tokens, heads, head_dim)       f16 bf16 f32   head_dim contiguous, any other strides; in and out
/// k         (tokens, kv_heads, head_dim)    q's type       the same, read only; may be a slice of one tensor with q and v
/// v         (tokens, kv_heads, value_dim)   q's type       value_dim contiguous, any other strides; read only
/// positions (tokens)                        int32          any stride
/// cos_sin   (positions, rotary_dim)         f32            rotary_dim contiguous, even, at most head_dim: fill_rope_table
/// slots     (tokens)                        int64          any stride; outside the cache: k and v are written nowhere
/// options   style; eps > 0; k_scales, v_scales as in kv_append
/// norm      weights of q and of k, (head_dim) each, contiguous; either may be absent
///
/// Arithmetic  fp32 from the inputs to the one rounding to q's type or the cache's: normalised and turned values are not rounded
///             to T between the steps, as they are where rms_norm, rope and kv_append run one after the other. v is stored as
///             kv_append stores it, bit by bit. Same bits for every run and batch.
/// Cost        reads q, k, v once, writes q and the cache's rows once; one launch, no workspace.
/// Errors      those of kv_append, and shape_mismatch(q_norm, k_norm), bad_stride(q, cos_sin, q_norm, k_norm),
///             out_of_range(rotary_dim, eps, heads).
/// Range       tokens < 2^31, widths and heads < 2^24. A token whose position is outside the table stays unrotated. Two
///             tokens with one slot are a race.
/// Source      Su et al. 2021, eq. 34; Henry et al. 2020, "Query-Key Normalization for Transformers".
/// Test tests/kv/rope_kv_append_test.cpp.   Page docs/operators/rope_kv_append.md.
template <kv_element CK, kv_element CV, floating T, element_of<T> K, element_of<T> V, element_of<std::int32_t> Position,
          element_of<float> Table, class W = float>
requires(!std::is_const_v<CK> && !std::is_const_v<CV>) status
    rope_kv_append(context const& where, paged_kv<CK, CV> cache, tensor_view<T, 3> q, tensor_view<K, 3> k,
                   tensor_view<V, 3> v, tensor_view<Position, 1> positions, tensor_view<Table, 2> cos_sin,
                   tensor_view<std::int64_t const, 1> slots, rope_kv_append_options options = {},
                   qk_norm<W> norm = {}) {
  extent         tokens{"tokens"}, heads{"heads"}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, value_dim{"value_dim"};
  extent         pages{"pages"}, page_size{"page_size"}, table{"positions"}, rotary_dim{"rotary_dim"};
  constexpr auto limit = index_t{1} << 31, wide = index_t{1} << 24;
  index_t const  rotary = cos_sin.extent[1];
  contract       check{"rope_kv_append"};
  check.shape(q, tokens, heads, head_dim)
      .shape(k, tokens, kv_heads, head_dim)
      .shape(v, tokens, kv_heads, value_dim)
      .shape(positions, tokens)
      .shape(slots, tokens)
      .shape(cos_sin, table, rotary_dim);
  check_pages(check, cache.k, {pages, page_size, kv_heads}, head_dim, "cache.k");
  check_pages(check, cache.v, {pages, page_size, kv_heads}, value_dim, "cache.v");
  check_scales(check, cache.k, options.k_scales, "k_scales");
  check_scales(check, cache.v, options.v_scales, "v_scales");
  auto const check_weight = [&](tensor_view<W const, 1> const& weight, char const* subject) {
    if (!weight.data) return;
    check.require(weight.extent[0] == head_dim.value, errc::shape_mismatch, subject, weight.extent[0], head_dim.value)
        .contiguous(weight, subject)
        .addressable(weight, subject)
        .require(options.eps > 0, errc::out_of_range, "eps", 0, 1);
  };
  check_weight(norm.q, "q_norm"), check_weight(norm.k, "k_norm");
  TENON_TRY(check.contiguous(q, "q")
                .contiguous(k, "k")
                .contiguous(v, "v")
                .contiguous(cos_sin, "cos_sin")
                .addressable(q, "q")
                .addressable(k, "k")
                .addressable(v, "v")
                .addressable(positions, "positions")
                .addressable(cos_sin, "cos_sin")
                .addressable(slots, "slots")
                .require(rotary % 2 == 0, errc::out_of_range, "rotary_dim", rotary, rotary + 1)
                .require(rotary <= head_dim.value, errc::out_of_range, "rotary_dim", rotary, head_dim.value)
                .require(tokens.value < limit, errc::out_of_range, "tokens", tokens.value, limit - 1)
                .require(head_dim.value < wide, errc::out_of_range, "head_dim", head_dim.value, wide - 1)
                .require(value_dim.value < wide, errc::out_of_range, "value_dim", value_dim.value, wide - 1)
                .require(heads.value < wide, errc::out_of_range, "heads", heads.value, wide - 1)
                .require(kv_heads.value < wide, errc::out_of_range, "kv_heads", kv_heads.value, wide - 1)
                .result);
  index_t const rows = heads.value + 2 * kv_heads.value;
  if (tokens.value == 0 || q.size() + k.size() + v.size() == 0) return {};

  auto const may_move = [&]<int N>(std::integral_constant<int, N>) {
    auto const moves = [](auto const& weight) { return !weight.data || is_vectorised<N>(weight); };
    return head_dim.value % N == 0 && value_dim.value % N == 0 && rotary % (2 * N) == 0 && is_vectorised<N>(q) &&
           is_vectorised<N>(k) && is_vectorised<N>(v) && is_vectorised<N>(cos_sin) && moves(norm.q) && moves(norm.k) &&
           stores_columns<N>(cache.k) && stores_columns<N>(cache.v);
  };
  double const work = 6 * static_cast<double>(rows * max(head_dim.value, value_dim.value));
  return launch_kv_rows(
      "rope_kv_append", where, {tokens.value, rows, max(head_dim.value, value_dim.value), work}, may_move,
      []<class Policy>(Policy) { return kernel::rope_kv_append<Policy, CK, CV, T, W>; },
      kernel::rope_kv_append_params<CK, CV, T, W>{
          cache, q, as_const(k), as_const(v), as_const(positions), as_const(cos_sin), slots, norm.q.data, norm.k.data,
          options.eps, options.style, options.k_scales == kv_scales::given, options.v_scales == kv_scales::given});
}

}  // namespace tenon::inline TENON_TARGET
