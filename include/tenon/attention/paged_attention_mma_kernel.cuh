#pragma once
//  paged_attention by matrix units: q of a 16-bit type, keys and values of that type or codes.
//
//  A block takes segments (attention_work.cuh): 16 * n rows (query token, head of the group) and a run of keys. Its warps
//  share them out in one of two ways:
//
//    by rows   (prefill)   a warp has 16 rows; all read the same tiles of keys, which the block copies together
//    by keys   (decode)    every warp has the same 16 rows and a tile of keys of its own, copied by itself: no block barrier in
//                          the loop; the warps' sums meet at the end
//
//  K and V tiles arrive by cp.async in a ring of stages, row by row through the block table, whose entries are read one tile
//  ahead. S = Q K^T and O += P V are mma.m16n8k16 (kv_tile.cuh); P goes from the one's accumulators to the other's operands
//  without leaving its lane. The mask is asked once per tile and warp: tiles that it leaves empty are not loaded, tiles
//  that it keeps whole are not masked.
//  Traffic: q once, k and v once per query tile; partial sums of segments that share rows once out and once in.
//  Dao 2023, "FlashAttention-2"; Dao et al. 2023, "Flash-Decoding".
#include <tenon/arch/arch.cuh>
#include <tenon/attention/attention_end.cuh>
#include <tenon/attention/attention_rows.cuh>
#include <tenon/attention/attention_work.cuh>
#include <tenon/attention/kv_tile.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/attention/paged_attention_policy.hpp>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/tile/mma.cuh>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/softmax.cuh>
#include <tenon/tile/split.cuh>
#include <tenon/tile/swizzle.cuh>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// Numbers that a policy and the formats fix together.
template <class Policy, class T, class K, class V>
struct paged_attention_mma_shape {
  static constexpr paged_attention_policy policy = Policy::value;

  static constexpr int dim = policy.dim, rows = policy.rows, keys = policy.keys, warps = policy.warps;
  static constexpr int row_warps = rows / 16, key_warps = policy.key_warps();
  static constexpr int span    = policy.span();               // keys that the block's warps take at a time
  static constexpr int sharing = key_warps == 1 ? warps : 1;  // warps that copy and read one tile
  static constexpr int copied  = keys / sharing;              // keys of a tile that one warp copies
  static constexpr int stages  = policy.stages(kv_bits<K>, kv_bits<V>);
  static constexpr int padded  = dim + (kv_tile<T, V, 16, dim>::run == 2   ? 8
                                        : kv_tile<T, V, 16, dim>::run == 4 ? 16
                                                                           : 4);

  static_assert(dim % 64 == 0 && rows % 16 == 0 && keys % 16 == 0 && warps == row_warps * key_warps &&
                    (row_warps == 1 || key_warps == 1) && copied <= 32,
                "tenon::kernel::paged_attention_mma: no such policy");
};

/// What outlives a segment's tiles.
template <class Shape, class Params>
struct paged_attention_mma_common {
  attention_work<Shape::rows, 32 * Shape::warps, Params> work;
  attention_segment                                      segment;
  bool                                                   last;
};

/// Shared memory of a block while it multiplies.
template <class Shape, class T, class K, class V, class Params>
struct paged_attention_mma_storage : paged_attention_mma_common<Shape, Params> {
  kv_addresses<K, Shape::copied>                k_at[Shape::warps];
  kv_addresses<V, Shape::copied>                v_at[Shape::warps];
  query_sums<K, Shape::dim>                     q_sums[Shape::warps];
  tile::shared_tile<T, Shape::rows, Shape::dim> q;  // columns in the order that K's products take them
  struct {
    kv_stage<T, K, Shape::keys, Shape::dim> k;
    kv_stage<T, V, Shape::keys, Shape::dim> v;
  } stage[Shape::key_warps][Shape::stages];
};

/// The same memory when warps by keys merge their sums. Rows are padded so that lanes of a fragment meet different banks.
template <class Shape, class Params>
struct paged_attention_mma_merge : paged_attention_mma_common<Shape, Params> {
  alignas(16) float o[Shape::key_warps][Shape::rows][Shape::padded];
  float maximum[Shape::key_warps][Shape::rows], sum[Shape::key_warps][Shape::rows];
};

/// Bytes of shared memory that a block wants.
template <class Policy, class T, class K, class V, class Params>
inline constexpr std::size_t paged_attention_mma_bytes =
    max(sizeof(paged_attention_mma_storage<paged_attention_mma_shape<Policy, T, K, V>, T, K, V, Params>),
        paged_attention_mma_shape<Policy, T, K, V>::key_warps == 1
            ? 0
            : sizeof(paged_attention_mma_merge<paged_attention_mma_shape<Policy, T, K, V>, Params>));

