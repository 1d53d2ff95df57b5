#pragma once
//  paged_attention by fused multiply-adds, for any type of q, k, v and o.
//
//  One block per (query tile, kv head); its warps take the tiles of 32 keys in turn and merge their sums at the end.
//  Scores: a lane owns a key and walks its head_dim, q comes from shared memory. Sums: a lane owns value_dim / 32 columns
//  and walks the keys, the weights come from shared memory. A key of weight 0 is not read.
//  Traffic: q once, k and v once per query tile.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/attention_end.cuh>
#include <tenon/attention/attention_rows.cuh>
#include <tenon/attention/kv_row.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/attention/paged_attention_policy.hpp>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/softmax.cuh>

#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy>
struct paged_attention_vector_storage {
  static constexpr int dim = Policy::value.dim, rows = Policy::value.rows, warps = Policy::value.warps;

  alignas(16) float q[rows][dim];         // times the scale
  alignas(16) float o[warps][rows][dim];  // each warp's sums
  float weight[warps][rows][32];          // of the warp's tile of keys
  int   page[warps][32], place[warps][32];
  float maximum[warps][rows], sum[warps][rows];
};

template <class Policy, class O, class Q, class K, class V, attention_mask Mask, attention_logits Logits>
__global__ __launch_bounds__(Policy::value.threads_per_block(), 2) void paged_attention_vector(
    __grid_constant__ paged_attention_params<O, Q, K, V, Mask, Logits> const p) {
  constexpr int  dim = Policy::value.dim, rows = Policy::value.rows, warps = Policy::value.warps;
  constexpr int  threads = Policy::value.threads_per_block(), vector = Policy::value.vector;
  constexpr int  columns = dim / 32;                   // of v that a lane owns
  constexpr int  run     = vector == 1 ? 1 : columns;  // of them side by side
  constexpr bool plain   = std::is_same_v<Logits, scaled_logits>;
  static_assert(Policy::value.keys == 32, "tenon::kernel::paged_attention_vector: a lane owns a key");
  auto& s = arch::shared<paged_attention_vector_storage<Policy>>();

  // Index map: x is the query tile, y the kv head.
  query_tile const t = find_query_tile(p.query_start, p.kv_length, p.group, rows, blockIdx.x);
  if (t.rows == 0) return;
  int const kv_head = static_cast<int>(blockIdx.y), lane = arch::lane(), warp = arch::warp();
  int const page_size = static_cast<int>(kv_places(p.kv.k).extent[1]);
  int const head_dim = static_cast<int>(p.q.extent[2]), value_dim = static_cast<int>(p.o.extent[2]);
  int const thread = static_cast<int>(threadIdx.x);
  attention_rows<paged_attention_params<O, Q, K, V, Mask, Logits>> const row_of{p, t, kv_head};
  auto const column = [&](int c) { return vector == 1 ? 32 * c + lane : columns * lane + c; };

  // Load. A row that the tile lacks repeats the last one and is not stored.
  float const scale = plain ? p.scale * tile::log2_e : p.scale;
  for (int i = thread; i < rows * dim; i += threads) {
    int const row = min(i / dim, t.rows - 1), d = i % dim;
    s.q[i / dim][d] =
        d < head_dim ? static_cast<float>(p.q(row_of.batch_token(row), row_of.head(row), d)) * scale : 0.f;
  }
  arch::sync_block();

  float maximum[rows], sum[rows], o[rows][columns];
  TENON_UNROLL_DEVICE
  for (int r = 0; r < rows; ++r) {
    maximum[r] = tile::no_maximum, sum[r] = 0;
    TENON_UNROLL_DEVICE
    for (int c = 0; c < columns; ++c) o[r][c] = 0;
  }

  key_span const span = keys_of_tile(p.variant.mask, t);
  for (int first = (span.first / (32 * warps) * warps + warp) * 32; first < span.last; first += 32 * warps) {
    int const      count = min(32, t.keys - first);
    coverage const cover = row_of.classify(t.first_token, t.last_token, first, first + count - 1);
    if (cover == coverage::empty) continue;

    // Score: this lane's key against every row.
    int const  key         = first + lane;
    bool const mine        = lane < count;
    float      score[rows] = {};
    if (mine) {
      int const place = key % page_size, id = p.block_table(t.request, key / page_size);
      s.page[warp][lane] = id, s.place[warp][lane] = place;
      kv_row const k(p.kv.k, id, place, kv_head);
      for (int d = 0; d < head_dim; d += vector) {
        float x[vector];
        k.get(x, d);
        TENON_UNROLL_DEVICE
        for (int r = 0; r < rows; ++r) {
          TENON_UNROLL_DEVICE
          for (int i = 0; i < vector; ++i) score[r] += s.q[r][d + i] * x[i];
        }
      }
    }

    // Softmax, row by row over the lanes.
    TENON_UNROLL_DEVICE
    for (int r = 0; r < rows; ++r) {
      int const  row = min(r, t.rows - 1), h = row_of.head(row), position = row_of.position(row);
      bool const seen  = mine && (cover == coverage::full || p.variant.mask.keep(t.request, h, position, key));
      float      value = tile::no_maximum;
      if (seen) {
        value = score[r];
        if constexpr (!plain)
          value = static_cast<float>(p.variant.logits(value, t.request, h, position, key)) * tile::log2_e;
      }
      float const after   = tile::maximum{}(maximum[r], tile::warp_reduce(value, tile::maximum{}));
      float const origin  = tile::softmax_origin(after);
      float const weight  = arch::exp2(value - origin);
      float const rescale = arch::exp2(maximum[r] - origin);
      sum[r]              = sum[r] * rescale + weight;  // this lane's share
      maximum[r]          = after;
      TENON_UNROLL_DEVICE
      for (int c = 0; c < columns; ++c) o[r][c] *= rescale;
      s.weight[warp][r][lane] = weight;
    }
    arch::sync_warp();  // the weights and rows of all lanes, before they are read

    // Accumulate: this lane's columns of every key.
    for (int j = 0; j < count; ++j) {
      kv_row const v(p.kv.v, s.page[warp][j], s.place[warp][j], kv_head);
      float        x[columns];
      bool         any = false;
      TENON_UNROLL_DEVICE
      for (int r = 0; r < rows; ++r) any = any || s.weight[warp][r][j] != 0;
      if (!any) continue;
      TENON_UNROLL_DEVICE
      for (int c = 0; c < columns; c += run) {
        if (column(c) < value_dim) {
          float piece[run];
          v.get(piece, column(c));
          TENON_UNROLL_DEVICE
          for (int i = 0; i < run; ++i) x[c + i] = piece[i];
        } else {
          TENON_UNROLL_DEVICE
          for (int i = 0; i < run; ++i) x[c + i] = 0;
        }
      }
      TENON_UNROLL_DEVICE
      for (int r = 0; r < rows; ++r) {
        float const weight = s.weight[warp][r][j];
        TENON_UNROLL_DEVICE
        for (int c = 0; c < columns; ++c) o[r][c] = weight == 0 ? o[r][c] : o[r][c] + weight * x[c];
      }
    }
    arch::sync_warp();  // the weights have been read
  }

  // Merge the warps' sums, in their order.
  TENON_UNROLL_DEVICE
  for (int r = 0; r < rows; ++r) {
    float const all = tile::warp_reduce(sum[r], tile::plus{});
    if (lane == 0) s.maximum[warp][r] = maximum[r], s.sum[warp][r] = all;
    TENON_UNROLL_DEVICE
    for (int c = 0; c < columns; ++c) s.o[warp][r][column(c)] = o[r][c];
  }
  arch::sync_block();
  for (int i = thread; i < t.rows * dim; i += threads) {
    int const row = i / dim, d = i % dim;
    if (d >= value_dim) continue;
    float      value = 0;
    auto const all   = tile::merge_softmax(
          warps,
          [&](int w) {
          return tile::softmax_state{s.maximum[w][row], s.sum[w][row]};
        },
          [&](int w, float share) { value += s.o[w][row][d] * share; });
    index_t const at  = row_of.batch_token(row);
    int const     h   = row_of.head(row);
    auto const    end = end_softmax(p, h, all.maximum, all.sum);
    p.o(at, h, d)     = static_cast<O>(value * end.share);
    if (d == 0 && p.lse.data) p.lse(at, h) = end.lse;
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
