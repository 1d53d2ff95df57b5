#pragma once
//  paged_attention by blocks of one thread: the host's own.
//
//  One block per (query tile, kv head). K and V are read once per query tile, in tiles of `keys` keys that start at
//  multiples of `keys` whatever the page size; a row's arithmetic is a chain of its own through fixed-size arrays, so its
//  bits depend on its query and its keys alone.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/attention/paged_attention_policy.hpp>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/tile/softmax.cuh>

#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class Policy>
struct paged_attention_thread_storage {
  static constexpr int dim = Policy::value.dim, rows = Policy::value.rows, keys = Policy::value.keys;

  float        q[rows][dim];  // times scale * log2(e)
  float        o[rows][dim];
  float        maximum[rows], sum[rows];
  float        k[keys][dim], v[keys][dim];  // where the cache's own rows cannot be used: another type, or padded
  float const* k_row[keys];
  float const* v_row[keys];
};

/// sum_d a[d] b[d]
template <int Dim>
__device__ inline float dot(float const* a, float const* b) {
  constexpr int lanes = Dim % 16 == 0 ? 16 : 8;
  float         sum[lanes];
  for (int i = 0; i < lanes; ++i) sum[i] = a[i] * b[i];
  for (int d = lanes; d < Dim; d += lanes)
    for (int i = 0; i < lanes; ++i) sum[i] += a[d + i] * b[d + i];
  for (int n = lanes / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) sum[i] += sum[i + n];
  return sum[0];
}

/// `width` elements of a row as floats, zeros behind them; the row itself where it already is that.
template <int Dim, class T>
__device__ inline float const* row_as_float(float (&copy)[Dim], T const* row, index_t width) {
  if constexpr (std::is_same_v<T, float>) {
    if (width == Dim) return row;
  }
  if (width == Dim) {
    for (int d = 0; d < Dim; ++d) copy[d] = static_cast<float>(row[d]);
  } else {
    for (int d = 0; d < Dim; ++d) copy[d] = d < width ? static_cast<float>(row[d]) : 0.f;
  }
  return copy;
}

