//  Attention of decoding batches and of whole prompts over paged caches.
//
//  Axes: requests, queries (of each), keys (of each, the queries among them), heads, kv_heads, head_dim. Pages of 16 in a
//  scattered order. Bytes: q and o once, every key and value once. Operations: 4 head_dim for every pair that the causal
//  mask keeps.
#include <tenon/attention/paged_attention.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

constexpr int page_size = 16;

struct shape {
  index_t requests, queries, keys, heads, kv_heads, head_dim;

  index_t tokens() const { return requests * queries; }
  index_t max_pages() const { return tenon::ceil_div(keys, page_size); }
};

template <class T>
struct operands {
  test::tensor<T, 3>            o, q;
  test::tensor<T, 4>            k, v;
  test::tensor<std::int32_t, 2> block_table;
  test::tensor<std::int32_t, 1> query_start, kv_length;

  explicit operands(shape const& s)
      : o(s.tokens(), s.heads, s.head_dim),
        q(s.tokens(), s.heads, s.head_dim),
        k(s.requests * s.max_pages(), page_size, s.kv_heads, s.head_dim),
        v(s.requests * s.max_pages(), page_size, s.kv_heads, s.head_dim),
        block_table(s.requests, s.max_pages()),
        query_start(s.requests + 1),
        kv_length(s.requests) {
    q.random(1), k.random(2), v.random(3);
    std::vector<std::int32_t> pages(block_table.size()), start;
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937_64(4));
    for (index_t r = 0; r <= s.requests; ++r) start.push_back(static_cast<std::int32_t>(r * s.queries));
    block_table.assign(pages), query_start.assign(start), kv_length.fill(static_cast<std::int32_t>(s.keys));
  }
};

template <class T>
void paged_attention(benchmark::State& state) {
  shape const   s{state.range(0), state.range(1), state.range(2), state.range(3), state.range(4), state.range(5)};
  index_t const seen = s.queries * s.keys - s.queries * (s.queries - 1) / 2;  // pairs of one request and head
  index_t const bytes =
      static_cast<index_t>(sizeof(T)) * s.head_dim * (2 * s.tokens() * s.heads + 2 * s.requests * s.keys * s.kv_heads);
  bench::measure(
      state, {.bytes = bytes, .operations = 4 * s.head_dim * s.heads * s.requests * seen},
      [&] { return std::make_unique<operands<T>>(s); },
      [&](tenon::context const& where, operands<T>& x) {
        return tenon::paged_attention(where, x.o.view(), x.q.view(), tenon::paged_kv{x.k.view(), x.v.view()},
                                      x.block_table.view(), x.query_start.view(), x.kv_length.view(),
                                      {.max_query_length = s.queries, .max_kv_length = s.keys});
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"requests", "queries", "keys", "heads", "kv_heads", "head_dim"})->Apply(bench::timed);
#if TENON_CUDA
  for (index_t const requests : {1, 16, 64})
    for (index_t const keys : {1024, 8192}) b->Args({requests, 1, keys, 32, 8, 128});
  for (index_t const prompt : {512, 2048, 8192}) b->Args({1, prompt, prompt, 32, 8, 128});
  b->Args({16, 1, 4096, 32, 8, 64})->Args({1, 2048, 2048, 32, 8, 64});
  b->Args({16, 1, 4096, 16, 2, 256})->Args({1, 2048, 2048, 16, 2, 256});
#else
  for (index_t const keys : {16, 256, 512}) b->Args({1, 1, keys, 8, 4, 8})->Args({1, 1, keys, 3, 1, 64});
  b->Args({8, 1, 256, 3, 1, 64})->Args({1, 256, 256, 3, 1, 64})->Args({1, 1, 2048, 32, 8, 128});
#endif
}
BENCHMARK(paged_attention<bf16>)->Apply(shapes);
BENCHMARK(paged_attention<float>)->Apply(shapes);

}  // namespace
