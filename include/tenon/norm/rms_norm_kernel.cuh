#pragma once
//  y[t,h] = epilogue(x[t,h] * weight[h] / sqrt(mean_h(x[t,:]^2) + eps))
//
//  One block per token, two passes over its row: the first sums squares, the second scales and stores.
//  Traffic: x twice (the second time from cache), weight once per token (from cache), y once.
//  Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/norm/rms_norm_policy.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/tile/reduce.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Y, class X, class W, elementwise Epilogue>
struct rms_norm_params {
  tensor_view<Y, 2>       y;       // (tokens, hidden)
  tensor_view<X const, 2> x;       // (tokens, hidden)
  tensor_view<W const, 1> weight;  // (hidden)
  float                   eps;
  Epilogue                epilogue;
};

template <class Policy>
struct rms_norm_storage {
  typename tile::block_reduce<Policy::value.threads_per_block>::storage sum;
};

template <class Policy, class Y, class X, class W, elementwise Epilogue>
__global__ __launch_bounds__(Policy::value.threads_per_block) void rms_norm(
    __grid_constant__ rms_norm_params<Y, X, W, Epilogue> const p) {
  constexpr int vector = Policy::value.vector;
  constexpr int step   = Policy::value.threads_per_block * vector;

  auto& shared = arch::shared<rms_norm_storage<Policy>>();
  auto  sum    = tile::block_reduce<Policy::value.threads_per_block>{shared.sum};

  // Index map: one block per token; threads stride over the row's whole vectors, then over its tail.
  index_t const token  = blockIdx.x;
  index_t const hidden = p.x.extent[1];
  index_t const whole  = hidden / vector * vector;
  index_t const first  = static_cast<index_t>(threadIdx.x) * vector;
  index_t const tail   = whole + static_cast<index_t>(threadIdx.x);
  X const*      x      = &p.x(token, 0);
  W const*      weight = p.weight.data;
  Y*            y      = &p.y(token, 0);

  // Load, reduce: each vector lane sums apart, so the order is the policy's.
  float squares[vector] = {};
  for (index_t h = first; h < whole; h += step) {
    auto const v = arch::load<vector>(x + h);
    TENON_UNROLL
    for (int i = 0; i < vector; ++i) squares[i] += static_cast<float>(v[i]) * static_cast<float>(v[i]);
  }
  for (index_t h = tail; h < hidden; h += Policy::value.threads_per_block)
    squares[0] += static_cast<float>(x[h]) * static_cast<float>(x[h]);
  float mine = 0;
  TENON_UNROLL
  for (int i = 0; i < vector; ++i) mine += squares[i];
  float const scale = arch::rsqrt(sum(mine, tile::plus{}) / static_cast<float>(hidden) + p.eps);

  // Scale, fuse, store.
  for (index_t h = first; h < whole; h += step) {
    auto const     v = arch::load<vector>(x + h);
    auto const     w = arch::load<vector>(weight + h);
    vec<Y, vector> r;
    TENON_UNROLL
    for (int i = 0; i < vector; ++i)
      r[i] = static_cast<Y>(p.epilogue(static_cast<float>(v[i]) * scale * static_cast<float>(w[i]), token, h + i));
    arch::store<vector>(y + h, r);
  }
  for (index_t h = tail; h < hidden; h += Policy::value.threads_per_block)
    y[h] = static_cast<Y>(p.epilogue(static_cast<float>(x[h]) * scale * static_cast<float>(weight[h]), token, h));
}

}  // namespace tenon::inline TENON_TARGET::kernel
