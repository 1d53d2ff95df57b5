//  Columns of activations in another order: one token, a batch of decodes, a prefill.
//
//  Axes: m, k. Bytes: x and the order in, y out.
#include <tenon/quant/permute_columns.hpp>

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

template <class T>
struct operands {
  test::tensor<T, 2>            x, y;
  test::tensor<std::int32_t, 1> order;
  operands(index_t m, index_t k) : x(m, k), y(m, k), order(k) {
    x.fill(T(1.0f));
    std::vector<std::int32_t> indices;
    for (index_t j = 0; j < k; ++j) indices.push_back(static_cast<std::int32_t>(j * 2503 % k));  // 2503 is prime
    order.assign(indices);
  }
};

template <class T>
void permute_columns(benchmark::State& state) {
  auto const m = state.range(0), k = state.range(1);
  bench::measure(
      state, {.bytes = 2 * static_cast<index_t>(sizeof(T)) * m * k + 4 * k},
      [&] { return std::make_shared<operands<T>>(m, k); },
      [](tenon::context const& where, operands<T>& o) {
        return tenon::permute_columns(where, o.y.view(), o.x.view(), o.order.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "k"})->ArgsProduct({{1, 32, 512}, {4096, 14336}})->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(permute_columns, float)->Apply(shapes);
BENCHMARK_TEMPLATE(permute_columns, bf16)->Apply(shapes);

}  // namespace
