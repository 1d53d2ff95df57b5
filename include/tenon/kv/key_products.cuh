#pragma once
//  dot[r,n] = row r . key n, for some rows that a block shares and the keys that each of its threads has, slices of
//  columns at a time: rows lie in shared memory, keys in registers, as fp32.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/kv_row.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/attention_scores_policy.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

/// A slice of the rows.
template <class Policy>
struct key_products_storage {
  float row[Policy::value.rows][Policy::value.columns];
};

/// The keys of this thread: first + n * threads + thread for n < own, where they exist.
template <class Policy, class Pages>
struct own_keys {
  static constexpr int threads = Policy::value.threads_per_block, own = Policy::value.own;

  Pages const& pages;
  int          head, length, first = 0;
  int          page[own] = {}, place[own] = {};

  __device__ own_keys(Pages const& of, int kv_head, int tokens) : pages(of), head(kv_head), length(tokens) {}

  __device__ int  key(int n) const { return first + n * threads + static_cast<int>(threadIdx.x); }
  __device__ bool exists(int n) const { return key(n) >= 0 && key(n) < length; }

  /// Moves to the keys from `from` on, which may be below 0.
  __device__ void find(kv_sequences const& sequences, int request, int from) {
    int const page_size = static_cast<int>(kv_places(pages).extent[1]);
    first               = from;
    TENON_UNROLL_DEVICE
    for (int n = 0; n < own; ++n)
      if (exists(n)) {
        page[n]  = sequences.block_table(request, head, key(n) / page_size);
        place[n] = key(n) % page_size;
      }
  }
};

/// value(r, d) is column d of row r. Collective over the block; the storage may be used again at once.
template <class Policy, class Pages, class Value>
__device__ inline void key_products(float (&dot)[Policy::value.rows][Policy::value.own],
                                    key_products_storage<Policy>& shared, own_keys<Policy, Pages> const& keys,
                                    int width, Value const& value) {
  constexpr int threads = Policy::value.threads_per_block, own = Policy::value.own, rows = Policy::value.rows;
  constexpr int columns = Policy::value.columns, vector = Policy::value.vector;
  TENON_UNROLL_DEVICE
  for (int r = 0; r < rows; ++r)
    for (int n = 0; n < own; ++n) dot[r][n] = 0;

  for (int begin = 0; begin < width; begin += columns) {
    // Load: the rows' slice to shared memory, the own keys' to registers.
    for (int i = static_cast<int>(threadIdx.x); i < rows * columns; i += threads) {
      int const d                          = begin + i % columns;
      shared.row[i / columns][i % columns] = d < width ? value(i / columns, d) : 0.f;
    }
    float k[columns][own];
    for (int n = 0; n < own; ++n) {
      bool const there = keys.exists(n);
      TENON_UNROLL_DEVICE
      for (int d = 0; d < columns; d += vector) {
        float piece[vector] = {};
        if (there && begin + d < width)
          kv_row{keys.pages, keys.page[n], keys.place[n], keys.head}.template get<vector>(piece, begin + d);
        TENON_UNROLL_DEVICE
        for (int i = 0; i < vector; ++i) k[d + i][n] = piece[i];
      }
    }
    arch::sync_block();

    // Multiply: the sums of a few keys stay in registers along the columns.
    constexpr int few = min(own, 16);
    TENON_UNROLL_DEVICE
    for (int r = 0; r < rows; ++r)
      for (int first = 0; first < own; first += few) {
        float sum[few];
        for (int n = 0; n < few; ++n) sum[n] = dot[r][first + n];
        TENON_UNROLL_DEVICE
        for (int d = 0; d < columns; ++d)
          for (int n = 0; n < few; ++n) sum[n] += shared.row[r][d] * k[d][first + n];
        for (int n = 0; n < few; ++n) dot[r][first + n] = sum[n];
      }
    arch::sync_block();  // the slice has been read
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
