//  Scores of cached tokens after a prefill: a window of queries against all keys, and keys alone.
//
//  Axes: tokens, queries, heads, kv_heads, head_dim. Bytes: keys once in, scores once out; operations of snap_kv:
//  products of queries and keys.
#include <tenon/kv/attention_scores.hpp>
#include <tenon/kv/key_scores.hpp>

#include <benchmark/benchmark.h>

#include <memory>
#include <numeric>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

constexpr index_t page_size = 16;

struct operands {
  index_t                       kv_heads;
  test::tensor<bf16, 4>         k;
  test::tensor<bf16, 3>         q;
  test::tensor<float, 3>        scores;
  test::tensor<float, 2>        lse;
  test::tensor<std::int32_t, 2> table;
  test::tensor<std::int32_t, 1> length, start;

  operands(index_t tokens, index_t queries, index_t heads, index_t of_kv_heads, index_t head_dim)
      : kv_heads(of_kv_heads),
        k(tokens / page_size, page_size, kv_heads, head_dim),
        q(queries, heads, head_dim),
        scores(1, kv_heads, tokens),
        lse(queries, heads),
        table(1, tokens / page_size),
        length(1),
        start(2) {
    std::vector<std::int32_t> pages(static_cast<std::size_t>(tokens / page_size));
    std::iota(pages.begin(), pages.end(), 0);
    k.random(1), q.random(2), lse.fill(10), table.assign(pages);
    length.assign({static_cast<std::int32_t>(tokens)}), start.assign({0, static_cast<std::int32_t>(queries)});
  }
  tenon::kv_sequences sequences() { return tenon::one_table_for_all_heads(table.view(), length.view(), kv_heads); }
};

std::unique_ptr<operands> make(benchmark::State& state) {
  return std::make_unique<operands>(state.range(0), state.range(1), state.range(2), state.range(3), state.range(4));
}
index_t bytes(benchmark::State& state) { return state.range(0) * state.range(3) * (2 * state.range(4) + 4); }

void snap_kv(benchmark::State& state) {
  index_t const products = state.range(0) * state.range(1) * state.range(2) * state.range(4);
  bench::measure(
      state, {.bytes = bytes(state), .operations = 2 * products}, [&] { return make(state); },
      [](tenon::context const& where, operands& x) {
        return tenon::attention_scores(where, x.scores.view(), x.q.view(), x.k.view(), x.sequences(), x.start.view(),
                                       tenon::snap_kv{}, {.lse = x.lse.view()});
      });
}
void key_diff(benchmark::State& state) {
  bench::measure(
      state, {.bytes = bytes(state)}, [&] { return make(state); },
      [](tenon::context const& where, operands& x) {
        return tenon::key_scores(where, x.scores.view(), x.k.view(), x.sequences(), tenon::key_diff{});
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "queries", "heads", "kv_heads", "head_dim"})
      ->Args({4096, 32, 32, 8, 128})
      ->Args({32768, 64, 32, 8, 128})
      ->Apply(bench::timed);
}
BENCHMARK(snap_kv)->Apply(shapes);
BENCHMARK(key_diff)->Apply(shapes);

}  // namespace
