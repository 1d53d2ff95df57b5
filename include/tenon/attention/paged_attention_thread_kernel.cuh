#pragma once
//  paged_attention by blocks of one thread: the host's own.
//
//  One block per (query tile, kv head). K and V are read once per query tile, in tiles of `keys` keys that start at
//  multiples of `keys` whatever the page size; a row's arithmetic is a chain of its own through fixed-size arrays, so its
//  bits depend on its query and its keys alone.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/attention_end.cuh>
#include <tenon/attention/attention_rows.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/attention/paged_attention_policy.hpp>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/tile/reduce.cuh>
#include <tenon/tile/softmax.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy, class K, class V>
struct paged_attention_thread_storage {
  static constexpr int dim = Policy::value.dim, rows = Policy::value.rows, keys = Policy::value.keys;

  alignas(64) float q[rows][dim];  // times the scale
  alignas(64) float o[rows][dim];
  using k_number = std::conditional_t<is_kv_codes<K>, float, K>;
  using v_number = std::conditional_t<is_kv_codes<V>, float, V>;
  float           maximum[rows], sum[rows];
  k_number        k[keys][dim];  // rows of a cache narrower than dim, padded; codes as numbers
  v_number        v[keys][dim];
  k_number const* k_row[keys];
  v_number const* v_row[keys];
};

/// One head of one token: itself, or where it is narrower than Dim its copy with zeros behind it.
template <int Dim, class T>
__device__ inline T const* padded_row(T (&copy)[Dim], tensor_view<T const, 4> const& pages, index_t page, index_t place,
                                      index_t head) {
  T const* const row   = &pages(page, place, head, 0);
  index_t const  width = pages.extent[3];
  if (width == Dim) return row;
  for (int d = 0; d < Dim; ++d) copy[d] = d < width ? row[d] : T(0.f);
  return copy;
}
/// Codes as numbers, zeros behind them.
template <int Dim, class Format>
__device__ inline float const* padded_row(float (&copy)[Dim], kv_code_pages<Format const> const& pages, index_t page,
                                          index_t place, index_t head) {
  constexpr int             group  = Format::group == 0 ? Dim : min(Format::group, Dim);
  std::uint8_t const* const row    = &pages.code(page, place, head, 0);
  auto const* const         scales = &pages.scale(page, place, head, 0);
  int const                 width  = static_cast<int>(pages.width());
  for (int first = 0, g = 0; first < Dim; first += group, ++g) {
    int const   end   = min(first + group, width);
    float const scale = first < width ? kv_scale(scales[g * pages.scale.stride[3]]) : 0.f;
    float const shift = first < width ? kv_offset(scales[g * pages.scale.stride[3]]) : 0.f;
    for (int d = first; d < end; ++d) copy[d] = scale * kv_code_number<Format>(row, d) + shift;
    for (int d = max(first, end); d < first + group; ++d) copy[d] = 0;
  }
  return copy;
}

/// Combines the elements of an array pairwise, i with i + N / 2.
template <int N, class Operation>
__device__ inline float combine(float const (&v)[N], Operation operation) {
  if constexpr (N == 1) {
    return v[0];
  } else {
    float half[N / 2];
    TENON_UNROLL
    for (int i = 0; i < N / 2; ++i) half[i] = operation(v[i], v[i + N / 2]);
    return combine(half, operation);
  }
}

