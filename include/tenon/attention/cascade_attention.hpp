#pragma once
//  Attention of requests that share a prefix: the prefix's keys are read once for all of them.
#include <tenon/attention/attention_variant.hpp>
#include <tenon/attention/merge_attention.hpp>
#include <tenon/attention/paged_attention.hpp>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstddef>
#include <cstdint>

namespace tenon {

/// Groups of requests that follow each other in the batch and share the keys before their own.
struct shared_prefixes {
  tensor_view<std::int32_t const, 2> block_table;  // (groups, max_prefix_pages)
  tensor_view<std::int32_t const, 1> query_start;  // (groups + 1): the groups' first tokens, from 0 to all tokens
  tensor_view<std::int32_t const, 1> kv_length;    // (groups): keys of the prefix; 0: this group shares none
};

namespace cascade_planning {
constexpr std::size_t part_bytes(index_t tokens, index_t heads, index_t value_dim) {
  return static_cast<std::size_t>(round_up(2 * tokens * heads * value_dim, 4)) * sizeof(float);
}
constexpr std::size_t lse_bytes(index_t tokens, index_t heads) {
  return static_cast<std::size_t>(round_up(2 * tokens * heads, 4)) * sizeof(float);
}
}  // namespace cascade_planning

/// Scratch that a call needs in context.workspace: two partial results of every row. What its two calls of paged_attention
/// want, the larger of the two, comes behind it.
constexpr std::size_t cascade_attention_workspace_bytes(index_t tokens, index_t heads, index_t value_dim) {
  return cascade_planning::part_bytes(tokens, heads, value_dim) + cascade_planning::lse_bytes(tokens, heads);
}

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

/// o[t,h,:] as paged_attention has it, over the keys of the prefix of the token's group, all of which it sees, and behind
/// them the keys of its request that the mask keeps. Three launches: the prefixes, as requests of all their group's queries;
/// the requests' own keys; the merging of the two.
///
/// o, q, kv        as paged_attention takes them; prefixes and requests have their pages in one cache
/// prefix          shared_prefixes; every token is in one group, and a group is whole requests
/// block_table     (requests, max_pages)   int32   the requests' own pages: the first key behind the prefix starts a page
/// query_start     (requests + 1)          int32   the requests' first tokens, ascending; every token is in one request
/// kv_length       (requests)              int32   a request's own keys, without the prefix
/// options         as paged_attention takes them, the hints about the requests' own keys; a sink counts once
/// variant         {mask, logits}; the mask's positions count from the end of the prefix. Logits that depend on positions are
///                 refused at compile time: same_for_all_pairs (logits.hpp) must hold
/// lse             (tokens, heads)         f32     as paged_attention gives it; no view: not wanted
///
/// Arithmetic  that of paged_attention to an f32 result of either part, merge_attention's sum of them, one rounding to O.
///             Same bits for every run and page order.
/// Cost        reads a prefix once per tile of its group's queries instead of once per request; writes and reads two f32
///             results per row. Needs cascade_attention_workspace_bytes.
/// Errors      those of paged_attention; shape_mismatch(groups), workspace_too_small, misaligned(workspace).
/// Source      Ye et al. 2024, "Cascade inference"; Juravsky et al. 2024, "Hydragen".
/// Test tests/attention/cascade_attention_test.cpp.   Page docs/operators/cascade_attention.md.
template <floating O, class Q, kv_element K, kv_element V, attention_mask Mask = causal,
          attention_logits Logits = scaled_logits>
status cascade_attention(context const& where, tensor_view<O, 3> o, tensor_view<Q, 3> q, paged_kv<K, V> kv,
                         shared_prefixes prefix, tensor_view<std::int32_t const, 2> block_table,
                         tensor_view<std::int32_t const, 1> query_start, tensor_view<std::int32_t const, 1> kv_length,
                         paged_attention_options options = {}, attention_variant<Mask, Logits> variant = {},
                         tensor_view<float, 2> lse = {}) {
  static_assert(
      same_for_all_pairs<Logits>,
      "tenon::cascade_attention: the logits depend on positions, which count from two different keys here; use "
      "paged_attention, or say `static constexpr bool same_for_all_pairs = true` if they do not");
  index_t const groups = prefix.kv_length.extent[0];
  if (groups == 0) return paged_attention(where, o, q, kv, block_table, query_start, kv_length, options, variant, lse);

  extent tokens{"tokens"}, heads{"heads"}, head_dim{"head_dim"}, value_dim{"value_dim"};
  auto   check = contract{"cascade_attention"};
  check.shape(q, tokens, heads, head_dim)
      .shape(o, tokens, heads, value_dim)
      .require(prefix.query_start.extent[0] == groups + 1, errc::shape_mismatch, "groups",
               prefix.query_start.extent[0] - 1, groups)
      .require(prefix.block_table.extent[0] == groups, errc::shape_mismatch, "groups", prefix.block_table.extent[0],
               groups)
      .contiguous(o, "o")
      .addressable(o, "o");
  if (lse.data) check.shape(lse, tokens, heads).addressable(lse, "lse");
  TENON_TRY(check.result);
  if (tokens.value == 0 || heads.value == 0 || value_dim.value == 0) return {};
  auto const needed  = cascade_attention_workspace_bytes(tokens.value, heads.value, value_dim.value);
  auto const address = reinterpret_cast<std::uintptr_t>(where.workspace.data);
  TENON_TRY(check
                .require(where.workspace.size >= needed, errc::workspace_too_small, "workspace",
                         static_cast<index_t>(where.workspace.size), static_cast<index_t>(needed))
                .require(address % 16 == 0, errc::misaligned, "workspace", static_cast<index_t>(address % 16), 0)
                .result);

  // Partial results of the prefixes, then of the requests' own keys.
  auto* const part = reinterpret_cast<float*>(where.workspace.data);
  auto* const part_lse =
      part + cascade_planning::part_bytes(tokens.value, heads.value, value_dim.value) / sizeof(float);
  auto const result = dense(part, 2, tokens.value, heads.value, value_dim.value);
  auto const logs   = dense(part_lse, 2, tokens.value, heads.value);
  auto const half   = [&](int p) {
    return dense(part + p * result.stride[0], tokens.value, heads.value, value_dim.value);
  };
  auto const half_lse = [&](int p) { return dense(part_lse + p * logs.stride[0], tokens.value, heads.value); };

  context rest   = where;
  rest.workspace = {where.workspace.data + needed, where.workspace.size - needed};

  paged_attention_options of_prefix = options;
  of_prefix.sinks                   = {};
  of_prefix.max_query_length = of_prefix.max_kv_length = 0;
  TENON_TRY(paged_attention(rest, half(0), q, kv, prefix.block_table, prefix.query_start, prefix.kv_length, of_prefix,
                            attention_variant<no_mask, Logits>{{}, variant.logits}, half_lse(0)));
  TENON_TRY(paged_attention(rest, half(1), q, kv, block_table, query_start, kv_length, options, variant, half_lse(1)));
  return merge_attention(where, o, result, logs, lse);
}

}  // namespace tenon::inline TENON_TARGET