/// to += share more
__device__ inline void add_scaled(vec<float, 4>& to, vec<float, 4> const& more, float share) {
  TENON_UNROLL_DEVICE
  for (int e = 0; e < 4; ++e) to[e] += more[e] * share;
}

/// Where finished or partial rows go. A slot of partial sums: o (rows, dim), then the maximum and sum of each row.
template <class Shape, class Params>
struct attention_output {
  static constexpr int slot_floats = Shape::rows * (Shape::dim + 2);

  attention_rows<Params>   rows;
  attention_segment const& s;

  __device__ float* slot(int part) const { return rows.p.split.partials + s.slot(part) * slot_floats; }
  __device__ float* state(int part, int row) const { return slot(part) + Shape::rows * Shape::dim + 2 * row; }
  /// Columns column..column+N-1 of a row whose keys were all in this segment.
  template <int N>
  __device__ void store(int row, int column, vec<float, N> const& v, float share) const {
    auto const& o = rows.p.o;
    if (column >= static_cast<int>(o.extent[2])) return;
    using element = std::remove_reference_t<decltype(o(0, 0, 0))>;
    vec<element, N> to;
    TENON_UNROLL_DEVICE
    for (int i = 0; i < N; ++i) to[i] = static_cast<element>(v[i] * share);
    arch::store<N>(&o(rows.batch_token(row), rows.head(row), column), to);
  }
  __device__ void store_lse(int row, float lse) const {
    if (rows.p.lse.data) rows.p.lse(rows.batch_token(row), rows.head(row)) = lse;
  }
  /// Whether the row's keys were all here, so that it ends now.
  __device__ bool whole() const { return s.parts == 1; }

  /// Columns column..column+N-1 of a row; `share` is what ends it, if it ends now.
  template <int N>
  __device__ void put(int row, int column, vec<float, N> const& v, float share) const {
    if (!whole()) arch::store<N>(slot(s.part) + row * Shape::dim + column, v);
    else if (row < s.tile.rows) store(row, column, v, share);
  }
  /// The rest of the row, by one thread.
  __device__ void put_row(int row, float maximum, float sum, float lse) const {
    if (!whole()) arch::store<2>(state(s.part, row), vec<float, 2>{{maximum, sum}});
    else if (row < s.tile.rows) store_lse(row, lse);
  }

  /// The sum of all parts, in their order, once they are there.
  __device__ void merge(int thread) const {
    for (int i = 4 * thread; i < s.tile.rows * Shape::dim; i += 4 * 32 * Shape::warps) {
      int const     row = i / Shape::dim, column = i % Shape::dim;
      vec<float, 4> o{};
      auto const    all = tile::merge_softmax(
             s.parts,
             [&](int part) {
            auto const of = arch::load<2>(state(part, row));
            return tile::softmax_state{of[0], of[1]};
          },
             [&](int part, float share) { add_scaled(o, arch::load<4>(slot(part) + i), share); });
      auto const end = end_softmax(rows.p, rows.head(row), all.maximum, all.sum);
      store(row, column, o, end.share);
      if (column == 0) store_lse(row, end.lse);
    }
  }
};

/// Where a key lies; a key that is not there has page 0.
template <class Params>
__device__ inline auto look_up(Params const& p, attention_segment const& s, int key) {
  struct place {
    int page = 0, place = 0;
  } found;
  if (key < s.keys.last) {
    int const page_size = static_cast<int>(kv_places(p.kv.k).extent[1]);
    found               = {p.block_table(s.tile.request, key / page_size), key % page_size};
  }
  return found;
}

