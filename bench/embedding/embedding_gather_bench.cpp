//  Rows of an embedding table: one token, a batch of decodes, a prefill.
//
//  Axes: tokens, hidden. Bytes: a table row in and a row out per token.
#include <tenon/embedding/embedding_gather.hpp>

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

constexpr index_t vocabulary = 8192;

template <class Y, class T>
struct operands {
  test::tensor<T, 2>            table;
  test::tensor<Y, 2>            y;
  test::tensor<std::int32_t, 1> ids;
  operands(index_t tokens, index_t hidden) : table(vocabulary, hidden), y(tokens, hidden), ids(tokens) {
    table.fill(T(1.0f));
    std::vector<std::int32_t> chosen;
    for (index_t t = 0; t < tokens; ++t) chosen.push_back(static_cast<std::int32_t>(t * 2503 % vocabulary));
    ids.assign(chosen);
  }
};

template <class Y, class T>
void embedding_gather(benchmark::State& state) {
  auto const tokens = state.range(0), hidden = state.range(1);
  auto const per_element = static_cast<index_t>(sizeof(T) + sizeof(Y));
  // One table for all calls: the rows that the calls take are spread over it.
  auto const shared = std::make_shared<operands<Y, T>>(tokens, hidden);
  bench::measure(
      state, {.bytes = per_element * tokens * hidden}, [&] { return shared; },
      [](tenon::context const& where, operands<Y, T>& o) {
        return tenon::embedding_gather(where, o.y.view(), o.table.view(), o.ids.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "hidden"})->ArgsProduct({{1, 32, 1024}, {192, 4096}})->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(embedding_gather, float, float)->Apply(shapes);
BENCHMARK_TEMPLATE(embedding_gather, bf16, bf16)->Apply(shapes);
BENCHMARK_TEMPLATE(embedding_gather, float, bf16)->Apply(shapes);

}  // namespace
