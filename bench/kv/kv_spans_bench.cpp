//  Dropped tokens, summarised once and judged at each step.
//
//  Axes: tokens, tokens of a span, kv_heads, head_dim. Bytes: keys once in, or summaries once in.
#include <tenon/kv/span_mass.hpp>
#include <tenon/kv/span_summary.hpp>

#include <benchmark/benchmark.h>

#include <memory>
#include <numeric>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

constexpr index_t page_size = 16, group = 4;

struct operands {
  index_t                       spans, kv_heads;
  test::tensor<bf16, 4>         k;
  test::tensor<bf16, 3>         q;
  test::tensor<float, 3>        least, most, mean;
  test::tensor<float, 2>        count, upper, guess, lse;
  test::tensor<std::int32_t, 2> table, list;
  test::tensor<std::int32_t, 1> length, start;

  operands(index_t tokens, index_t of_span, index_t of_kv_heads, index_t head_dim)
      : spans(tokens / of_span),
        kv_heads(of_kv_heads),
        k(tokens / page_size, page_size, kv_heads, head_dim),
        q(1, kv_heads * group, head_dim),
        least(spans, kv_heads, head_dim),
        most(spans, kv_heads, head_dim),
        mean(spans, kv_heads, head_dim),
        count(spans, kv_heads),
        upper(spans, kv_heads),
        guess(spans, kv_heads),
        lse(1, kv_heads * group),
        table(1, tokens / page_size),
        list(spans, 3),
        length(1),
        start(2) {
    std::vector<std::int32_t> pages(static_cast<std::size_t>(tokens / page_size)), runs;
    std::iota(pages.begin(), pages.end(), 0);
    for (index_t s = 0; s < spans; ++s)
      runs.insert(runs.end(), {0, static_cast<std::int32_t>(s * of_span), static_cast<std::int32_t>(of_span)});
    k.random(1), q.random(2), lse.fill(10), table.assign(pages), list.assign(runs);
    least.fill(-1), most.fill(1), mean.fill(0), count.fill(static_cast<float>(of_span));
    length.assign({static_cast<std::int32_t>(tokens)}), start.assign({0, 1});
  }
  tenon::kv_sequences    sequences() { return tenon::one_table_for_all_heads(table.view(), length.view(), kv_heads); }
  tenon::kv_span_summary summary() { return {least.view(), most.view(), mean.view(), count.view()}; }
};

std::unique_ptr<operands> make(benchmark::State& state) {
  return std::make_unique<operands>(state.range(0), state.range(1), state.range(2), state.range(3));
}

void span_summary(benchmark::State& state) {
  bench::measure(
      state, {.bytes = state.range(0) * state.range(2) * state.range(3) * 2}, [&] { return make(state); },
      [](tenon::context const& where, operands& x) {
        return tenon::span_summary(where, x.summary(), x.k.view(), x.sequences(), x.list.view());
      });
}
void span_mass(benchmark::State& state) {
  bench::measure(
      state, {.bytes = state.range(0) / state.range(1) * state.range(2) * (3 * state.range(3) + 3) * 4},
      [&] { return make(state); },
      [](tenon::context const& where, operands& x) {
        return tenon::span_mass(where, x.upper.view(), x.guess.view(), x.summary(), x.list.view(), x.q.view(),
                                x.lse.view(), x.start.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "span", "kv_heads", "head_dim"})
      ->Args({4096, 64, 8, 128})
      ->Args({32768, 16, 8, 128})
      ->Apply(bench::timed);
}
BENCHMARK(span_summary)->Apply(shapes);
BENCHMARK(span_mass)->Apply(shapes);

}  // namespace
