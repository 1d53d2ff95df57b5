#pragma once
//  upper[s,h], guess[s,h] = the largest n e^x / (n e^x + e^lse) over the request's queries and the heads of h's group
//
//    upper  x = scale sum_d max(q[d] least[d], q[d] most[d]): no key of the span has a larger logit
//    guess  x = scale q . mean + scale^2 / 2 sum_d (q[d] (most[d] - least[d]) / range(n))^2: the mean of
//           e^(scale q . k) if each column was normal on its own, its deviation taken from its range
//
//  One block per span and kv head, a warp per query and head; lanes over columns.
//  Traffic: summaries and queries once, from cache for most.
//  Source. Tang et al. 2024, "Quest" (the bound); Tippett 1925 (mean ranges of normal samples).
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_spans.hpp>
#include <tenon/kv/span_summary_policy.hpp>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/softmax.cuh>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class Q>
struct span_mass_params {
  tensor_view<float, 2>              upper, guess;  // (spans, kv_heads)
  kv_span_summary                    summary;       // (spans, kv_heads)
  tensor_view<std::int32_t const, 2> spans;         // (spans, 3): request, first, tokens
  tensor_view<Q const, 3>            q;             // (tokens, heads, head_dim)
  tensor_view<float const, 2>        lse;           // (tokens, heads)
  tensor_view<std::int32_t const, 1> query_start;   // (requests + 1)
  float                              scale;
  int                                group;  // heads per kv head
};

/// What the range of n normal numbers is on average, in deviations: within 2 per cent for 2 <= n <= 1024.
__device__ inline float normal_range(float n) {
  float const l = arch::log2(min(n, 1024.f));
  return l * (1.2162f + l * (-0.09917f + l * 0.004343f));
}

/// n e^x / (n e^x + e^lse)
__device__ inline float mass_share(float n, float x, float lse) {
  if (lse == tile::no_maximum) return 1;
  float const odds = (lse - x) * tile::log2_e - arch::log2(n);
  return odds > 126 ? 0.f : 1 / (1 + arch::exp2(odds));
}

template <class Policy>
struct span_mass_storage {
  typename tile::block_reduce<Policy::value.threads_per_block>::storage upper, guess;
};

template <class Policy, class Q>
__global__ __launch_bounds__(Policy::value.threads_per_block) void span_mass(
    __grid_constant__ span_mass_params<Q> const p) {
  constexpr int threads = Policy::value.threads_per_block, lanes = Policy::value.lanes, warps = threads / lanes;
  auto&         shared = arch::shared<span_mass_storage<Policy>>();

  // Index map: block (span, kv head); warps stride over queries and heads of the group.
  int const   heads = static_cast<int>(p.upper.extent[1]), width = static_cast<int>(p.q.extent[2]);
  int const   span = static_cast<int>(blockIdx.x) / heads, head = static_cast<int>(blockIdx.x) % heads;
  int const   request = p.spans(span, 0), lane = static_cast<int>(threadIdx.x) % lanes;
  float const count = p.summary.count(span, head);
  bool const  there = count > 0 && request >= 0 && request < p.query_start.extent[0] - 1;
  int const   start = there ? p.query_start(request) : 0, queries = there ? p.query_start(request + 1) - start : 0;
  float const unit = count > 1 ? 1 / normal_range(count) : 0.f;

  float upper = 0, guess = 0;
  for (int row = static_cast<int>(threadIdx.x) / lanes; row < queries * p.group; row += warps) {
    // Load, multiply.
    int const token = start + row / p.group, of = head * p.group + row % p.group;
    float     bound = 0, size = 0, mean = 0, variance = 0;
    for (int d = lane; d < width; d += lanes) {
      float const q     = static_cast<float>(p.q(token, of, d));
      float const least = p.summary.least(span, head, d), most = p.summary.most(span, head, d);
      float const above = max(q * least, q * most), deviation = q * (most - least) * unit;
      bound += above, size += max(above, -above);
      mean += q * p.summary.mean(span, head, d), variance += deviation * deviation;
    }
    if constexpr (lanes == 32) {
      bound = tile::warp_reduce(bound, tile::plus{}), size = tile::warp_reduce(size, tile::plus{});
      mean = tile::warp_reduce(mean, tile::plus{}), variance = tile::warp_reduce(variance, tile::plus{});
    }
    // 2^-16 of the terms is more than 256 roundings of fp32 lose: the bound stays one.
    float const lse  = p.lse(token, of);
    float const most = p.scale * (bound + size * 0x1p-16f);
    upper            = max(upper, mass_share(count, most, lse));
    guess = max(guess, mass_share(count, min(p.scale * mean + p.scale * p.scale * variance * 0.5f, most), lse));
  }

  // Join the warps, store.
  upper = tile::block_reduce<threads>{shared.upper}(upper, tile::maximum{});
  guess = tile::block_reduce<threads>{shared.guess}(guess, tile::maximum{});
  if (threadIdx.x == 0) p.upper(span, head) = upper, p.guess(span, head) = guess;
}

}  // namespace tenon::inline TENON_TARGET::kernel
