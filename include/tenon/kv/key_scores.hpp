#pragma once
//  What cached keys are worth by themselves: scores from norms and directions, without a query.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/key_measure.hpp>
#include <tenon/kv/key_scores_kernel.cuh>
#include <tenon/kv/key_scores_policy.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/kv_sequences.hpp>

namespace tenon::inline TENON_TARGET {

/// scores[r,h,t] = measure(|k|, k . m, |m|), k the key of token t of head h of request r, m the mean of k / |k| over
/// the head's keys
///
/// scores     (requests, kv_heads, max_tokens)         f32    any strides; places from `length` on are left as they are
/// k          (pages, page_size, kv_heads, head_dim)   numbers or codes (kv_format.hpp), head_dim contiguous; or
///                                                        values
/// sequences  block_table (requests, kv_heads, max_pages), length (requests, kv_heads)   int32   any strides
/// measure    knorm, key_diff, row_norm, or your own (key_measure.hpp)
///
/// Arithmetic  fp32. The mean is summed in an order that the policy fixes: the same bits for every run, batch, page
///             size and order of pages. Within 1e-5 of the definition, relative to the norms.
/// Cost        reads keys once from memory, and where the mean is wanted once more; no workspace. One block per head of
///             a request.
/// Errors      shape_mismatch(kv_heads, head_dim, pages, page_size, requests, groups, max_pages), bad_stride(k),
///             misaligned, out_of_range(null; page_size, requests, max_tokens), unsupported(head_dim).
/// Range       head_dim <= 256; requests * kv_heads < 2^31; lengths <= max_tokens and <= max_pages * page_size; |k|
///             below 1e19.
/// Source      Devoto et al. 2024, "A simple and effective L2 norm-based strategy for KV cache compression"; Park et
///             al. 2025, "KeyDiff".
/// Test tests/kv/key_scores_test.cpp.   Page docs/operators/kv_scores.md.
template <class Pages, key_measure Measure>
status key_scores(context const& where, tensor_view<float, 3> scores, Pages const& k, kv_sequences const& sequences,
                  Measure const& measure) {
  extent kv_heads{"kv_heads"}, head_dim{"head_dim"}, pages{"pages"}, page_size{"page_size"}, requests{"requests"},
      max_pages{"max_pages"}, max_tokens{"max_tokens"};
  constexpr auto limit = index_t{1} << 31;
  auto           check = contract{"key_scores"};
  check_pages(check, k, {pages, page_size, kv_heads}, head_dim, "k");
  check_sequences(check, sequences, requests, kv_heads, max_pages)
      .shape(scores, requests, kv_heads, max_tokens)
      .addressable(scores, "scores")
      .addressable(sequences.block_table, "block_table")
      .addressable(sequences.length, "length")
      .require(head_dim.value <= 256, errc::unsupported, "head_dim", head_dim.value, 256);
  TENON_TRY(check.result);
  for (extent const& e : {kv_heads, requests, max_tokens, pages})
    if (e.value == 0) return {};
  check.require(page_size.value >= 1 && page_size.value < limit, errc::out_of_range, "page_size", page_size.value, 1)
      .require(max_tokens.value < limit, errc::out_of_range, "max_tokens", max_tokens.value, limit - 1)
      .require(requests.value <= (limit - 1) / kv_heads.value, errc::out_of_range, "requests", requests.value,
               (limit - 1) / kv_heads.value);
  TENON_TRY(check.result);

  using KP = decltype(as_const(k));
  kernel::key_scores_params<KP, Measure> const params{scores, as_const(k), sequences, measure};
  bool const                                   vectorised = head_dim.value % 8 == 0 && kv_rows_vectorised(k);
  return dispatch_policy<key_scores_menu>(
      "key_scores", choose_key_scores_policy({where.arch}, vectorised), [&]<class Policy>(Policy) {
        return arch::launch("key_scores", where,
                            {.grid           = static_cast<unsigned>(requests.value * kv_heads.value),
                             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                             .shared_bytes   = sizeof(kernel::key_scores_storage<Policy>),
                             .work_per_block = static_cast<double>(max_tokens.value * head_dim.value) * 4},
                            kernel::key_scores<Policy, KP, Measure>, params);
      });
}

}  // namespace tenon::inline TENON_TARGET
