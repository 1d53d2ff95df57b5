#pragma once
//  (a, b) -> (a cos - b sin, b cos + a sin) for the pairs of every head of q and k, in place
//
//  blockIdx.x is the token, blockIdx.y a share of its work: the heads of q, then those of k, each cut into groups of
//  `pairs` pairs. A pair has one owner, so nothing is exchanged. Traffic: the rotary part of q and k once in and out; a
//  table row per token (from cache for the second head on).
//  Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/position/rope_options.hpp>
#include <tenon/position/rope_policy.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class T>
struct rope_params {
  tensor_view<T, 3>                  q;          // (tokens, heads, head_dim)
  tensor_view<T, 3>                  k;          // (tokens, kv_heads, head_dim)
  tensor_view<std::int32_t const, 1> positions;  // (tokens)
  tensor_view<float const, 2>        cos_sin;    // (positions, rotary_dim): cos, then sin
};

/// Turns (a, b) by the angle of cosine c and sine s.
template <class T>
__device__ inline void rope_turn(T& a, T& b, float c, float s) {
  float const u = static_cast<float>(a), v = static_cast<float>(b);
  a = static_cast<T>(u * c - v * s);
  b = static_cast<T>(v * c + u * s);
}

/// Turns pairs [i, i + Pairs) of the head at x; Pairs is 1 where vector accesses would be misaligned.
template <int Pairs, rope_style Style, class T>
__device__ inline void rope_turn(T* x, float const* cosine, float const* sine, index_t half, index_t i) {
  auto const c = arch::load_constant<Pairs>(cosine + i);
  auto const s = arch::load_constant<Pairs>(sine + i);
  if constexpr (Style == rope_style::half_split) {
    auto a = arch::load<Pairs>(x + i);
    auto b = arch::load<Pairs>(x + half + i);
    TENON_UNROLL
    for (int n = 0; n < Pairs; ++n) rope_turn(a[n], b[n], c[n], s[n]);
    arch::store<Pairs>(x + i, a);
    arch::store<Pairs>(x + half + i, b);
  } else if constexpr (Pairs == 1) {
    rope_turn(x[2 * i], x[2 * i + 1], c[0], s[0]);
  } else {
    auto a = arch::load<2 * Pairs>(x + 2 * i);
    TENON_UNROLL
    for (int n = 0; n < Pairs; ++n) rope_turn(a[2 * n], a[2 * n + 1], c[n], s[n]);
    arch::store<2 * Pairs>(x + 2 * i, a);
  }
}

template <class Policy, rope_style Style, class T>
__global__ __launch_bounds__(Policy::value.threads_per_block) void rope(__grid_constant__ rope_params<T> const p) {
  constexpr int threads = Policy::value.threads_per_block;
  constexpr int pairs   = Policy::value.pairs;

  index_t const token    = blockIdx.x;
  index_t const position = p.positions(token);
  if (position < 0 || position >= p.cos_sin.extent[0]) return;  // outside the table: unrotated
  int const    half     = static_cast<int>(p.cos_sin.extent[1] / 2);
  int const    heads    = static_cast<int>(p.q.extent[1]);
  int const    kv_heads = static_cast<int>(p.k.extent[1]);
  float const* cosine   = &p.cos_sin(position, 0);
  float const* sine     = cosine + half;
  auto const   head_at  = [&](int head) { return head < heads ? &p.q(token, head, 0) : &p.k(token, head - heads, 0); };

  if constexpr (threads == 1) {
    for (int head = 0; head < heads + kv_heads; ++head) {
      T* const x = head_at(head);
      int      i = 0;
      for (; i + pairs <= half; i += pairs) rope_turn<pairs, Style>(x, cosine, sine, half, i);
      for (; i < half; ++i) rope_turn<1, Style>(x, cosine, sine, half, i);
    }
  } else {
    // The policy divides half; groups of all heads, in order, spread over the token's blocks.
    int const groups = half / pairs;
    int const all    = (heads + kv_heads) * groups;
    for (int g = static_cast<int>(blockIdx.y) * threads + static_cast<int>(threadIdx.x); g < all;
         g += static_cast<int>(gridDim.y) * threads)
      rope_turn<pairs, Style>(head_at(g / groups), cosine, sine, half, g % groups * pairs);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
