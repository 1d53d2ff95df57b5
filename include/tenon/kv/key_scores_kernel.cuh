#pragma once
//  score[r,h,t] = measure(|k|, k . m, |m|, t),   m = mean_t k / |k|
//
//  One block per request and kv head, a warp per key. A first pass adds up directions, each warp those of its own keys,
//  and joins the warps in ascending order; a second one measures. Without a mean there is one pass.
//  Traffic: keys once from memory, once more from cache.
//  Source. Park et al. 2025, "KeyDiff".
#include <tenon/arch/arch.cuh>
#include <tenon/attention/kv_row.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/key_measure.hpp>
#include <tenon/kv/key_scores_policy.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/tile/reduce.cuh>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class Pages, class Measure>
struct key_scores_params {
  tensor_view<float, 3> scores;     // (requests, kv_heads, max_tokens)
  Pages                 k;          // (pages, page_size, kv_heads, head_dim)
  kv_sequences          sequences;  // (requests, kv_heads)
  Measure               measure;
};

/// The columns of a key that this lane has: runs of `vector`, lanes apart.
template <class Policy>
struct lane_columns {
  static constexpr int lanes = Policy::value.lanes, vector = Policy::value.vector, held = Policy::value.held();
  float                x[held] = {};

  __device__ static int column(int i) {
    return i / vector * vector * lanes + static_cast<int>(threadIdx.x) % lanes * vector + i % vector;
  }
  template <class Row>
  __device__ void load(Row const& row, int width) {
    TENON_UNROLL_DEVICE
    for (int i = 0; i < held; i += vector) {
      float piece[vector] = {};
      if (column(i) < width) row.template get<vector>(piece, column(i));
      TENON_UNROLL_DEVICE
      for (int e = 0; e < vector; ++e) x[i + e] = piece[e];
    }
  }
  /// Sum over all columns of the product; every lane gets it.
  __device__ float dot(lane_columns const& other) const {
    float chain[8] = {}, sum = 0;  // as many as a lane of a GPU has columns, and as a CPU adds at once
    TENON_UNROLL_DEVICE
    for (int i = 0; i < held; i += 8)
      for (int c = 0; c < 8; ++c) chain[c] += x[i + c] * other.x[i + c];
    TENON_UNROLL_DEVICE
    for (int c = 0; c < 8; ++c) sum += chain[c];
    if constexpr (lanes == 32) sum = tile::warp_reduce(sum, tile::plus{});
    return sum;
  }
};

/// sqrt(v), 0 for 0
__device__ inline float norm_of(float squares) { return squares > 0 ? squares * arch::rsqrt(squares) : 0.f; }

template <class Policy>
struct key_scores_storage {
  static constexpr int warps = Policy::value.threads_per_block / Policy::value.lanes;
  float                mean[warps][256];
};

template <class Policy, class Pages, class Measure>
__global__ __launch_bounds__(Policy::value.threads_per_block) void key_scores(
    __grid_constant__ key_scores_params<Pages, Measure> const p) {
  constexpr int lanes = Policy::value.lanes, warps = Policy::value.threads_per_block / lanes;
  auto&         shared = arch::shared<key_scores_storage<Policy>>();

  // Index map: block (request, kv head); warps stride over its keys.
  int const  heads   = static_cast<int>(p.scores.extent[1]);
  int const  request = static_cast<int>(blockIdx.x) / heads, head = static_cast<int>(blockIdx.x) % heads;
  int const  length = p.sequences.length(request, head), width = static_cast<int>(kv_width(p.k));
  int const  page_size = static_cast<int>(kv_places(p.k).extent[1]), warp = static_cast<int>(threadIdx.x) / lanes;
  auto const row_of = [&](int t) {
    return kv_row{p.k, p.sequences.block_table(request, head, t / page_size), t % page_size, head};
  };
  lane_columns<Policy> key, mean;

  // The mean direction: warps, then their sums in order.
  float mean_norm = 0;
  if constexpr (Measure::wants_mean) {
    for (int t = warp; t < length; t += warps) {
      key.load(row_of(t), width);
      float const squares = key.dot(key);
      if (squares == 0) continue;
      float const inverse = arch::rsqrt(squares);
      TENON_UNROLL_DEVICE
      for (int i = 0; i < key.held; ++i) mean.x[i] += key.x[i] * inverse;
    }
    TENON_UNROLL_DEVICE
    for (int i = 0; i < key.held; ++i) shared.mean[warp][key.column(i)] = mean.x[i];
    arch::sync_block();
    float const share = length > 0 ? 1.f / static_cast<float>(length) : 0.f;
    TENON_UNROLL_DEVICE
    for (int i = 0; i < key.held; ++i) {
      float sum = 0;
      for (int w = 0; w < warps; ++w) sum += shared.mean[w][key.column(i)];
      mean.x[i] = sum * share;
    }
    mean_norm = norm_of(mean.dot(mean));
  }

  // Measure, store.
  for (int t = warp; t < length; t += warps) {
    key.load(row_of(t), width);
    float const along = Measure::wants_mean ? key.dot(mean) : 0.f;
    float const norm  = norm_of(key.dot(key));
    if (static_cast<int>(threadIdx.x) % lanes == 0)
      p.scores(request, head, t) = p.measure(measured_key{norm, along, mean_norm, t, length});
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
