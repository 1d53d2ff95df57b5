#pragma once
//  How much attention queries would send to spans of dropped tokens: a bound and a guess, from summaries alone.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_spans.hpp>
#include <tenon/kv/span_mass_kernel.cuh>
#include <tenon/kv/span_summary_policy.hpp>

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET {

/// upper[s,h] >= the largest share of attention that a query of the span's request, in any head of h's group, would
/// give to the span s if its keys were there; guess[s,h] is about as large as that share
///
/// upper, guess  (spans, kv_heads)          f32   any strides
/// summary       of span_summary, (spans, kv_heads, head_dim)
/// spans         (spans, 3)                 int32   any strides; the list of span_summary, of which the request is read
/// q             (tokens, heads, head_dim)  f16 bf16 f32   any strides; rotated
/// lse           (tokens, heads)            f32   any strides; natural log of sum_k exp(logit) over the keys that are
///                                                there, as paged_attention gives it
/// query_start   (requests + 1)             int32   the requests' first tokens, ascending
/// scale         of the logits; 0: 1 / sqrt(head_dim)
///
/// A share is that of one span and the keys that are there: other spans, which would take some of it, are not there. 0
/// where a head drops nothing of a span, or its request has no queries.
///
/// Arithmetic  fp32; the bound is raised by 2^-16 of its terms, more than rounding can take from it. Same bits on every
///             run.
/// Cost        reads summaries and queries once from memory; no workspace.
/// Errors      shape_mismatch(spans, kv_heads, heads, head_dim, tokens, fields), misaligned, out_of_range(null; scale,
///             spans, tokens), unsupported(head_dim).
/// Range       head_dim <= 256, spans * kv_heads < 2^31, tokens * heads < 2^31.
/// Source      Tang et al. 2024, "Quest: query-aware sparsity for efficient long-context LLM inference".
/// Test tests/kv/kv_spans_test.cpp.   Page docs/operators/kv_spans.md.
template <class Q>
status span_mass(context const& where, tensor_view<float, 2> upper, tensor_view<float, 2> guess,
                 kv_span_summary const& summary, tensor_view<std::int32_t const, 2> spans, tensor_view<Q, 3> q,
                 tensor_view<float const, 2> lse, tensor_view<std::int32_t const, 1> query_start, float scale = 0) {
  extent count{"spans"}, fields{"fields", 3}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, tokens{"tokens"},
      heads{"heads"}, starts{"query_start"};
  constexpr auto limit = index_t{1} << 31;
  auto           check = contract{"span_mass"};
  check.shape(spans, count, fields).addressable(spans, "spans");
  check_summary(check, summary, count, kv_heads, head_dim)
      .shape(upper, count, kv_heads)
      .shape(guess, count, kv_heads)
      .shape(q, tokens, heads, head_dim)
      .shape(lse, tokens, heads)
      .shape(query_start, starts)
      .addressable(upper, "upper")
      .addressable(guess, "guess")
      .addressable(q, "q")
      .addressable(lse, "lse")
      .addressable(query_start, "query_start")
      .require(head_dim.value <= 256, errc::unsupported, "head_dim", head_dim.value, 256)
      .require(scale >= 0, errc::out_of_range, "scale", 0, 1);
  TENON_TRY(check.result);
  if (count.value == 0 || kv_heads.value == 0) return {};
  check.require(heads.value % kv_heads.value == 0, errc::shape_mismatch, "heads", heads.value, kv_heads.value)
      .require(count.value <= (limit - 1) / kv_heads.value, errc::out_of_range, "spans", count.value,
               (limit - 1) / kv_heads.value)
      .require(tokens.value <= (limit - 1) / max(heads.value, index_t{1}), errc::out_of_range, "tokens", tokens.value,
               (limit - 1) / max(heads.value, index_t{1}));
  TENON_TRY(check.result);

  using QE = std::remove_const_t<Q>;
  kernel::span_mass_params<QE> const params{
      .upper       = upper,
      .guess       = guess,
      .summary     = summary,
      .spans       = spans,
      .q           = as_const(q),
      .lse         = lse,
      .query_start = query_start,
      .scale       = scale > 0 ? scale : 1 / std::sqrt(static_cast<float>(max(head_dim.value, index_t{1}))),
      .group       = static_cast<int>(heads.value / kv_heads.value)};
  return dispatch_policy<span_summary_menu>(
      "span_mass", choose_span_summary_policy({where.arch}), [&]<class Policy>(Policy) {
        return arch::launch("span_mass", where,
                            {.grid           = static_cast<unsigned>(count.value * kv_heads.value),
                             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                             .shared_bytes   = sizeof(kernel::span_mass_storage<Policy>),
                             .work_per_block = static_cast<double>(tokens.value * params.group * head_dim.value) * 6},
                            kernel::span_mass<Policy, QE>, params);
      });
}

}  // namespace tenon::inline TENON_TARGET