template <class Policy, class O, class Q, class K, class V, attention_mask Mask, attention_logits Logits>
__global__ __launch_bounds__(1) void paged_attention_thread(
    __grid_constant__ paged_attention_params<O, Q, K, V, Mask, Logits> const p) {
  constexpr int  dim = Policy::value.dim, keys = Policy::value.keys;
  constexpr int  lanes   = dim % 16 == 0 ? 16 : 8;             // of one register
  constexpr int  columns = min(dim, dim % 64 == 0 ? 64 : 16);  // of V that are summed at a time
  constexpr int  chains  = max(1, 4 * lanes / columns);        // independent sums over keys j mod chains
  constexpr bool plain   = std::is_same_v<Logits, scaled_logits>;
  static_assert(keys % 16 == 0 && dim % columns == 0, "tenon::kernel::paged_attention_thread: ragged tile");
  using several = arch::stripe<lanes>;
  auto& s       = arch::shared<paged_attention_thread_storage<Policy, K, V>>();

  // Index map: x is the query tile, y the kv head.
  query_tile const t = find_query_tile(p.query_start, p.kv_length, p.group, Policy::value.rows, blockIdx.x);
  if (t.rows == 0) return;
  int const     kv_head   = static_cast<int>(blockIdx.y);
  int const     page_size = static_cast<int>(kv_places(p.kv.k).extent[1]);
  index_t const head_dim = p.q.extent[2], value_dim = p.o.extent[2];
  attention_rows<paged_attention_params<O, Q, K, V, Mask, Logits>> const row_of{p, t, kv_head};

  // Load.
  float const scale = plain ? p.scale * tile::log2_e : p.scale;
  for (int row = 0; row < t.rows; ++row) {
    Q const* const q = &p.q(row_of.batch_token(row), row_of.head(row), 0);
    for (int d = 0; d < dim; ++d) s.q[row][d] = d < head_dim ? static_cast<float>(q[d]) * scale : 0.f;
    for (int d = 0; d < dim; ++d) s.o[row][d] = 0;
    s.maximum[row] = tile::no_maximum, s.sum[row] = 0;
  }

  key_span const span = keys_of_tile(p.variant.mask, t);
  for (int first = span.first / keys * keys; first < span.last; first += keys) {
    int const      count = min(keys, t.keys - first);
    coverage const cover = row_of.classify(t.first_token, t.last_token, first, first + count - 1);
    if (cover == coverage::empty) continue;

    for (int j = 0, page = first / page_size, place = first % page_size; j < count; ++page, place = 0) {
      index_t const id = p.block_table(t.request, page);
      for (; j < count && place < page_size; ++j, ++place) {
        s.k_row[j] = padded_row(s.k[j], p.kv.k, id, place, kv_head);
        s.v_row[j] = padded_row(s.v[j], p.kv.v, id, place, kv_head);
      }
    }
    for (int j = count; j % 4 != 0; ++j) s.k_row[j] = s.k_row[0], s.v_row[j] = s.v_row[0];

    for (int row = 0; row < t.rows; ++row) {
      // Score, four keys at a time.
      alignas(64) float score[keys];
      for (int j = 0; j < count; j += 4) {
        several sum[4] = {};
        TENON_UNROLL
        for (int d = 0; d < dim; d += lanes) {
          several const q = arch::load_stripe<lanes>(s.q[row] + d);
          TENON_UNROLL
          for (int i = 0; i < 4; ++i) arch::multiply_add(sum[i], q, arch::load_stripe<lanes>(s.k_row[j + i] + d));
        }
        float four[4];
        arch::sum(four, sum);
        for (int i = 0; i < 4; ++i) score[j + i] = four[i];
      }
      for (int j = count; j < keys; ++j) score[j] = tile::no_maximum;
      if (cover == coverage::partial || !plain) {
        int const h = row_of.head(row), position = row_of.position(row);
        for (int j = 0; j < count; ++j) {
          if (cover == coverage::partial && !p.variant.mask.keep(t.request, h, position, first + j)) {
            score[j] = tile::no_maximum;
          } else if constexpr (!plain) {
            score[j] = static_cast<float>(p.variant.logits(score[j], t.request, h, position, first + j)) * tile::log2_e;
          }
        }
      }

      // Softmax: a new maximum, then the weights and their sum in 16 chains.
      float chain[16];
      for (int i = 0; i < 16; ++i) chain[i] = score[i];
      for (int j = 16; j < keys; j += 16)
        for (int i = 0; i < 16; ++i) chain[i] = chain[i] < score[j + i] ? score[j + i] : chain[i];
      float const before  = s.maximum[row];
      float const after   = tile::maximum{}(before, combine(chain, tile::maximum{}));
      float const origin  = tile::softmax_origin(after);
      float const rescale = tile::exp2_nonpositive(before - origin);
      for (int j = 0; j < keys; ++j) score[j] = tile::exp2_nonpositive(score[j] - origin);
      for (int i = 0; i < 16; ++i) chain[i] = score[i];
      for (int j = 16; j < keys; j += 16)
        for (int i = 0; i < 16; ++i) chain[i] += score[j + i];
      s.maximum[row] = after;
      s.sum[row]     = s.sum[row] * rescale + combine(chain, tile::plus{});

      // Accumulate. A key of weight 0 is not read: it may be masked and hold anything.
      several const old = arch::broadcast_stripe<lanes>(rescale), one = arch::broadcast_stripe<lanes>(1.f);
      for (int d = 0; d < dim; d += columns) {
        several sum[chains][columns / lanes] = {};
        TENON_UNROLL
        for (int c = 0; c < columns / lanes; ++c)
          arch::multiply_add(sum[0][c], arch::load_stripe<lanes>(s.o[row] + d + c * lanes), old);
        for (int j = 0; j < count; j += chains) {
          TENON_UNROLL
          for (int i = 0; i < chains; ++i) {
            if (score[j + i] == 0) continue;
            several const weight = arch::broadcast_stripe<lanes>(score[j + i]);
            TENON_UNROLL
            for (int c = 0; c < columns / lanes; ++c)
              arch::multiply_add(sum[i][c], weight, arch::load_stripe<lanes>(s.v_row[j + i] + d + c * lanes));
          }
        }
        TENON_UNROLL
        for (int c = 0; c < columns / lanes; ++c) {
          TENON_UNROLL
          for (int i = 1; i < chains; ++i) arch::multiply_add(sum[0][c], sum[i][c], one);
          arch::store_stripe(s.o[row] + d + c * lanes, sum[0][c]);
        }
      }
    }
  }

  // Store.
  for (int row = 0; row < t.rows; ++row) {
    index_t const at  = row_of.batch_token(row);
    int const     h   = row_of.head(row);
    auto const    end = end_softmax(p, h, s.maximum[row], s.sum[row]);
    O* const      o   = &p.o(at, h, 0);
    for (int d = 0; d < value_dim; ++d) o[d] = static_cast<O>(s.o[row][d] * end.share);
    if (p.lse.data) p.lse(at, h) = end.lse;
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