template <class Policy, class O, class Q, class K, class V, attention_mask Mask, attention_logits Logits>
__global__ __launch_bounds__(1) void paged_attention_thread(
    __grid_constant__ paged_attention_params<O, Q, K, V, Mask, Logits> const p) {
  constexpr int  dim = Policy::value.dim, keys = Policy::value.keys;
  constexpr bool plain = std::is_same_v<Logits, scaled_logits>;
  auto&          s     = arch::shared<paged_attention_thread_storage<Policy>>();

  // Index map: x is the query tile, y the kv head.
  query_tile const t = find_query_tile(p.query_start, p.kv_length, p.group, Policy::value.rows, blockIdx.x);
  if (t.rows == 0) return;
  int const     kv_head   = static_cast<int>(blockIdx.y);
  int const     page_size = static_cast<int>(p.kv.k.extent[1]);
  index_t const head_dim = p.q.extent[2], value_dim = p.o.extent[2];
  auto const    token = [&](int row) { return t.first_token + (t.first_head + row) / p.group; };
  auto const    head  = [&](int row) { return kv_head * p.group + (t.first_head + row) % p.group; };

  // Load.
  float const scale = plain ? p.scale * tile::log2_e : p.scale;
  for (int row = 0; row < t.rows; ++row) {
    Q const* const q = &p.q(t.query_start + token(row), head(row), 0);
    for (int d = 0; d < dim; ++d) s.q[row][d] = d < head_dim ? static_cast<float>(q[d]) * scale : 0.f;
    for (int d = 0; d < dim; ++d) s.o[row][d] = 0;
    s.maximum[row] = tile::no_maximum, s.sum[row] = 0;
  }

  for (int first = 0; first < t.keys; first += keys) {
    int const      count = min(keys, t.keys - first);
    coverage const cover =
        classify_group(p.variant.mask, t.request, kv_head * p.group, p.group, t.position + t.first_token,
                       t.position + t.last_token, first, first + count - 1);
    if (cover == coverage::empty) continue;

    for (int j = 0, page = first / page_size, place = first % page_size; j < count; ++page, place = 0) {
      index_t const  id = p.block_table(t.request, page);
      K const* const k  = &p.kv.k(id, 0, kv_head, 0);
      V const* const v  = &p.kv.v(id, 0, kv_head, 0);
      for (; j < count && place < page_size; ++j, ++place) {
        s.k_row[j] = row_as_float<dim>(s.k[j], k + place * p.kv.k.stride[1], head_dim);
        s.v_row[j] = row_as_float<dim>(s.v[j], v + place * p.kv.v.stride[1], value_dim);
      }
    }

    for (int row = 0; row < t.rows; ++row) {
      // Score.
      alignas(64) float score[keys];
      for (int j = 0; j < count; ++j) score[j] = dot<dim>(s.q[row], s.k_row[j]);
      for (int j = count; j < keys; ++j) score[j] = tile::no_maximum;
      if (cover == coverage::partial || !plain) {
        int const h = head(row), position = t.position + token(row);
        for (int j = 0; j < count; ++j) {
          if (cover == coverage::partial && !p.variant.mask.keep(t.request, h, position, first + j)) {
            score[j] = tile::no_maximum;
          } else if constexpr (!plain) {
            score[j] = static_cast<float>(p.variant.logits(score[j], t.request, h, position, first + j)) * tile::log2_e;
          }
        }
      }

      // Softmax: a new maximum, then the weights and their sum in 16 chains.
      constexpr int lanes = 16;
      static_assert(keys % lanes == 0, "tenon::kernel::paged_attention_thread: keys must be a multiple of 16");
      float lane[lanes];
      for (int i = 0; i < lanes; ++i) lane[i] = score[i];
      for (int j = lanes; j < keys; j += lanes)
        for (int i = 0; i < lanes; ++i) lane[i] = lane[i] < score[j + i] ? score[j + i] : lane[i];
      for (int n = lanes / 2; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) lane[i] = lane[i] < lane[i + n] ? lane[i + n] : lane[i];
      float const before = s.maximum[row];
      float const after  = before < lane[0] ? lane[0] : before;
      float const origin = tile::softmax_origin(after);
      for (int j = 0; j < keys; ++j) score[j] = tile::exp2_nonpositive(score[j] - origin);
      for (int i = 0; i < lanes; ++i) lane[i] = score[i];
      for (int j = lanes; j < keys; j += lanes)
        for (int i = 0; i < lanes; ++i) lane[i] += score[j + i];
      for (int n = lanes / 2; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) lane[i] += lane[i + n];
      float const rescale = tile::exp2_nonpositive(before - origin);
      s.maximum[row]      = after;
      s.sum[row]          = s.sum[row] * rescale + lane[0];

      // Accumulate, 64 columns in registers at a time; a key of weight 0 is not read: it may be masked and hold anything.
      constexpr int columns = min(dim, 64) == 64 && dim % 64 == 0 ? 64 : dim % 32 == 0 ? 32 : dim % 16 == 0 ? 16 : 8;
      for (int d = 0; d < dim; d += columns) {
        float sum[columns];
        for (int i = 0; i < columns; ++i) sum[i] = s.o[row][d + i] * rescale;
        for (int j = 0; j < count; ++j) {
          if (score[j] == 0) continue;
          float const* const v = s.v_row[j] + d;
          for (int i = 0; i < columns; ++i) sum[i] += score[j] * v[i];
        }
        for (int i = 0; i < columns; ++i) s.o[row][d + i] = sum[i];
      }
    }
  }

  // Store.
  for (int row = 0; row < t.rows; ++row) {
    index_t const at    = t.query_start + token(row);
    float const   share = s.sum[row] > 0 ? 1 / s.sum[row] : s.sum[row];
    O* const      o     = &p.o(at, head(row), 0);
    for (int d = 0; d < value_dim; ++d) o[d] = static_cast<O>(s.o[row][d] * share);
    if (p.lse.data) p.lse(at, head(row)) = tile::softmax_lse(s.maximum[row], s.sum[row]);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
