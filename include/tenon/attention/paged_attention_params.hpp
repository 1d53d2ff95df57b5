#pragma once
//  What every kernel of paged_attention is launched with.
#include <tenon/attention/attention_variant.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>

namespace tenon {

/// How the keys of a launch are spread over its blocks (attention_work.cuh).
struct attention_split {
  int       unit     = 0;        // keys that are never cut apart; 0: a block has all keys of its query tile
  int       least    = 1;        // units that a block takes at least
  bool      chunks   = false;    // units are summed up apart, so that sums do not depend on the blocks
  float*    partials = nullptr;  // (slots, rows * (dim + 2))
  unsigned* counters = nullptr;
};

template <class O, class Q, class K, class V, attention_mask Mask, attention_logits Logits>
struct paged_attention_params {
  tensor_view<O, 3>                  o;            // (tokens, heads, value_dim)
  tensor_view<float, 2>              lse;          // (tokens, heads); no address: not wanted
  tensor_view<Q const, 3>            q;            // (tokens, heads, head_dim)
  paged_kv<K const, V const>         kv;           // (pages, page_size, kv_heads, head_dim | value_dim)
  tensor_view<std::int32_t const, 2> block_table;  // (requests, max_pages)
  tensor_view<std::int32_t const, 1> query_start;  // (requests + 1)
  tensor_view<std::int32_t const, 1> kv_length;    // (requests)
  float                              scale;        // of the logits
  int                                group;        // heads per kv head
  attention_variant<Mask, Logits>    variant;
  tensor_view<float const, 1>        sinks = {};  // (heads): one more logit of each; no address: none
  attention_split                    split = {};
};

}  // namespace tenon
