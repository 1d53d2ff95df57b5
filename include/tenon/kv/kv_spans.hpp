#pragma once
//  What is remembered of spans of tokens whose keys are dropped: enough to bound, and to guess, the attention that they
//  would get.
//
//  A span is a run of tokens of one request; of each kv head those of its tokens count that the head drops.
#include <tenon/core/contract.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

/// Per span and kv head: the least and the most of the keys in every dimension, their mean, and how many they are.
/// Without any: least inf, most -inf, mean 0.
struct kv_span_summary {
  tensor_view<float, 3> least, most, mean;  // (spans, kv_heads, head_dim)
  tensor_view<float, 2> count;              // (spans, kv_heads)
};

/// The shapes of a summary, and that it lies somewhere.
inline contract& check_summary(contract& check, kv_span_summary const& summary, extent& spans, extent& kv_heads,
                               extent& head_dim) {
  return check.shape(summary.count, spans, kv_heads)
      .shape(summary.least, spans, kv_heads, head_dim)
      .shape(summary.most, spans, kv_heads, head_dim)
      .shape(summary.mean, spans, kv_heads, head_dim)
      .addressable(summary.count, "summary.count")
      .addressable(summary.least, "summary.least")
      .addressable(summary.most, "summary.most")
      .addressable(summary.mean, "summary.mean");
}

}  // namespace tenon
