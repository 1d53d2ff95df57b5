#pragma once
//  A ragged batch over a paged cache, made to catch what an attention operator must not do: every place of the cache that
//  no token owns holds NaN, every entry of the block table behind a request's last page points far outside the cache.
//
//  A token's key and value depend on (request, position) alone, so batches that differ in page size, order of pages or
//  neighbours hold the same sequences.
#include <tenon/attention/paged_attention.hpp>
#include <tenon/attention/paged_attention_ref.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "../support/tensor.hpp"

namespace test {

struct request {
  int queries, keys;
  int identity = -1;  // what its contents are made from; -1: its place in the batch
};

struct batch_shape {
  int           heads = 2, kv_heads = 1, head_dim = 64, value_dim = 64, page_size = 16;
  std::uint64_t page_seed = 1;    // of the order of pages
  float         deviation = 1.f;  // of q
};

template <class T>
struct ragged_batch {
  batch_shape          shape;
  std::vector<request> requests;
  int                  tokens = 0, pages = 0, max_pages = 0;

  std::vector<T>            q_values, k_values, v_values;
  std::vector<std::int32_t> table, starts, lengths;

  std::unique_ptr<tensor<T, 3>>            q;
  std::unique_ptr<tensor<T, 4>>            k, v;
  std::unique_ptr<tensor<std::int32_t, 2>> block_table;
  std::unique_ptr<tensor<std::int32_t, 1>> query_start, kv_length;

