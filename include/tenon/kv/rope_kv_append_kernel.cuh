#pragma once
//  q = rope(norm(q)) in place, cache.k[slot] = rope(norm(k)), cache.v[slot] = v, in one pass
//
//  Blocks (token, share of its rows); a row is a head of k, of v or of q, `lanes` threads' work. A row of k is turned while it
//  is read: each value's partner is read beside it (from cache), so whatever is stored needs no exchange. A pair of q has one
//  owner, as in rope. Traffic: q once in and out; k, v, slots, positions and a table row once in; the cache's rows once out.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/kv/kv_rows_kernel.cuh>
#include <tenon/kv/kv_rows_policy.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/position/rope_options.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class CK, class CV, class T, class W>
struct rope_kv_append_params {
  paged_kv<CK, CV>                   cache;
  tensor_view<T, 3>                  q;          // (tokens, heads, head_dim)
  tensor_view<T const, 3>            k;          // (tokens, kv_heads, head_dim)
  tensor_view<T const, 3>            v;          // (tokens, kv_heads, value_dim)
  tensor_view<std::int32_t const, 1> positions;  // (tokens)
  tensor_view<float const, 2>        cos_sin;    // (positions, rotary_dim): cos, then sin
  tensor_view<std::int64_t const, 1> slots;      // (tokens)
  W const*                           q_weight;   // (head_dim) or none
  W const*                           k_weight;
  float                              eps;
  rope_style                         style;
  bool                               k_given, v_given;  // scales
};

/// A row, normalised and turned as it is read.
template <class T, class W>
struct turned_row {
  T const*     x;
  W const*     weight;  // none: as it is
  float        norm;
  float const* cosine;
  float const* sine;
  int          half;  // 0: not turned
  rope_style   style;

  template <int N>
  __device__ vec<float, N> normed(int d) const {
    auto v = plain_row<T>{x}.template values<N>(d);
    if (weight) {
      auto const w = plain_row<W>{weight}.template values<N>(d);
      TENON_UNROLL
      for (int i = 0; i < N; ++i) v[i] = v[i] * norm * w[i];
    }
    return v;
  }

  /// Columns d..d+N-1, which all lie in one of: the first half of the turned ones, the second, the others.
  template <int N>
  __device__ vec<float, N> values(int d) const {
    auto v = normed<N>(d);
    if (d >= 2 * half) return v;
    if (N == 1 || style == rope_style::half_split) {
      bool const split = style == rope_style::half_split;
      bool const later = split ? d >= half : d % 2 != 0;
      int const  i     = split ? (later ? d - half : d) : d / 2;
      auto const other = normed<N>(split ? (later ? i : d + half) : d ^ 1);
      auto const c = arch::load_constant<N>(cosine + i), s = arch::load_constant<N>(sine + i);
      TENON_UNROLL
      for (int n = 0; n < N; ++n) v[n] = later ? v[n] * c[n] + other[n] * s[n] : v[n] * c[n] - other[n] * s[n];
    } else if constexpr (N > 1) {
      auto const c = arch::load_constant<N / 2>(cosine + d / 2), s = arch::load_constant<N / 2>(sine + d / 2);
      TENON_UNROLL
      for (int n = 0; n < N / 2; ++n) {
        float const a = v[2 * n], b = v[2 * n + 1];
        v[2 * n]     = a * c[n] - b * s[n];
        v[2 * n + 1] = b * c[n] + a * s[n];
      }
    }
    return v;
  }
};

/// 1 / sqrt(mean(x^2) + eps) of a row, to all its lanes; what they read before is read by all of them.
template <class Policy, class T>
__device__ inline float row_norm(T const* x, int width, float eps) {
  constexpr int vector = Policy::value.vector, lanes = Policy::value.lanes;
  float         squares[vector] = {};
  for (int d = static_cast<int>(threadIdx.x) % lanes * vector; d < width; d += lanes * vector) {
    auto const v = plain_row<T>{x}.template values<vector>(d);
    TENON_UNROLL
    for (int i = 0; i < vector; ++i) squares[i] += v[i] * v[i];
  }
  float sum = 0;
  TENON_UNROLL
  for (int i = 0; i < vector; ++i) sum += squares[i];
  if constexpr (lanes > 1) {
    unsigned const mask = row_mask<lanes>();
    TENON_UNROLL
    for (int apart = lanes / 2; apart > 0; apart /= 2) sum += arch::shuffle_xor(sum, apart, mask);
    arch::sync_warp(mask);
  }
  return arch::rsqrt(sum / static_cast<float>(width) + eps);
}

