#pragma once
//  How a row of attention ends: the sink joins, the weighted sum is divided, the log-sum-exp is told.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/softmax.cuh>

namespace tenon::inline TENON_TARGET::kernel {

/// What a row's weighted sum is multiplied with to be its output, and its log-sum-exp.
struct softmax_end {
  float share, lse;
};

/// Of a row of `head` with this maximum (base 2) and sum of weights. A sink s of the head is a key of logit s and value 0:
/// Xiao et al. 2024, "Efficient Streaming Language Models with Attention Sinks"; OpenAI 2025, gpt-oss (learned logits).
template <class Params>
__device__ inline softmax_end end_softmax(Params const& p, int head, float maximum, float sum) {
  if (!p.sinks.data) return {sum > 0 ? 1 / sum : sum, tile::softmax_lse(maximum, sum)};
  float const sink = p.sinks(head) * tile::log2_e, most = tile::maximum{}(maximum, sink);
  float const origin = tile::softmax_origin(most), own = arch::exp2(maximum - origin);
  float const total = sum * own + arch::exp2(sink - origin);
  return {total > 0 ? own / total : total, tile::softmax_lse(most, total)};
}

}  // namespace tenon::inline TENON_TARGET::kernel
