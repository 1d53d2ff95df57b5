#pragma once
//  paged_attention by matrix units: q, k and v of one 16-bit type.
//
//  One block per (query tile, kv head), one warp per 16 rows (query token, head of the group). Two stages of K and V
//  tiles arrive by cp.async, row by row through the block table. S = Q K^T and O += P V are mma.m16n8k16; P goes from the
//  one's accumulators to the other's operands without leaving its lane. The mask is asked once per tile and warp: tiles
//  that it leaves empty are not loaded, tiles that it keeps whole are not masked.
//  Traffic: q once, k and v once per query tile.
//  Dao 2023, "FlashAttention-2".
#include <tenon/arch/arch.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/attention/paged_attention_policy.hpp>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/tile/mma.cuh>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/softmax.cuh>
#include <tenon/tile/swizzle.cuh>

#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class T>
struct paged_attention_mma_storage {
  static constexpr int dim = Policy::value.dim, rows = Policy::value.rows, keys = Policy::value.keys;

  tile::shared_tile<T, rows, dim> q;
  tile::shared_tile<T, keys, dim> k[2], v[2];
};

/// Starts the copies of keys first..first+keys-1 into one stage: zeros behind the last key and behind the last column.
template <class Policy, class T, class Params>
__device__ inline void copy_keys(tile::shared_tile<T, Policy::value.keys, Policy::value.dim>& k_tile,
                                 tile::shared_tile<T, Policy::value.keys, Policy::value.dim>& v_tile, Params const& p,
                                 query_tile const& t, int kv_head, int first) {
  constexpr int chunks = Policy::value.dim / 8, total = Policy::value.keys * chunks;
  constexpr int threads   = Policy::value.threads_per_block();
  int const     page_size = static_cast<int>(p.kv.k.extent[1]);
  int const     head_dim = static_cast<int>(p.q.extent[2]), value_dim = static_cast<int>(p.o.extent[2]);
  for (int i = static_cast<int>(threadIdx.x); i < total; i += threads) {
    int const      row = i / chunks, c = i % chunks, key = first + row;
    bool const     alive = key < t.keys;
    int const      page = alive ? key / page_size : 0, place = alive ? key % page_size : 0;
    index_t const  id   = alive ? p.block_table(t.request, page) : 0;
    bool const     in_k = alive && 8 * c < head_dim, in_v = alive && 8 * c < value_dim;
    T const* const k = in_k ? &p.kv.k(id, place, kv_head, 8 * c) : p.kv.k.data;  // not read where there are 0 bytes
    T const* const v = in_v ? &p.kv.v(id, place, kv_head, 8 * c) : p.kv.v.data;
    arch::cp_async<16>(k_tile.chunk(row, c), k, in_k ? 16 : 0);
    arch::cp_async<16>(v_tile.chunk(row, c), v, in_v ? 16 : 0);
  }
}