template <int N, class T>
__device__ inline void store_rounded(T* to, vec<float, N> const& v) {
  vec<T, N> y;
  TENON_UNROLL
  for (int i = 0; i < N; ++i) y[i] = static_cast<T>(v[i]);
  arch::store<N>(to, y);
}

/// The same for a row that its values replace: a pair has one owner.
template <class Policy, class T, class W>
__device__ inline void turn_in_place(T* x, int width, turned_row<T, W> const& row) {
  constexpr int vector = Policy::value.vector, lanes = Policy::value.lanes;
  int const     lane = static_cast<int>(threadIdx.x) % lanes, half = row.half;
  if (vector == 1 || row.style == rope_style::half_split) {
    for (int i = lane * vector; i < half; i += lanes * vector) {
      int const  at_a = row.style == rope_style::half_split ? i : 2 * i;
      int const  at_b = row.style == rope_style::half_split ? half + i : 2 * i + 1;
      auto       a = row.template normed<vector>(at_a), b = row.template normed<vector>(at_b);
      auto const c = arch::load_constant<vector>(row.cosine + i), s = arch::load_constant<vector>(row.sine + i);
      TENON_UNROLL
      for (int n = 0; n < vector; ++n) {
        float const u = a[n], v = b[n];
        a[n] = u * c[n] - v * s[n];
        b[n] = v * c[n] + u * s[n];
      }
      store_rounded(x + at_a, a), store_rounded(x + at_b, b);
    }
  } else {
    for (int d = lane * vector; d < 2 * half; d += lanes * vector) store_rounded(x + d, row.template values<vector>(d));
  }
  if (row.weight)
    for (int d = 2 * half + lane * vector; d < width; d += lanes * vector)
      store_rounded(x + d, row.template normed<vector>(d));
}

template <class Policy, class CK, class CV, class T, class W>
__global__
__launch_bounds__(Policy::value.threads_per_block, Policy::value.blocks_per_multiprocessor()) void rope_kv_append(
    __grid_constant__ rope_kv_append_params<CK, CV, T, W> const p) {
  constexpr int lanes = Policy::value.lanes, rows = Policy::value.threads_per_block / lanes;

  // Index map: the block's rows stride over the heads of k, of v, of q. A slot outside the cache is nobody's; a position
  // outside the table turns nothing.
  index_t const token     = blockIdx.x;
  index_t const slot      = p.slots(token);
  index_t const page_size = kv_places(p.cache.k).extent[1];
  bool const    kept      = slot >= 0 && slot < kv_places(p.cache.k).extent[0] * page_size;
  kv_place      at{kept ? slot / page_size : 0, kept ? slot % page_size : 0, 0};
  index_t const position = p.positions(token);
  int const     half = position >= 0 && position < p.cos_sin.extent[0] ? static_cast<int>(p.cos_sin.extent[1] / 2) : 0;
  float const*  cosine   = half ? &p.cos_sin(position, 0) : nullptr;
  int const     kv_heads = static_cast<int>(p.k.extent[1]), all = 2 * kv_heads + static_cast<int>(p.q.extent[1]);
  int const     width = static_cast<int>(p.k.extent[2]);

  for (int row = static_cast<int>(blockIdx.y) * rows + static_cast<int>(threadIdx.x) / lanes; row < all;
       row += static_cast<int>(gridDim.y) * rows) {
    auto const turned = [&](T const* x, W const* weight) {
      float const norm = weight ? row_norm<Policy>(x, width, p.eps) : 1.f;
      return turned_row<T, W>{x, weight, norm, cosine, cosine + half, half, p.style};
    };
    if (row < kv_heads) {
      at.head = row;
      if (kept) store_row<Policy>(p.cache.k, at, width, turned(&p.k(token, row, 0), p.k_weight), p.k_given);
    } else if (row < 2 * kv_heads) {
      at.head = row - kv_heads;
      if (kept)
        store_row<Policy>(p.cache.v, at, static_cast<int>(p.v.extent[2]), plain_row<T>{&p.v(token, at.head, 0)},
                          p.v_given);
    } else {
      T* const x = &p.q(token, row - 2 * kv_heads, 0);
      turn_in_place<Policy>(x, width, turned(x, p.q_weight));
    }
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