  ragged_batch(batch_shape const& s, std::vector<request> const& r) : shape(s), requests(r) {
    starts.push_back(0);
    max_pages = 1;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].identity < 0) requests[i].identity = static_cast<int>(i);
      starts.push_back(starts.back() + requests[i].queries);
      lengths.push_back(requests[i].keys);
      max_pages = std::max(max_pages, tenon::ceil_div(requests[i].keys, shape.page_size) + 1);
      pages += tenon::ceil_div(requests[i].keys, shape.page_size);
    }
    tokens = starts.back();
    pages += 2;  // two that nobody owns
    place();
    upload();
  }

  auto cache() { return tenon::paged_kv{k->view(), v->view()}; }

  template <class O, class Mask = tenon::causal, class Logits = tenon::scaled_logits>
  tenon::status run(tenon::context const& where, tensor<O, 3>& o, tenon::paged_attention_options options = {},
                    tenon::attention_variant<Mask, Logits> variant = {}, tensor<float, 2>* lse = nullptr) {
    return tenon::paged_attention(where, o.view(), q->view(), cache(), block_table->view(), query_start->view(),
                                  kv_length->view(), options, variant,
                                  lse ? lse->view() : tenon::tensor_view<float, 2>{});
  }

  struct expectation {
    std::vector<float>  o;
    std::vector<double> lse;
  };
  template <class Mask = tenon::causal, class Logits = tenon::scaled_logits>
  expectation expect(double scale = 0, tenon::attention_variant<Mask, Logits> variant = {}) {
    expectation e;
    e.o.assign(static_cast<std::size_t>(tokens * shape.heads * shape.value_dim), 0.f);
    e.lse.assign(static_cast<std::size_t>(tokens * shape.heads), 0);
    int const requests_count = static_cast<int>(requests.size());
    tenon::ref::paged_attention(
        over(e.o, tokens, shape.heads, shape.value_dim), over(e.lse, tokens, shape.heads),
        over(q_values, tokens, shape.heads, shape.head_dim),
        tenon::paged_kv{over(k_values, pages, shape.page_size, shape.kv_heads, shape.head_dim),
                        over(v_values, pages, shape.page_size, shape.kv_heads, shape.value_dim)},
        over(table, requests_count, max_pages), over(starts, requests_count + 1), over(lengths, requests_count),
        scale > 0 ? scale : 1 / std::sqrt(double(shape.head_dim)), variant);
    return e;
  }

  /// The elements of one token's key (or value) in the cache.
  T* key(int request, int position, int kv_head) { return at(k_values, shape.head_dim, request, position, kv_head); }
  T* value(int request, int position, int kv_head) { return at(v_values, shape.value_dim, request, position, kv_head); }

  /// After a change of the vectors.
  void upload() {
    auto const count = static_cast<int>(requests.size());
    q                = std::make_unique<tensor<T, 3>>(tokens, shape.heads, shape.head_dim);
    k                = std::make_unique<tensor<T, 4>>(pages, shape.page_size, shape.kv_heads, shape.head_dim);
    v                = std::make_unique<tensor<T, 4>>(pages, shape.page_size, shape.kv_heads, shape.value_dim);
    block_table      = std::make_unique<tensor<std::int32_t, 2>>(count, max_pages);
    query_start      = std::make_unique<tensor<std::int32_t, 1>>(count + 1);
    kv_length        = std::make_unique<tensor<std::int32_t, 1>>(count);
    q->assign(q_values), k->assign(k_values), v->assign(v_values);
    block_table->assign(table), query_start->assign(starts), kv_length->assign(lengths);
  }

 private:
  T* at(std::vector<T>& values, int width, int request, int position, int kv_head) {
    int const page = table[static_cast<std::size_t>(request * max_pages + position / shape.page_size)];
    return &values[static_cast<std::size_t>(
        ((page * shape.page_size + position % shape.page_size) * shape.kv_heads + kv_head) * width)];
  }

  void place() {
    T const nan(std::numeric_limits<float>::quiet_NaN());
    k_values.assign(static_cast<std::size_t>(pages * shape.page_size * shape.kv_heads * shape.head_dim), nan);
    v_values.assign(static_cast<std::size_t>(pages * shape.page_size * shape.kv_heads * shape.value_dim), nan);
    std::vector<std::int32_t> order(static_cast<std::size_t>(pages));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(shape.page_seed));

    std::int32_t const poison[] = {-1, std::numeric_limits<std::int32_t>::min(), 1 << 30, pages};
    for (std::size_t i = 0; i < requests.size() * static_cast<std::size_t>(max_pages); ++i)
      table.push_back(poison[i % 4]);
    std::size_t given = 0;
    for (std::size_t r = 0; r < requests.size(); ++r)
      for (int page = 0; page * shape.page_size < requests[r].keys; ++page)
        table[r * static_cast<std::size_t>(max_pages) + static_cast<std::size_t>(page)] = order[given++];

    std::normal_distribution<float> normal;
    for (std::size_t r = 0; r < requests.size(); ++r) {
      auto const identity = static_cast<std::uint64_t>(requests[r].identity);
      for (int position = 0; position < requests[r].keys; ++position) {
        std::mt19937_64 engine(1000003 * identity + static_cast<std::uint64_t>(position) + 17);
        for (int h = 0; h < shape.kv_heads; ++h) {
          for (int d = 0; d < shape.head_dim; ++d) key(static_cast<int>(r), position, h)[d] = T(normal(engine));
          for (int d = 0; d < shape.value_dim; ++d) value(static_cast<int>(r), position, h)[d] = T(normal(engine));
        }
      }
      for (int i = 0; i < requests[r].queries; ++i) {
        int const       position = requests[r].keys - requests[r].queries + i;
        std::mt19937_64 engine(7000003 * identity + static_cast<std::uint64_t>(position + 100000));
        for (int n = 0; n < shape.heads * shape.head_dim; ++n) q_values.push_back(T(shape.deviation * normal(engine)));
      }
    }
  }
};

/// The rows of tokens first..first+count-1 of o (tokens, heads, value_dim).
template <class T>
std::vector<T> token_rows(std::vector<T> const& o, int row, int first, int count) {
  return {o.begin() + first * row, o.begin() + (first + count) * row};
}

}  // namespace test
