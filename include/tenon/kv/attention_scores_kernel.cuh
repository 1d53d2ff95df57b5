#pragma once
//  share[t] = exp(scale q . k[t] + extra[t] - lse[q]),   score[r,h,t] = a reduction of the shares over r's queries
//
//  Two kernels, with all products in fp32 (key_products.cuh):
//    attention_lse     block: some queries of one head; goes over the keys, an online softmax in each thread
//    attention_scores  block: some keys of one kv head; goes over the heads of its group and their queries. Pooling
//                      wants neighbours, so blocks overlap by half of them at both ends.
//  extra: of Gaussian queries, scale^2 / 2 sum_j (spread[j] . k[t])^2.
//  Traffic: keys once from memory and once per tile of queries from cache, twice where no lse is given.
//  Source. Li et al. 2024, "SnapKV": scores of a window, apart from the attention kernel, which forms no row of them.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/attention_reduction.hpp>
#include <tenon/kv/attention_scores_policy.hpp>
#include <tenon/kv/key_products.cuh>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/softmax.cuh>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

/// What both kernels read, and where the first leaves what the second wants.
template <class Q, class Pages>
struct attention_scores_operands {
  tensor_view<Q const, 3>            q;            // (tokens, heads, head_dim)
  Pages                              k;            // (pages, page_size, kv_heads, head_dim)
  kv_sequences                       sequences;    // (requests, kv_heads)
  tensor_view<std::int32_t const, 1> query_start;  // (requests + 1)
  tensor_view<float, 2>              lse;          // (tokens, heads)
  tensor_view<float const, 3>        spread;       // (heads, rank, head_dim); no address: none
  float                              scale;
  int                                group;  // heads per kv head
  int                                parts;  // blocks per head, or per kv head
};

template <class Q, class Pages, class Reduction>
struct attention_scores_params : attention_scores_operands<Q, Pages> {
  tensor_view<float, 3>       scores;  // (requests, kv_heads, max_tokens)
  tensor_view<float const, 3> weight;  // (requests, kv_heads, max_tokens); no address: 1
  bool                        accumulate;
  Reduction                   reduction;
};

/// What Gaussian queries of one head add to the logits of this thread's keys.
template <class Policy, class Params, class Pages>
__device__ inline void add_spread(float (&extra)[Policy::value.own], Params const& p,
                                  key_products_storage<Policy>& shared, own_keys<Policy, Pages> const& keys, int head) {
  constexpr int rows = Policy::value.rows, own = Policy::value.own;
  for (int n = 0; n < own; ++n) extra[n] = 0;
  if (p.spread.data == nullptr) return;
  int const rank = static_cast<int>(p.spread.extent[1]);
  for (int first = 0; first < rank; first += rows) {
    float dot[rows][own];
    key_products(dot, shared, keys, static_cast<int>(p.q.extent[2]),
                 [&](int r, int d) { return first + r < rank ? p.spread(head, first + r, d) : 0.f; });
    TENON_UNROLL_DEVICE
    for (int r = 0; r < rows; ++r)
      for (int n = 0; n < own; ++n) extra[n] += dot[r][n] * dot[r][n];
  }
  for (int n = 0; n < own; ++n) extra[n] *= p.scale * p.scale * 0.5f;
}

template <class Policy>
struct attention_lse_storage {
  key_products_storage<Policy>                                          products;
  typename tile::block_reduce<Policy::value.threads_per_block>::storage maximum[Policy::value.rows];
  typename tile::block_reduce<Policy::value.threads_per_block>::storage sum[Policy::value.rows];
};

template <class Policy, class Q, class Pages>
__global__
__launch_bounds__(Policy::value.threads_per_block, Policy::value.blocks_per_multiprocessor()) void attention_lse(
    __grid_constant__ attention_scores_operands<Q, Pages> const p) {
  constexpr int threads = Policy::value.threads_per_block, own = Policy::value.own, rows = Policy::value.rows;
  auto&         shared = arch::shared<attention_lse_storage<Policy>>();

  // Index map: block (request, head, tile of its queries).
  int const heads = static_cast<int>(p.q.extent[1]), block = static_cast<int>(blockIdx.x);
  int const request = block / p.parts / heads, head = block / p.parts % heads, first = block % p.parts * rows;
  int const kv_head = head / p.group, start = p.query_start(request), queries = p.query_start(request + 1) - start;
  int const length = p.sequences.length(request, kv_head);
  if (first >= queries) return;
  int const last = min(first + rows, queries) - 1;
  int const seen = min(length - queries + last + 1, length);  // keys of the last query: no other sees more

  // Score, reduce: each thread has a softmax of its own keys, in base 2.
  tile::softmax_state     state[rows];
  own_keys<Policy, Pages> keys(p.k, kv_head, length);
  for (int r = 0; r < rows; ++r) state[r] = {tile::no_maximum, 0};
  for (int begin = 0; begin < seen; begin += threads * own) {
    float extra[own], dot[rows][own];
    keys.find(p.sequences, request, begin);
    add_spread(extra, p, shared.products, keys, head);
    key_products(dot, shared.products, keys, static_cast<int>(p.q.extent[2]), [&](int r, int d) {
      return first + r < queries ? static_cast<float>(p.q(start + first + r, head, d)) : 0.f;
    });
    TENON_UNROLL_DEVICE
    for (int r = 0; r < rows; ++r) {
      int const position = length - queries + first + r;
      float     most     = state[r].maximum;
      for (int n = 0; n < own; ++n) {
        float const logit = (p.scale * dot[r][n] + extra[n]) * tile::log2_e;
        dot[r][n]         = keys.exists(n) && keys.key(n) <= position ? logit : tile::no_maximum;
        most              = most < dot[r][n] ? dot[r][n] : most;
      }
      float const origin = tile::softmax_origin(most);
      float       sum    = state[r].sum * tile::exp2_nonpositive(state[r].maximum - origin);
      for (int n = 0; n < own; ++n) sum += tile::exp2_nonpositive(dot[r][n] - origin);
      state[r] = {most, sum};
    }
  }

  // Join the threads, store.
  for (int r = 0; r < rows; ++r) {
    float const most = tile::block_reduce<threads>{shared.maximum[r]}(state[r].maximum, tile::maximum{});
    float const mine = state[r].sum * tile::exp2_nonpositive(state[r].maximum - tile::softmax_origin(most));
    float const sum  = tile::block_reduce<threads>{shared.sum[r]}(mine, tile::plus{});
    if (threadIdx.x == 0 && first + r < queries) p.lse(start + first + r, head) = tile::softmax_lse(most, sum);
  }
}

