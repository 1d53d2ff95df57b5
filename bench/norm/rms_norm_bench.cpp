//  Rows of a decoder's norms: one token, a batch of decodes, a prefill.
//
//  Axes: tokens, hidden. Bytes: x once in, y once out, weight once.
#include <tenon/norm/rms_norm.hpp>

#include <benchmark/benchmark.h>

#include <memory>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

template <class T>
struct operands {
  test::tensor<T, 2> y, x;
  test::tensor<T, 1> weight;
  operands(index_t tokens, index_t hidden) : y(tokens, hidden), x(tokens, hidden), weight(hidden) {
    x.random(1), weight.random(2);
  }
};

template <class T>
void rms_norm(benchmark::State& state) {
  auto const tokens = state.range(0), hidden = state.range(1);
  bench::measure(
      state, {.bytes = static_cast<index_t>(sizeof(T)) * (2 * tokens + 1) * hidden},
      [&] { return std::make_unique<operands<T>>(tokens, hidden); },
      [](tenon::context const& where, operands<T>& o) {
        return tenon::rms_norm(where, o.y.view(), o.x.view(), o.weight.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "hidden"})->ArgsProduct({{1, 32, 1024}, {192, 4096, 8192}})->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(rms_norm, float)->Apply(shapes);
BENCHMARK_TEMPLATE(rms_norm, bf16)->Apply(shapes);

}  // namespace
