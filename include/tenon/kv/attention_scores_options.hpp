#pragma once
//  What attention_scores may be told besides its operands.
#include <tenon/core/tensor_view.hpp>

namespace tenon {

struct attention_scores_options {
  float scale = 0;  // of the logits; 0: 1 / sqrt(head_dim)
  /// (tokens, heads): natural log of sum_k exp(logit) of each query, as paged_attention gives it; no address: computed
  /// here, with attention_scores_workspace_bytes of the context's workspace.
  tensor_view<float const, 2> lse = {};
  /// (heads, rank, head_dim): queries are Gaussian, q their mean, and their covariance is sum_j spread[j] spread[j]'. A
  /// logit is then log E exp(scale q . k) = scale q . k + scale^2 / 2 sum_j (spread[j] . k)^2. No address: queries are
  /// what they are.
  tensor_view<float const, 3> spread = {};
  /// (requests, kv_heads, max_tokens): what scores are multiplied by; no address: 1.
  tensor_view<float const, 3> weight     = {};
  bool                        accumulate = false;    // adds to what `scores` holds: the queries come in several calls
  index_t                     max_query_length = 0;  // queries of a request at most: a promise; 0: as many as there are
};

}  // namespace tenon