template <class Policy>
struct attention_scores_storage {
  key_products_storage<Policy> products;
  float                        value[Policy::value.keys()];  // of the block's keys, to be pooled
};

template <class Policy, class Q, class Pages, class Reduction>
__global__
__launch_bounds__(Policy::value.threads_per_block, Policy::value.blocks_per_multiprocessor()) void attention_scores(
    __grid_constant__ attention_scores_params<Q, Pages, Reduction> const p) {
  constexpr int threads = Policy::value.threads_per_block, own = Policy::value.own, rows = Policy::value.rows;
  auto&         shared = arch::shared<attention_scores_storage<Policy>>();

  // Index map: block (request, kv head, part of its keys); `radius` keys at both ends are for the pool alone.
  int const kv_heads = static_cast<int>(p.scores.extent[1]), block = static_cast<int>(blockIdx.x);
  int const request = block / p.parts / kv_heads, kv_head = block / p.parts % kv_heads;
  int const pool = p.reduction.pool(), radius = pool / 2, stored = Policy::value.keys() - 2 * radius;
  int const first = block % p.parts * stored, length = p.sequences.length(request, kv_head);
  int const start = p.query_start(request), queries = p.query_start(request + 1) - start;
  if (first >= length || queries <= 0) return;

  // Score, reduce: heads of the group in turn, queries ascending.
  own_keys<Policy, Pages> keys(p.k, kv_head, length);
  float                   sum[own] = {};
  scored_key              about{0, length, queries, p.group};
  keys.find(p.sequences, request, first - radius);
  for (int head = kv_head * p.group; head < (kv_head + 1) * p.group; ++head) {
    float extra[own];
    add_spread(extra, p, shared.products, keys, head);
    for (int query = 0; query < queries; query += rows) {
      int const some = min(rows, queries - query), position = length - queries + query;
      if (position + some - 1 < first - radius) continue;  // none of them sees a key of this block
      float dot[rows][own];
      key_products(dot, shared.products, keys, static_cast<int>(p.q.extent[2]),
                   [&](int r, int d) { return r < some ? static_cast<float>(p.q(start + query + r, head, d)) : 0.f; });
      TENON_UNROLL_DEVICE
      for (int r = 0; r < rows; ++r) {
        if (r >= some) break;
        float const lse = p.lse(start + query + r, head);
        for (int n = 0; n < own; ++n) {
          if (!keys.exists(n) || keys.key(n) > position + r) continue;
          float const above = (p.scale * dot[r][n] + extra[n] - lse) * tile::log2_e;
          about.key         = keys.key(n);
          sum[n]            = p.reduction.join(sum[n], tile::exp2_nonpositive(min(above, 0.f)), query + r, about);
        }
      }
    }
  }

  // Pool, store.
  for (int n = 0; n < own; ++n) {
    about.key = keys.key(n);
    sum[n]    = keys.exists(n) ? p.reduction.value(sum[n], about) : 0.f;

    shared.value[n * threads + static_cast<int>(threadIdx.x)] = sum[n];
  }
  arch::sync_block();
  for (int n = 0; n < own; ++n) {
    int const at = n * threads + static_cast<int>(threadIdx.x), key = keys.key(n);
    if (at < radius || at >= radius + stored || key >= length) continue;
    float pooled = sum[n];
    if (pool > 1) {
      pooled = 0;
      for (int i = at - radius; i <= at + radius; ++i) pooled += shared.value[i];
      pooled = pooled / static_cast<float>(pool);
    }
    about.key   = key;
    float score = p.reduction.score(pooled, about);
    if (p.weight.data) score *= p.weight(request, kv_head, key);
    float& to = p.scores(request, kv_head, key);
    to        = p.accumulate ? to + score : score;
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
