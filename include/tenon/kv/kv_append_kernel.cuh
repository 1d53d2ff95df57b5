#pragma once
//  cache.k[slots[t] / page_size, slots[t] % page_size, h, :] = k[t, h, :], and v the same
//
//  Numbers: one block per token; threads stride over the vectors of all heads, first of k, then of v.
//  Codes in either: blocks (token, share of its rows); a row is a head of k or v, see kv_rows_kernel.cuh.
//  Traffic: k, v and slots read once, as many elements written, or codes and scales.
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/kv/kv_append_policy.hpp>
#include <tenon/kv/kv_rows_kernel.cuh>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class CK, class CV, class K, class V>
struct kv_append_params {
  paged_kv<CK, CV>                   cache;
  tensor_view<K const, 3>            k;                                 // (tokens, kv_heads, head_dim)
  tensor_view<V const, 3>            v;                                 // (tokens, kv_heads, value_dim)
  tensor_view<std::int64_t const, 1> slots;                             // (tokens)
  bool                               k_given = false, v_given = false;  // scales
};

/// One token's heads; a cache of the same type gets the same bits.
template <class Policy, class To, class From>
__device__ void kv_append_heads(To* to, index_t to_head, From const* from, index_t from_head, index_t heads,
                                index_t width) {
  constexpr int vector  = Policy::value.vector;
  index_t const vectors = width / vector;
  for (index_t i = threadIdx.x; i < heads * vectors; i += Policy::value.threads_per_block) {
    index_t const head = i / vectors, d = i % vectors * vector;
    auto const    x = arch::load<vector>(from + head * from_head + d);
    if constexpr (std::is_same_v<To, From>) {
      arch::store<vector>(to + head * to_head + d, x);
    } else {
      vec<To, vector> y;
      TENON_UNROLL
      for (int e = 0; e < vector; ++e) y[e] = static_cast<To>(static_cast<float>(x[e]));
      arch::store<vector>(to + head * to_head + d, y);
    }
  }
}

template <class Policy, class CK, class CV, class K, class V>
__global__ __launch_bounds__(Policy::value.threads_per_block) void kv_append(
    __grid_constant__ kv_append_params<CK, CV, K, V> const p) {
  // Index map: one block per token; a slot outside the cache is nobody's.
  index_t const token     = blockIdx.x;
  index_t const slot      = p.slots(token);
  index_t const page_size = p.cache.k.extent[1];
  if (slot < 0 || slot >= p.cache.k.extent[0] * page_size) return;
  index_t const page = slot / page_size, place = slot % page_size;

  // Load, convert, store.
  kv_append_heads<Policy>(&p.cache.k(page, place, 0, 0), p.cache.k.stride[2], &p.k(token, 0, 0), p.k.stride[1],
                          p.k.extent[1], p.k.extent[2]);
  kv_append_heads<Policy>(&p.cache.v(page, place, 0, 0), p.cache.v.stride[2], &p.v(token, 0, 0), p.v.stride[1],
                          p.v.extent[1], p.v.extent[2]);
}

template <class Policy, class CK, class CV, class K, class V>
__global__
__launch_bounds__(Policy::value.threads_per_block, Policy::value.blocks_per_multiprocessor()) void kv_append_rows(
    __grid_constant__ kv_append_params<CK, CV, K, V> const p) {
  constexpr int lanes = Policy::value.lanes, rows = Policy::value.threads_per_block / lanes;

  // Index map: a slot outside the cache is nobody's; the block's rows stride over the heads of k, then of v.
  index_t const token     = blockIdx.x;
  index_t const slot      = p.slots(token);
  index_t const page_size = kv_places(p.cache.k).extent[1];
  if (slot < 0 || slot >= kv_places(p.cache.k).extent[0] * page_size) return;
  kv_place  at{slot / page_size, slot % page_size, 0};
  int const heads = static_cast<int>(p.k.extent[1]);
  for (int row = static_cast<int>(blockIdx.y) * rows + static_cast<int>(threadIdx.x) / lanes; row < 2 * heads;
       row += static_cast<int>(gridDim.y) * rows) {
    at.head = row < heads ? row : row - heads;
    if (row < heads)
      store_row<Policy>(p.cache.k, at, static_cast<int>(p.k.extent[2]), plain_row<K>{&p.k(token, at.head, 0)},
                        p.k_given);
    else
      store_row<Policy>(p.cache.v, at, static_cast<int>(p.v.extent[2]), plain_row<V>{&p.v(token, at.head, 0)},
                        p.v_given);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
