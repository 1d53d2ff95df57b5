#pragma once
//  least, most, mean of k[t,:] over the tokens t of a span that a head drops, and their number
//
//  One block per span and kv head; a thread has columns of its own and goes over the tokens, past those that are kept,
//  whose list ascends, too.
//  Traffic: the span's keys once.
//  Source. Tang et al. 2024, "Quest": least and most per page, as a bound of q . k.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/kv_spans.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/kv/span_summary_policy.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class Pages>
struct span_summary_params {
  kv_span_summary                    summary;      // (spans, kv_heads)
  Pages                              k;            // (pages, page_size, kv_heads, head_dim)
  kv_sequences                       sequences;    // (requests, kv_heads)
  tensor_view<std::int32_t const, 2> spans;        // (spans, 3): request, first, tokens
  tensor_view<std::int32_t const, 3> kept;         // (requests, kv_heads, max_kept); no address: none
  tensor_view<std::int32_t const, 2> kept_length;  // (requests, kv_heads)
};

template <class Policy, class Pages>
__global__ __launch_bounds__(Policy::value.threads_per_block) void span_summary(
    __grid_constant__ span_summary_params<Pages> const p) {
  constexpr int   threads = Policy::value.threads_per_block, own = Policy::value.own();
  constexpr float infinity = bit_cast<float>(0x7f800000u);

  // Index map: block (span, kv head). A request that does not exist has no tokens.
  int const  heads = static_cast<int>(p.summary.count.extent[1]), width = static_cast<int>(p.summary.least.extent[2]);
  int const  span = static_cast<int>(blockIdx.x) / heads, head = static_cast<int>(blockIdx.x) % heads;
  int const  request = p.spans(span, 0), page_size = static_cast<int>(kv_places(p.k).extent[1]);
  bool const there     = request >= 0 && request < p.sequences.length.extent[0];
  index_t const length = there ? p.sequences.length(request, head) : 0;
  index_t const first  = max(p.spans(span, 1), 0);
  index_t const end    = min(static_cast<index_t>(p.spans(span, 1)) + p.spans(span, 2), length);

  // The first kept token that is not in front of the span.
  int next = 0, listed = 0;
  if (there && p.kept.data != nullptr) {
    listed = min(p.kept_length(request, head), static_cast<int>(p.kept.extent[2]));
    for (int above = listed; next < above;) {
      int const middle = next + (above - next) / 2;
      if (p.kept(request, head, middle) < first) next = middle + 1;
      else above = middle;
    }
  }

  // Load, reduce.
  float least[own], most[own], sum[own], count = 0;
  for (int n = 0; n < own; ++n) least[n] = infinity, most[n] = -infinity, sum[n] = 0;
  for (index_t t = first; t < end; ++t) {
    if (next < listed && p.kept(request, head, next) == t) {
      ++next;
      continue;
    }
    index_t const page = p.sequences.block_table(request, head, t / page_size), place = t % page_size;
    count += 1;
    for (int n = 0; n < own; ++n) {
      int const d = n * threads + static_cast<int>(threadIdx.x);
      if (d >= width) break;
      float const v = kv_value(p.k, page, place, head, d);
      least[n] = min(least[n], v), most[n] = max(most[n], v), sum[n] += v;
    }
  }

  // Store.
  for (int n = 0; n < own; ++n) {
    int const d = n * threads + static_cast<int>(threadIdx.x);
    if (d >= width) break;
    p.summary.least(span, head, d) = least[n], p.summary.most(span, head, d) = most[n];
    p.summary.mean(span, head, d) = count > 0 ? sum[n] / count : 0.f;
  }
  if (threadIdx.x == 0) p.summary.count(span, head) = count;
}

}  // namespace tenon::inline TENON_TARGET::kernel
