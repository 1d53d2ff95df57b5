#pragma once
//  What to remember of keys before they are dropped, so that later queries can tell whether they need them back.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/kv_spans.hpp>
#include <tenon/kv/span_summary_kernel.cuh>
#include <tenon/kv/span_summary_policy.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET {

/// least, most, mean [s,h,:] and count [s,h] of the keys of head h at the tokens of span s that kept[request, h] lacks
///
/// summary      least, most, mean (spans, kv_heads, head_dim), count (spans, kv_heads)   f32   any strides
/// k            (pages, page_size, kv_heads, head_dim)   numbers or codes (kv_format.hpp), head_dim contiguous
/// sequences    block_table (requests, kv_heads, max_pages), length (requests, kv_heads)   int32   any strides; as
///                                                       they are before the tokens are dropped
/// spans        (spans, 3)                               int32   any strides; request, first token, tokens
/// kept         (requests, kv_heads, max_kept)           int32   any strides; ascending; no view: all tokens of a
///                                                       span are dropped
/// kept_length  (requests, kv_heads)                     int32   any strides
///
/// Arithmetic  least and most are exact; the mean is a sum in fp32 in the order of the tokens. Same bits on every run.
/// Cost        reads the spans' keys once; no workspace.
/// Errors      shape_mismatch(spans, fields, kv_heads, head_dim, pages, page_size, requests, groups, max_pages),
///             bad_stride(k), misaligned, out_of_range(null; page_size, spans), unsupported(head_dim).
/// Range       head_dim <= 256, spans * kv_heads < 2^31. The list is read on the device: a request that does not exist
///             has no tokens, and tokens outside a sequence do not count.
/// Source      Tang et al. 2024, "Quest: query-aware sparsity for efficient long-context LLM inference".
/// Test tests/kv/kv_spans_test.cpp.   Page docs/operators/kv_spans.md.
template <class Pages>
status span_summary(context const& where, kv_span_summary const& summary, Pages const& k, kv_sequences const& sequences,
                    tensor_view<std::int32_t const, 2> spans, tensor_view<std::int32_t const, 3> kept = {},
                    tensor_view<std::int32_t const, 2> kept_length = {}) {
  extent count{"spans"}, fields{"fields", 3}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, pages{"pages"},
      page_size{"page_size"}, requests{"requests"}, max_pages{"max_pages"}, max_kept{"max_kept"};
  constexpr auto limit = index_t{1} << 31;
  auto           check = contract{"span_summary"};
  check.shape(spans, count, fields).addressable(spans, "spans");
  check_pages(check, k, {pages, page_size, kv_heads}, head_dim, "k");
  check_sequences(check, sequences, requests, kv_heads, max_pages)
      .addressable(sequences.block_table, "block_table")
      .addressable(sequences.length, "length");
  check_summary(check, summary, count, kv_heads, head_dim);
  if (kept.data)
    check.shape(kept, requests, kv_heads, max_kept)
        .shape(kept_length, requests, kv_heads)
        .addressable(kept, "kept")
        .addressable(kept_length, "kept_length");
  TENON_TRY(check.require(head_dim.value <= 256, errc::unsupported, "head_dim", head_dim.value, 256).result);
  if (count.value == 0 || kv_heads.value == 0) return {};
  check.require(page_size.value >= 1 && page_size.value < limit, errc::out_of_range, "page_size", page_size.value, 1)
      .require(count.value <= (limit - 1) / kv_heads.value, errc::out_of_range, "spans", count.value,
               (limit - 1) / kv_heads.value);
  TENON_TRY(check.result);

  using KP = decltype(as_const(k));
  kernel::span_summary_params<KP> const params{summary, as_const(k), sequences, spans, kept, kept_length};
  return dispatch_policy<span_summary_menu>(
      "span_summary", choose_span_summary_policy({where.arch}), [&]<class Policy>(Policy) {
        return arch::launch("span_summary", where,
                            {.grid           = static_cast<unsigned>(count.value * kv_heads.value),
                             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                             .work_per_block = static_cast<double>(head_dim.value) * 64},
                            kernel::span_summary<Policy, KP>, params);
      });
}

}  // namespace tenon::inline TENON_TARGET
