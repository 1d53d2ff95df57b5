#pragma once
//  residual[t,h] += x[t,h];  y[t,h] = epilogue(residual[t,h] * weight[h] / sqrt(mean_h(residual[t,:]^2) + eps))
//
//  One block per token. The first pass adds, stores the new residual and sums its squares; the second scales. Up to `held`
//  vectors per thread stay in registers in between; what does not fit is read again by the thread that wrote it.
//  Traffic: x and residual once in, residual and y once out, weight once per token (from cache).
//  Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019; the fusion is common to all inference engines.
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/norm/add_rms_norm_policy.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/tile/reduce.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class Y, class R, class X, class W, elementwise Epilogue>
struct add_rms_norm_params {
  tensor_view<Y, 2>       y;         // (tokens, hidden)
  tensor_view<R, 2>       residual;  // (tokens, hidden)
  tensor_view<X const, 2> x;         // (tokens, hidden)
  tensor_view<W const, 1> weight;    // (hidden)
  float                   eps;
  Epilogue                epilogue;
};

template <class Policy>
struct add_rms_norm_storage {
  typename tile::block_reduce<Policy::value.threads_per_block>::storage sum;
};

template <class Policy, class Y, class R, class X, class W, elementwise Epilogue>
__global__ __launch_bounds__(Policy::value.threads_per_block) void add_rms_norm(
    __grid_constant__ add_rms_norm_params<Y, R, X, W, Epilogue> const p) {
  constexpr int threads = Policy::value.threads_per_block;
  constexpr int vector  = Policy::value.vector;
  constexpr int held    = Policy::value.held;
  constexpr int step    = threads * vector;

  auto& shared = arch::shared<add_rms_norm_storage<Policy>>();
  auto  sum    = tile::block_reduce<threads>{shared.sum};

  // Index map: one block per token; threads stride over the row's whole vectors, then over its tail.
  index_t const token    = blockIdx.x;
  index_t const hidden   = p.x.extent[1];
  index_t const whole    = hidden / vector * vector;
  index_t const first    = static_cast<index_t>(threadIdx.x) * vector;
  index_t const tail     = whole + static_cast<index_t>(threadIdx.x);
  X const*      x        = &p.x(token, 0);
  R*            residual = &p.residual(token, 0);
  W const*      weight   = p.weight.data;
  Y*            y        = &p.y(token, 0);

  // Add, store the residual, reduce: each vector lane sums apart, so the order is the policy's.
  float      squares[vector] = {};
  auto const add             = [&](index_t h) {
    auto const     a = arch::load<vector>(x + h);
    auto const     b = arch::load<vector>(residual + h);
    vec<R, vector> r;
    TENON_UNROLL
    for (int i = 0; i < vector; ++i) {
      r[i]          = static_cast<R>(static_cast<float>(b[i]) + static_cast<float>(a[i]));
      float const v = static_cast<float>(r[i]);
      squares[i] += v * v;
    }
    arch::store<vector>(residual + h, r);
    return r;
  };
  vec<R, vector> kept[held == 0 ? 1 : held] = {};
  TENON_UNROLL
  for (int n = 0; n < held; ++n)
    if (index_t const h = first + n * step; h < whole) kept[n] = add(h);
  for (index_t h = first + held * step; h < whole; h += step) (void)add(h);
  for (index_t h = tail; h < hidden; h += threads) {
    residual[h]   = static_cast<R>(static_cast<float>(residual[h]) + static_cast<float>(x[h]));
    float const v = static_cast<float>(residual[h]);
    squares[0] += v * v;
  }
  float mine = 0;
  TENON_UNROLL
  for (int i = 0; i < vector; ++i) mine += squares[i];
  float const scale = arch::rsqrt(sum(mine, tile::plus{}) / static_cast<float>(hidden) + p.eps);

  // Scale, fuse, store.
  auto const finish = [&](index_t h, vec<R, vector> const& r) {
    auto const     w = arch::load<vector>(weight + h);
    vec<Y, vector> v;
    TENON_UNROLL
    for (int i = 0; i < vector; ++i)
      v[i] = static_cast<Y>(p.epilogue(static_cast<float>(r[i]) * scale * static_cast<float>(w[i]), token, h + i));
    arch::store<vector>(y + h, v);
  };
  TENON_UNROLL
  for (int n = 0; n < held; ++n)
    if (index_t const h = first + n * step; h < whole) finish(h, kept[n]);
  for (index_t h = first + held * step; h < whole; h += step) finish(h, arch::load<vector>(residual + h));
  for (index_t h = tail; h < hidden; h += threads)
    y[h] =
        static_cast<Y>(p.epilogue(static_cast<float>(residual[h]) * scale * static_cast<float>(weight[h]), token, h));
}

}  // namespace tenon::inline TENON_TARGET::kernel
