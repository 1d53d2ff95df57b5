#pragma once
//  o[t,h,:] = sum_p w[p] part[p,t,h,:], w[p] = exp(part_lse[p,t,h] - lse[t,h]), lse[t,h] = log sum_p exp(part_lse[p,t,h])
//
//  x: the token. A thread owns a run of `vector` columns of one head and makes that head's weights itself: the parts are few,
//  and their logs come from L1. Parts are added in ascending order.
//  Traffic: every part that has seen a key once in, o once out.
//  Milakov and Gimelshein 2018 (the sum in parts); Dao et al. 2023, "Flash-Decoding" (its use).
#include <tenon/arch/arch.cuh>
#include <tenon/attention/merge_attention_policy.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/tile/softmax.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class O, class P>
struct merge_attention_params {
  tensor_view<O, 3>           o;         // (tokens, heads, value_dim)
  tensor_view<float, 2>       lse;       // (tokens, heads); no address: not wanted
  tensor_view<P const, 4>     part;      // (parts, tokens, heads, value_dim)
  tensor_view<float const, 3> part_lse;  // (parts, tokens, heads)
};

/// Columns d..d+count-1 of one row. A part of weight 0 is not read: it may hold anything.
template <int Vector, class O, class P>
__device__ void merge_attention_run(merge_attention_params<O, P> const& p, index_t token, index_t head, index_t d,
                                    int count) {
  constexpr int unrolled = 4;  // parts in flight
  int const     parts    = static_cast<int>(p.part.extent[0]);
  bool const    whole    = count == Vector;

  float maximum = tile::no_maximum;
  for (int i = 0; i < parts; ++i) {
    float const v = p.part_lse(i, token, head);
    maximum       = maximum < v ? v : maximum;
  }
  float const origin = tile::softmax_origin(maximum);

  float sum[Vector] = {}, total = 0;
  for (int first = 0; first < parts; first += unrolled) {
    float          weight[unrolled];
    vec<P, Vector> x[unrolled];
    TENON_UNROLL
    for (int i = 0; i < unrolled; ++i) {
      bool const there = first + i < parts;
      weight[i]        = there ? arch::exp2((p.part_lse(first + i, token, head) - origin) * tile::log2_e) : 0.f;
      if (weight[i] == 0) continue;
      P const* const from = &p.part(first + i, token, head, d);
      if (whole) x[i] = arch::load<Vector>(from);
      else
        for (int e = 0; e < Vector; ++e) x[i][e] = e < count ? from[e] : P(0.f);
    }
    TENON_UNROLL
    for (int i = 0; i < unrolled; ++i) {
      if (weight[i] == 0) continue;
      total += weight[i];
      TENON_UNROLL
      for (int e = 0; e < Vector; ++e) sum[e] += weight[i] * static_cast<float>(x[i][e]);
    }
  }

  float const    share = total > 0 ? 1 / total : total;
  vec<O, Vector> y;
  TENON_UNROLL
  for (int e = 0; e < Vector; ++e) y[e] = static_cast<O>(sum[e] * share);
  O* const to = &p.o(token, head, d);
  if (whole) arch::store<Vector>(to, y);
  else
    for (int e = 0; e < count; ++e) to[e] = y[e];
  if (d == 0 && p.lse.data)
    p.lse(token, head) = maximum == tile::no_maximum ? maximum : maximum + arch::log2(total) * tile::ln_2;
}

template <class Policy, class O, class P>
__global__ __launch_bounds__(Policy::value.threads_per_block) void merge_attention(
    __grid_constant__ merge_attention_params<O, P> const p) {
  constexpr int threads = Policy::value.threads_per_block, vector = Policy::value.vector;

  // Index map: x is the token; the threads of its blocks stride over the runs of all heads.
  int const width = static_cast<int>(p.o.extent[2]), runs = ceil_div(width, vector);
  int const all  = static_cast<int>(p.o.extent[1]) * runs;
  int const step = static_cast<int>(gridDim.y) * threads;
  for (int i = static_cast<int>(blockIdx.y) * threads + static_cast<int>(threadIdx.x); i < all; i += step) {
    int const head = i / runs, d = (i - head * runs) * vector;
    merge_attention_run<vector>(p, blockIdx.x, head, d, min(vector, width - d));
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
