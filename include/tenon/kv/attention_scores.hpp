#pragma once
//  What cached keys are worth to the queries of a window: the shares of attention that they give, reduced to one score.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/attention_reduction.hpp>
#include <tenon/kv/attention_scores_kernel.cuh>
#include <tenon/kv/attention_scores_options.hpp>
#include <tenon/kv/attention_scores_policy.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/kv_sequences.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace tenon::inline TENON_TARGET {

/// What a call without options.lse wants of context.workspace, aligned to 4 bytes.
constexpr std::size_t attention_scores_workspace_bytes(index_t tokens, index_t heads) {
  return static_cast<std::size_t>(tokens * heads) * sizeof(float);
}

/// scores[r,h,t] = reduction of share[i,g,t] over the queries i of request r and the heads g of kv head h's group,
/// share[i,g,t] = exp(logit[i,g,t] - lse[i,g]),   logit = scale q[i,g,:] . k[t,h,:]   for the keys t <= position of i
///
/// Query i of a request with n queries stands at position length - n + i: with all queries of a prompt that is its
/// whole attention (h2o), with the last 32 to 64 a window (snap_kv), with one the last token (tova).
///
/// scores       (requests, kv_heads, max_tokens)          f32            any strides; places from `length` on are
///                                                                       left as they are, and so are requests without
///                                                                       queries
/// q            (tokens, heads, head_dim)                 f16 bf16 f32   any strides; rotated, as keys are
/// k            (pages, page_size, kv_heads, head_dim)    numbers or codes (kv_format.hpp), head_dim contiguous
/// sequences    block_table (requests, kv_heads, max_pages), length (requests, kv_heads)   int32   any strides
/// query_start  (requests + 1)                            int32          the requests' first rows of q, ascending
/// reduction    snap_kv, h2o, mean_attention, tova, expected_attention, or your own (attention_reduction.hpp)
/// options      scale, lse, spread, weight, accumulate, max_query_length
///
/// Arithmetic  fp32; keys of codes as fp32. Shares are at most 1. Sums ascend in heads, then queries: the same bits for
///             every run, batch, page size and order of pages. A logit's rounding is its share's relative error,
///             about 1e-5 for logits below 100.
/// Cost        2 queries heads length head_dim multiplications, twice that without options.lse; reads keys once from
///             memory.
/// Errors      shape_mismatch(tokens, heads, kv_heads, head_dim, pages, page_size, requests, groups, max_pages,
///             max_tokens), bad_stride(k), misaligned, out_of_range(null; head_dim, pages, page_size, requests, max_tokens,
///             rank, scale, max_query_length, tokens, pool: even, or not in 1..33), workspace_too_small(workspace).
/// Range       tokens * heads < 2^31, requests * heads * parts of 32 queries or 64 keys < 2^31, other extents < 2^31;
///             lengths <= max_tokens and <= max_pages * page_size.
/// Source      Li et al. 2024, "SnapKV".
/// Test tests/kv/attention_scores_test.cpp.   Page docs/operators/kv_scores.md.
template <class Q, class Pages, attention_reduction Reduction>
status attention_scores(context const& where, tensor_view<float, 3> scores, tensor_view<Q, 3> q, Pages const& k,
                        kv_sequences const& sequences, tensor_view<std::int32_t const, 1> query_start,
                        Reduction const& reduction, attention_scores_options const& options = {}) {
  extent tokens{"tokens"}, heads{"heads"}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, pages{"pages"},
      page_size{"page_size"}, requests{"requests"}, max_pages{"max_pages"}, max_tokens{"max_tokens"}, rank{"rank"};
  constexpr auto limit = index_t{1} << 31;
  auto           check = contract{"attention_scores"};
  check.shape(q, tokens, heads, head_dim);
  check_pages(check, k, {pages, page_size, kv_heads}, head_dim, "k");
  check_sequences(check, sequences, requests, kv_heads, max_pages)
      .shape(scores, requests, kv_heads, max_tokens)
      .require(query_start.extent[0] == requests.value + 1, errc::shape_mismatch, "requests", query_start.extent[0] - 1,
               requests.value)
      .addressable(scores, "scores")
      .addressable(q, "q")
      .addressable(sequences.block_table, "block_table")
      .addressable(sequences.length, "length")
      .addressable(query_start, "query_start");
  if (options.lse.data) check.shape(options.lse, tokens, heads).addressable(options.lse, "lse");
  if (options.spread.data) check.shape(options.spread, heads, rank, head_dim).addressable(options.spread, "spread");
  if (options.weight.data)
    check.shape(options.weight, requests, kv_heads, max_tokens).addressable(options.weight, "weight");
  int const pool = reduction.pool();
  check.require(pool >= 1 && pool <= most_pooled && pool % 2 == 1, errc::out_of_range, "pool", pool, most_pooled)
      .require(options.scale >= 0, errc::out_of_range, "scale", 0, 1)
      .require(options.max_query_length >= 0, errc::out_of_range, "max_query_length", options.max_query_length, 0);
  TENON_TRY(check.result);
  for (extent const& e : {tokens, heads, kv_heads, requests, max_tokens, pages})
    if (e.value == 0) return {};
  check.require(heads.value % kv_heads.value == 0, errc::shape_mismatch, "heads", heads.value, kv_heads.value)
      .require(head_dim.value >= 1, errc::out_of_range, "head_dim", head_dim.value, 1)
      .require(page_size.value >= 1, errc::out_of_range, "page_size", page_size.value, 1)
      .require(tokens.value <= (limit - 1) / heads.value, errc::out_of_range, "tokens", tokens.value,
               (limit - 1) / heads.value);
  for (extent const& e : {head_dim, pages, page_size, requests, max_tokens, rank})
    check.require(e.value < limit, errc::out_of_range, e.name, e.value, limit - 1);
  TENON_TRY(check.result);

  auto const wanted = options.lse.data ? std::size_t{0} : attention_scores_workspace_bytes(tokens.value, heads.value);
  auto const misalignment = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(where.workspace.data) % 4);
  check
      .require(wanted <= where.workspace.size, errc::workspace_too_small, "workspace",
               static_cast<index_t>(where.workspace.size), static_cast<index_t>(wanted))
      .require(wanted == 0 || misalignment == 0, errc::misaligned, "workspace", misalignment, 0);
  TENON_TRY(check.result);

  using KP = decltype(as_const(k));
  using QE = std::remove_const_t<Q>;
  kernel::attention_scores_params<QE, KP, Reduction> params{
      {.q           = as_const(q),
       .k           = as_const(k),
       .sequences   = sequences,
       .query_start = query_start,
       .lse         = dense(reinterpret_cast<float*>(where.workspace.data), tokens.value, heads.value),
       .spread      = options.spread,
       .scale       = options.scale > 0 ? options.scale : 1 / std::sqrt(static_cast<float>(head_dim.value)),
       .group       = static_cast<int>(heads.value / kv_heads.value),
       .parts       = 1},
      scores,
      options.weight,
      options.accumulate,
      reduction};
  if (options.lse.data) {
    params.lse.data = const_cast<float*>(options.lse.data);  // read only: the first kernel does not run
    for (int d = 0; d < 2; ++d) params.lse.stride[d] = options.lse.stride[d];
  }
  index_t const queries    = options.max_query_length > 0 ? min(options.max_query_length, tokens.value) : tokens.value;
  bool const    vectorised = head_dim.value % 8 == 0 && kv_rows_vectorised(k);
  auto const    policy     = choose_attention_scores_policy({where.arch}, vectorised);
  double const  products   = static_cast<double>(queries * head_dim.value);
  return dispatch_policy<attention_scores_menu>("attention_scores", policy, [&]<class Policy>(Policy) {
    constexpr auto value = Policy::value;
    auto const launch = [&](auto kernel, auto& of, index_t rows, index_t parts, std::size_t shared_bytes, double work) {
      if (parts >= limit / max(rows, index_t{1}))
        return status{errc::out_of_range, "attention_scores", "requests", requests.value, limit / parts};
      of.parts = static_cast<int>(parts);
      return arch::launch("attention_scores", where,
                          {.grid           = static_cast<unsigned>(rows * parts),
                           .block          = static_cast<unsigned>(value.threads_per_block),
                           .shared_bytes   = shared_bytes,
                           .work_per_block = work},
                          kernel, std::as_const(of));
    };
    if (!options.lse.data) {
      kernel::attention_scores_operands<QE, KP> operands = params;
      TENON_TRY(launch(kernel::attention_lse<Policy, QE, KP>, operands, requests.value * heads.value,
                       ceil_div(queries, index_t{value.rows}), sizeof(kernel::attention_lse_storage<Policy>),
                       static_cast<double>(value.rows * max_tokens.value * head_dim.value)));
    }
    return launch(kernel::attention_scores<Policy, QE, KP, Reduction>, params, requests.value * kv_heads.value,
                  ceil_div(max_tokens.value, index_t{value.keys() - pool / 2 * 2}),
                  sizeof(kernel::attention_scores_storage<Policy>), products * value.keys() * params.group);
  });
}

}  // namespace tenon::inline TENON_TARGET
