//  Rotation of the queries and keys of one layer: one token, a batch of decodes, a prefill.
//
//  Axes: tokens, heads, kv_heads, head_dim. Bytes: q and k once in and out, a table row per token.
#include <tenon/position/rope.hpp>
#include <tenon/position/rope_table.hpp>

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

constexpr index_t length = 4096;  // positions of the table

template <class T>
struct operands {
  test::tensor<T, 3>            q, k;
  test::tensor<std::int32_t, 1> positions;
  test::tensor<float, 2>        cos_sin;
  operands(index_t tokens, index_t heads, index_t kv_heads, index_t head_dim)
      : q(tokens, heads, head_dim), k(tokens, kv_heads, head_dim), positions(tokens), cos_sin(length, head_dim) {
    q.random(1), k.random(2);
    std::vector<std::int32_t> at;
    for (index_t t = 0; t < tokens; ++t) at.push_back(static_cast<std::int32_t>(t * 37 % length));
    positions.assign(at);
    static std::vector<float> table;
    if (table.size() != cos_sin.size()) {
      table.resize(cos_sin.size());
      (void)tenon::fill_rope_table(test::over(table, length, head_dim), 10000).ok();
    }
    cos_sin.assign(table);
  }
};

template <class T, tenon::rope_style Style>
void rope(benchmark::State& state) {
  auto const tokens = state.range(0), heads = state.range(1), kv_heads = state.range(2), head_dim = state.range(3);
  bench::measure(
      state,
      {.bytes = 2 * static_cast<index_t>(sizeof(T)) * tokens * (heads + kv_heads) * head_dim + 4 * tokens * head_dim},
      [&] { return std::make_unique<operands<T>>(tokens, heads, kv_heads, head_dim); },
      [](tenon::context const& where, operands<T>& o) {
        return tenon::rope(where, o.q.view(), o.k.view(), o.positions.view(), o.cos_sin.view(), {.style = Style});
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "heads", "kv_heads", "head_dim"})
      ->Args({1, 3, 1, 64})
      ->Args({1, 32, 8, 128})
      ->Args({32, 32, 8, 128})
      ->Args({1024, 32, 8, 128})
      ->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(rope, float, tenon::rope_style::half_split)->Apply(shapes);
BENCHMARK_TEMPLATE(rope, bf16, tenon::rope_style::half_split)->Apply(shapes);
BENCHMARK_TEMPLATE(rope, bf16, tenon::rope_style::interleaved)->Apply(shapes);

}  // namespace
