//  The fused residual addition and norm: one token, a batch of decodes, a prefill.
//
//  Axes: tokens, hidden. Bytes: x and residual once in, residual and y once out, weight once.
#include <tenon/norm/add_rms_norm.hpp>

#include <benchmark/benchmark.h>

#include <memory>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

template <class T>
struct operands {
  test::tensor<T, 2> y, residual, x;
  test::tensor<T, 1> weight;
  operands(index_t tokens, index_t hidden)
      : y(tokens, hidden), residual(tokens, hidden), x(tokens, hidden), weight(hidden) {
    x.fill(T(0.0f)), residual.random(1), weight.random(2);  // the residual stays as it is, call after call
  }
};

template <class T>
void add_rms_norm(benchmark::State& state) {
  auto const tokens = state.range(0), hidden = state.range(1);
  bench::measure(
      state, {.bytes = static_cast<index_t>(sizeof(T)) * (4 * tokens + 1) * hidden},
      [&] { return std::make_unique<operands<T>>(tokens, hidden); },
      [](tenon::context const& where, operands<T>& o) {
        return tenon::add_rms_norm(where, o.y.view(), o.residual.view(), o.x.view(), o.weight.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "hidden"})->ArgsProduct({{1, 32, 1024}, {192, 4096, 8192}})->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(add_rms_norm, float)->Apply(shapes);
BENCHMARK_TEMPLATE(add_rms_norm, bf16)->Apply(shapes);

}  // namespace