template <class Policy, class O, class T, class K, class V, attention_mask Mask, attention_logits Logits>
__global__ __launch_bounds__(
    Policy::value.threads_per_block(),
    (Policy::value.residents(
        kv_bits<K>, kv_bits<V>))) void paged_attention_mma(__grid_constant__ paged_attention_params<O, T, K, V, Mask,
                                                                                                    Logits> const p) {
  using params       = paged_attention_params<O, T, K, V, Mask, Logits>;
  using shape        = paged_attention_mma_shape<Policy, T, K, V>;
  using storage      = paged_attention_mma_storage<shape, T, K, V, params>;
  using merging      = paged_attention_mma_merge<shape, params>;
  constexpr int  dim = shape::dim, rows = shape::rows, keys = shape::keys, stages = shape::stages;
  constexpr int  threads = 32 * shape::warps, steps = dim / 16;
  constexpr bool plain     = std::is_same_v<Logits, scaled_logits>;
  constexpr bool q_resides = dim <= 128;  // Q's fragments stay in registers; wider ones are loaded for every tile
  auto&          s         = arch::shared<storage>();
  int const      lane = arch::lane(), warp = arch::warp(), thread = static_cast<int>(threadIdx.x);
  int const      warp_row = shape::key_warps == 1 ? 16 * warp : 0, key_warp = shape::key_warps == 1 ? 0 : warp;
  auto const     sync_sharing = [] {
    if constexpr (shape::key_warps == 1) arch::sync_block();
    else arch::sync_warp();
  };

  attention_segment const&              segment = s.segment;
  query_tile const&                     t       = segment.tile;
  attention_rows<params> const          row_of{p, t, segment.kv_head};
  attention_output<shape, params> const output{row_of, segment};

  for (s.work.begin(p);; arch::sync_block()) {
    if (thread == 0) s.work.next(p, s.segment);
    arch::sync_block();
    if (segment.parts == 0) break;

    // Index map: this warp's tiles of keys.
    int const  limit = segment.keys.last;
    auto const cover = [&](int first_token, int last_token, int first) {
      int const      last = min(first + keys, limit) - 1;
      coverage const c    = row_of.classify(first_token, last_token, first, last);
      bool const     cut  = last - first + 1 < keys || first < segment.keys.first;
      return c == coverage::full && cut ? coverage::partial : c;
    };
    auto const next = [&](int first) {  // the first tile from `first` on that the sharing warps need
      while (first < limit && cover(t.first_token, t.last_token, first) == coverage::empty) first += shape::span;
      return first;
    };
    int const  share = shape::copied * (shape::key_warps == 1 ? warp : 0);  // of a tile, that this warp copies
    auto const find  = [&](int first) { return look_up(p, segment, first + share + lane % shape::copied); };
    auto const copy  = [&](int slot, int first, auto const& place) {
      if (lane < shape::copied) {
        s.k_at[warp].find(lane, p.kv.k, place.page, place.place, segment.kv_head);
        s.v_at[warp].find(lane, p.kv.v, place.page, place.place, segment.kv_head);
      }
      arch::sync_warp();
      auto&     to    = s.stage[key_warp][slot];
      int const alive = limit - first - share;
      copy_rows(to.k, p.kv.k, share, s.k_at[warp], alive);
      copy_rows(to.v, p.kv.v, share, s.v_at[warp], alive);
      arch::sync_warp();  // the addresses have been read
    };

    // Load. A row that the tile lacks repeats the last one and is not stored.
    int  first = next(segment.keys.first / shape::span * shape::span + key_warp * keys), ahead = first;
    auto place = find(ahead);
    TENON_UNROLL_DEVICE
    for (int slot = 0; slot < stages - 1; ++slot) {
      if (ahead < limit) copy(slot, ahead, place), ahead = next(ahead + shape::span), place = find(ahead);
      arch::cp_async_commit();
    }
    for (int i = thread; i < rows * dim / 8; i += threads) {
      int const      row = i / (dim / 8), c = i % (dim / 8), from = min(row, t.rows - 1);
      T const* const q = &p.q(row_of.batch_token(from), row_of.head(from), 0);
      vec<T, 8>      chunk;
      if (kv_bits<K> == 16 && 8 * c < static_cast<int>(p.q.extent[2])) {
        chunk = arch::load<8>(q + 8 * c);
      } else {
        TENON_UNROLL_DEVICE
        for (int e = 0; e < 8; ++e) {
          int const column = c / 4 * 32 + column_of_slot<kv_bits<K>>(c % 4 * 8 + e);
          chunk[e]         = column < static_cast<int>(p.q.extent[2]) ? q[column] : T::from_bits(0);
        }
      }
      arch::store<8>(s.q.chunk(row, c), chunk);
    }
    arch::sync_block();  // Q is in place
    tile::fragment_a q[q_resides ? steps : 1];
    if constexpr (q_resides) {
      TENON_UNROLL_DEVICE
      for (int step = 0; step < steps; ++step) q[step] = tile::load_a(s.q, warp_row, step);
    }
    auto const q_step = [&](int step) {
      if constexpr (q_resides) return q[step];
      else return tile::load_a(s.q, warp_row, step);
    };
    auto& q_sums = s.q_sums[warp];
    q_sums.template make<T>(q_step);

    bool const         warp_works = warp_row < t.rows;
    int const          warp_first = row_of.token(min(warp_row, t.rows - 1));
    int const          warp_last  = row_of.token(min(warp_row + 15, t.rows - 1));
    float const        unit       = plain ? p.scale * tile::log2_e : 1.f;  // of a score, in powers of two
    float              maximum[2] = {tile::no_maximum, tile::no_maximum}, sum[2] = {};
    value_sums<V, dim> values;

    for (int stage = 0; first < limit; first = next(first + shape::span), stage = stage + 1 == stages ? 0 : stage + 1) {
      arch::cp_async_wait<stages - 2>();
      sync_sharing();  // this stage's copies of all have landed, the one before it has been read
      if (ahead < limit) {
        copy(stage == 0 ? stages - 1 : stage - 1, ahead, place);
        ahead = next(ahead + shape::span), place = find(ahead);
      }
      arch::cp_async_commit();

      coverage const covered = warp_works ? cover(warp_first, warp_last, first) : coverage::empty;
      if (covered == coverage::empty) continue;
      auto const& tiles = s.stage[key_warp][stage];

      // S = Q K^T
      tile::accumulator score[keys / 8];
      multiply_keys(score, tiles.k, q_sums, q_step);

      // Logits, mask.
      if (covered == coverage::partial || !plain) {
        int position[2], heads[2];
        TENON_UNROLL_DEVICE
        for (int half = 0; half < 2; ++half) {
          int const row  = min(warp_row + lane / 4 + 8 * half, t.rows - 1);
          position[half] = row_of.position(row), heads[half] = row_of.head(row);
        }
        TENON_UNROLL_DEVICE
        for (int j = 0; j < keys / 8; ++j) {
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) {
            int const  half = e / 2, key = first + 8 * j + tile::accumulator_column(lane, e);
            bool const kept =
                covered == coverage::full || (key >= segment.keys.first && key < limit &&
                                              p.variant.mask.keep(t.request, heads[half], position[half], key));
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
        if (rescale != 1.f) values.rescale(half, rescale);
      }

      // O += P V
      multiply_values(values, score, tiles.v);
    }
    arch::cp_async_wait<0>();

    // End: a row's sums, from the shares of its four lanes; then of all warps that had keys of it.
    TENON_UNROLL_DEVICE
    for (int half = 0; half < 2; ++half) {
      sum[half] += arch::shuffle_xor(sum[half], 1);
      sum[half] += arch::shuffle_xor(sum[half], 2);
    }
    if constexpr (shape::key_warps == 1) {
      softmax_end end[2];
      TENON_UNROLL_DEVICE
      for (int half = 0; half < 2; ++half) {
        int const row = warp_row + lane / 4 + 8 * half;
        end[half]     = end_softmax(p, row_of.head(row), maximum[half], sum[half]);
        if (lane % 4 == 0) output.put_row(row, maximum[half], sum[half], end[half].lse);
      }
      for_each_run<T>(values, [&](int half, int column, auto const& v) {
        output.put(warp_row + lane / 4 + 8 * half, column, v, end[half].share);
      });
    } else {
      auto& m = arch::shared<merging>();
      arch::sync_block();  // the stages have been read
      for_each_run<T>(values, [&](int half, int column, auto const& v) {
        arch::store<kv_tile<T, V, 16, dim>::run>(&m.o[warp][lane / 4 + 8 * half][column], v);
      });
      TENON_UNROLL_DEVICE
      for (int half = 0; half < 2; ++half) {
        int const row = lane / 4 + 8 * half;
        if (lane % 4 == 0) m.maximum[warp][row] = maximum[half], m.sum[warp][row] = sum[half];
      }
      arch::sync_block();
      for (int i = 4 * thread; i < rows * dim; i += 4 * threads) {
        int const     row = i / dim, column = i % dim;
        vec<float, 4> o{};
        auto const    all = tile::merge_softmax(
               shape::key_warps,
               [&](int w) {
              return tile::softmax_state{m.maximum[w][row], m.sum[w][row]};
            },
               [&](int w, float own) { add_scaled(o, arch::load<4>(&m.o[w][row][column]), own); });
        auto const end = end_softmax(p, row_of.head(row), all.maximum, all.sum);
        output.put(row, column, o, end.share);
        if (column == 0) output.put_row(row, all.maximum, all.sum, end.lse);
      }
    }
    if (!output.whole() && tile::arrives_last(p.split.counters + segment.counter, segment.parts, thread, s.last))
      output.merge(thread);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