template <class Policy, class O, class T, attention_mask Mask, attention_logits Logits>
__global__ __launch_bounds__(Policy::value.threads_per_block()) void paged_attention_mma(
    __grid_constant__ paged_attention_params<O, T, T, T, Mask, Logits> const p) {
  constexpr int  dim = Policy::value.dim, rows = Policy::value.rows, keys = Policy::value.keys;
  constexpr int  threads = Policy::value.threads_per_block(), steps = dim / 16;
  constexpr bool plain     = std::is_same_v<Logits, scaled_logits>;
  constexpr bool q_resides = dim <= 128;  // Q's fragments stay in registers; wider ones are loaded for every tile
  static_assert(rows == 16 * Policy::value.warps && dim % 16 == 0 && keys % 16 == 0,
                "tenon::kernel::paged_attention_mma: tiles are made of 16 x 16");
  auto& s = arch::shared<paged_attention_mma_storage<Policy, T>>();

  // Index map: x is the query tile, y the kv head. This lane holds parts of two rows, 8 apart.
  query_tile const t = find_query_tile(p.query_start, p.kv_length, p.group, rows, blockIdx.x);
  if (t.rows == 0) return;
  int const  kv_head = static_cast<int>(blockIdx.y), lane = arch::lane(), warp_row = 16 * arch::warp();
  int const  head_dim = static_cast<int>(p.q.extent[2]), value_dim = static_cast<int>(p.o.extent[2]);
  auto const token = [&](int row) { return t.first_token + (t.first_head + row) / p.group; };
  auto const head  = [&](int row) { return kv_head * p.group + (t.first_head + row) % p.group; };
  auto const cover = [&](int first_token, int last_token, int first) {
    int const      last = min(first + keys, t.keys) - 1;
    coverage const c = classify_group(p.variant.mask, t.request, kv_head * p.group, p.group, t.position + first_token,
                                      t.position + last_token, first, last);
    return c == coverage::full && last - first + 1 < keys ? coverage::partial : c;
  };
  auto const next = [&](int first) {  // the first tile from `first` on that the block needs
    while (first < t.keys && cover(t.first_token, t.last_token, first) == coverage::empty) first += keys;
    return first;
  };

  // Load. A row that the tile lacks repeats the last one and is not stored.
  int first = next(0);
  if (first < t.keys) copy_keys<Policy>(s.k[0], s.v[0], p, t, kv_head, first);
  arch::cp_async_commit();
  for (int i = static_cast<int>(threadIdx.x); i < rows * dim / 8; i += threads) {
    int const row = i / (dim / 8), c = i % (dim / 8), from = min(row, t.rows - 1);
    vec<T, 8> chunk;
    if (8 * c < head_dim) {
      chunk = arch::load<8>(&p.q(t.query_start + token(from), head(from), 8 * c));
    } else {
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 8; ++e) chunk[e] = T::from_bits(0);
    }
    arch::store<8>(s.q.chunk(row, c), chunk);
  }
  arch::sync_block();  // Q is in place
  tile::fragment_a q[q_resides ? steps : 1];
  if constexpr (q_resides) {
    TENON_UNROLL_DEVICE
    for (int k = 0; k < steps; ++k) q[k] = tile::load_a(s.q, warp_row, k);
  }

  bool const warp_works = warp_row < t.rows;
  int const  warp_first = token(min(warp_row, t.rows - 1)), warp_last = token(min(warp_row + 15, t.rows - 1));
  int        position[2], heads[2];
  TENON_UNROLL_DEVICE
  for (int half = 0; half < 2; ++half) {
    int const row  = min(warp_row + lane / 4 + 8 * half, t.rows - 1);
    position[half] = t.position + token(row), heads[half] = head(row);
  }
  float const       unit       = plain ? p.scale * tile::log2_e : 1.f;  // of a score, in powers of two
  float             maximum[2] = {tile::no_maximum, tile::no_maximum}, sum[2] = {};
  tile::accumulator o[dim / 8];

  for (int stage = 0; first < t.keys; stage ^= 1) {
    int const after = next(first + keys);
    if (after < t.keys) copy_keys<Policy>(s.k[stage ^ 1], s.v[stage ^ 1], p, t, kv_head, after);
    arch::cp_async_commit();
    arch::cp_async_wait<1>();
    arch::sync_block();  // this stage's copies of all threads have landed

    coverage const covered = warp_works ? cover(warp_first, warp_last, first) : coverage::empty;
    if (covered != coverage::empty) {
      // S = Q K^T
      tile::accumulator score[keys / 8];
      TENON_UNROLL_DEVICE
      for (int k = 0; k < steps; ++k) {
        tile::fragment_a a;
        if constexpr (q_resides) a = q[k];
        else a = tile::load_a(s.q, warp_row, k);
        TENON_UNROLL_DEVICE
        for (int j = 0; j < keys / 16; ++j) {
          tile::fragment_b b[2];
          tile::load_b(b, s.k[stage], 16 * j, k);
          tile::mma<T>(score[2 * j], score[2 * j + 1], a, b);
        }
      }

      // Logits, mask.
      if (covered == coverage::partial || !plain) {
        TENON_UNROLL_DEVICE
        for (int j = 0; j < keys / 8; ++j) {
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) {
            int const  half = e / 2, key = first + 8 * j + tile::accumulator_column(lane, e);
            bool const kept = covered == coverage::full ||
                              (key < t.keys && p.variant.mask.keep(t.request, heads[half], position[half], key));
            if constexpr (plain) {
              score[j].v[e] = kept ? score[j].v[e] : tile::no_maximum;
            } else {
              score[j].v[e] = kept ? static_cast<float>(p.variant.logits(score[j].v[e] * p.scale, t.request,
                                                                         heads[half], position[half], key)) *
                                         tile::log2_e
                                   : tile::no_maximum;
            }
          }
        }
      }

      // Softmax: four lanes share a row.
      TENON_UNROLL_DEVICE
      for (int half = 0; half < 2; ++half) {
        float most = tile::no_maximum;
        TENON_UNROLL_DEVICE
        for (int j = 0; j < keys / 8; ++j)
          most = tile::maximum{}(most, tile::maximum{}(score[j].v[2 * half], score[j].v[2 * half + 1]));
        most                = tile::maximum{}(most, arch::shuffle_xor(most, 1));
        most                = tile::maximum{}(most, arch::shuffle_xor(most, 2));
        most                = tile::maximum{}(maximum[half], most * unit);
        float const origin  = tile::softmax_origin(most);
        float const rescale = arch::exp2(maximum[half] - origin);
        maximum[half]       = most;
        sum[half] *= rescale;
        TENON_UNROLL_DEVICE
        for (int j = 0; j < keys / 8; ++j) {
          TENON_UNROLL_DEVICE
          for (int e = 2 * half; e < 2 * half + 2; ++e) {
            score[j].v[e] = arch::exp2(score[j].v[e] * unit - origin);
            sum[half] += score[j].v[e];  // this lane's share
          }
        }
        TENON_UNROLL_DEVICE
        for (int d = 0; d < dim / 8; ++d) o[d].v[2 * half] *= rescale, o[d].v[2 * half + 1] *= rescale;
      }

      // O += P V
      TENON_UNROLL_DEVICE
      for (int j = 0; j < keys / 16; ++j) {
        tile::fragment_a const a = tile::as_fragment_a<T>(score[2 * j], score[2 * j + 1]);
        TENON_UNROLL_DEVICE
        for (int d = 0; d < steps; ++d) {
          tile::fragment_b b[2];
          tile::load_b_transposed(b, s.v[stage], 16 * j, d);
          tile::mma<T>(o[2 * d], o[2 * d + 1], a, b);
        }
      }
    }
    arch::sync_block();  // the stage has been read, the next copies may come
    first = after;
  }
  arch::cp_async_wait<0>();

  // Store.
  TENON_UNROLL_DEVICE
  for (int half = 0; half < 2; ++half) {
    float total = sum[half] + arch::shuffle_xor(sum[half], 1);
    total += arch::shuffle_xor(total, 2);
    int const row = warp_row + lane / 4 + 8 * half;
    if (row >= t.rows) continue;
    float const   share = total == 0 ? 0.f : 1 / total;
    index_t const at    = t.query_start + token(row);
    O* const      to    = &p.o(at, head(row), 0);
    TENON_UNROLL_DEVICE
    for (int d = 0; d < dim / 8; ++d) {
      int const column = 8 * d + tile::accumulator_column(lane, 0);
      if (column >= value_dim) continue;
      vec<O, 2> pair;
      pair[0] = static_cast<O>(o[d].v[2 * half] * share);
      pair[1] = static_cast<O>(o[d].v[2 * half + 1] * share);
      arch::store<2>(to + column, pair);
    }
    if (lane % 4 == 0 && p.lse.data) p.lse(at, head(row)) = tile::softmax_lse(maximum[half], total);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
