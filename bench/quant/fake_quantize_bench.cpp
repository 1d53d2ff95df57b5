//  A matrix to the numbers that its codes stand for: activations of a step by rows, weights in groups.
//
//  Axes: m, k, columns per scale (0: a row). Bytes: x in, y out.
#include <tenon/quant/fake_quantize.hpp>

#include <benchmark/benchmark.h>

#include <memory>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

struct operands {
  test::tensor<bf16, 2>  x, y;
  test::tensor<float, 2> scales;
  operands(index_t m, index_t k, int group) : x(m, k), y(m, k), scales(m, tenon::row_scales(k, group)) { x.random(1); }
};

template <class Rounding>
void fake_quantize(benchmark::State& state) {
  auto const m = state.range(0), k = state.range(1);
  auto const group = static_cast<int>(state.range(2));
  bench::measure(
      state, {.bytes = 4 * m * k}, [&] { return std::make_shared<operands>(m, k, group); },
      [=](tenon::context const& where, operands& o) {
        return tenon::fake_quantize(where, o.y.view(), o.scales.view(), o.x.view(), {group}, Rounding{});
      });
}

void rows(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "k", "group"})->ArgsProduct({{32, 512, 4096}, {4096}, {0}})->Apply(bench::timed);
}
void groups(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "k", "group"})->ArgsProduct({{4096}, {4096}, {32, 128}})->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(fake_quantize, tenon::row_rounding<std::int8_t>)->Apply(rows);
BENCHMARK_TEMPLATE(fake_quantize, tenon::weight_rounding<tenon::weight_code::int4>)->Apply(groups);

}  // namespace
