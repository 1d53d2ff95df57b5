//  Rows of activations in front of an eight-bit GEMM: one token, a batch of decodes, a prefill; hidden sizes and an MLP's.
//
//  Axes: tokens, hidden, group (0: whole rows). Bytes: the operands once in, codes and scales once out.
#include <tenon/quant/quantize_rows.hpp>
#include <tenon/quant/swiglu_quantize.hpp>

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
  test::tensor<bf16, 2>  x;
  operands(index_t tokens, index_t hidden, int group, index_t columns)
      : codes(tokens, hidden), scales(tokens, tenon::row_scales(hidden, group)), x(tokens, columns) {
    x.random(1);
  }
  index_t bytes() { return bench::bytes(codes.view()) + bench::bytes(scales.view()) + bench::bytes(x.view()); }
};

template <class Code>
void quantize_rows(benchmark::State& state) {
  auto const tokens = state.range(0), hidden = state.range(1);
  int const  group = static_cast<int>(state.range(2));
  bench::measure(
      state, {.bytes = operands<Code>(tokens, hidden, group, hidden).bytes()},
      [&] { return std::make_unique<operands<Code>>(tokens, hidden, group, hidden); },
      [group](tenon::context const& where, operands<Code>& o) {
        return tenon::quantize_rows(where, o.codes.view(), o.scales.view(), o.x.view(), {.group = group});
      });
}

/// Gate and up interleaved, as a GEMM leaves them.
template <class Code>
void swiglu_quantize(benchmark::State& state) {
  auto const tokens = state.range(0), hidden = state.range(1);
  int const  group = static_cast<int>(state.range(2));
  bench::measure(
      state, {.bytes = operands<Code>(tokens, hidden, group, 2 * hidden).bytes()},
      [&] { return std::make_unique<operands<Code>>(tokens, hidden, group, 2 * hidden); },
      [group](tenon::context const& where, operands<Code>& o) {
        return tenon::swiglu_quantize(where, o.codes.view(), o.scales.view(), o.x.view(), {.group = group});
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "hidden", "group"})
      ->ArgsProduct({{1, 32, 1024}, {192, 4096, 14336}, {0, 128}})
      ->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(quantize_rows, std::int8_t)->Apply(shapes);
BENCHMARK_TEMPLATE(quantize_rows, e4m3)->Apply(shapes);
BENCHMARK_TEMPLATE(swiglu_quantize, std::int8_t)->Apply(shapes);

}  // namespace
