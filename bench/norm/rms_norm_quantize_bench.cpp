//  A decoder's norms whose rows leave as eight-bit codes; rms_norm_bench.cpp has the norm alone over the same shapes.
//
//  Axes: tokens, hidden. Bytes: x (and residual, both ways) once, weight, codes and scales once.
#include <tenon/norm/rms_norm_quantize.hpp>

#include <benchmark/benchmark.h>

#include <memory>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::e4m3, tenon::index_t;

template <class Code>
struct operands {
  test::tensor<Code, 2>  codes;
  test::tensor<float, 2> scales;
  test::tensor<bf16, 2>  x, residual;
  test::tensor<bf16, 1>  weight;
  operands(index_t tokens, index_t hidden)
      : codes(tokens, hidden), scales(tokens, 1), x(tokens, hidden), residual(tokens, hidden), weight(hidden) {
    x.random(1), weight.random(2), residual.random(3);
  }
};

template <class Code>
void rms_norm_quantize(benchmark::State& state) {
  auto const tokens = state.range(0), hidden = state.range(1);
  bench::measure(
      state, {.bytes = tokens * (3 * hidden + 4) + 2 * hidden},
      [&] { return std::make_unique<operands<Code>>(tokens, hidden); },
      [](tenon::context const& where, operands<Code>& o) {
        return tenon::rms_norm_quantize(where, o.codes.view(), o.scales.view(), o.x.view(), o.weight.view());
      });
}

template <class Code>
void add_rms_norm_quantize(benchmark::State& state) {
  auto const tokens = state.range(0), hidden = state.range(1);
  bench::measure(
      state, {.bytes = tokens * (7 * hidden + 4) + 2 * hidden},
      [&] { return std::make_unique<operands<Code>>(tokens, hidden); },
      [](tenon::context const& where, operands<Code>& o) {
        return tenon::add_rms_norm_quantize(where, o.codes.view(), o.scales.view(), o.residual.view(), o.x.view(),
                                            o.weight.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "hidden"})->ArgsProduct({{1, 32, 1024}, {192, 4096, 8192}})->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(rms_norm_quantize, std::int8_t)->Apply(shapes);
BENCHMARK_TEMPLATE(rms_norm_quantize, e4m3)->Apply(shapes);
BENCHMARK_TEMPLATE(add_rms_norm_quantize, std::int8_t)->Apply(shapes);

}  // namespace
