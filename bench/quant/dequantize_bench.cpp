//  A packed weight as a dense one, before a dense product: projections and an MLP.
//
//  Axes: n, k, int4 with groups of 128 or int8 rows. Bytes: the packed matrix in, w out.
#include <tenon/quant/dequantize.hpp>

#include <benchmark/benchmark.h>

#include <memory>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t, tenon::scale_kind, tenon::weight_code;

constexpr tenon::packed_layout layout_of(weight_code code, index_t n, index_t k) {
  tenon::packed_layout l{.code = code, .rows = n, .columns = k};
  if (code == weight_code::int4) l.scales = scale_kind::group, l.group = 128;
  return l;
}

/// Any bytes are a packed matrix; these are codes and scales of one.
struct operands {
  tenon::packed_layout       layout;
  test::tensor<std::byte, 1> packed;
  test::tensor<bf16, 2>      w;
  operands(tenon::packed_layout const& l) : layout(l), packed(l.bytes()), w(l.rows, l.columns) {
    packed.fill(std::byte{1});
  }
};

template <weight_code Code, scale_kind Scales>
void dequantize(benchmark::State& state) {
  auto const layout = layout_of(Code, state.range(0), state.range(1));
  bench::measure(
      state, {.bytes = layout.bytes() + 2 * layout.rows * layout.columns},
      [&] { return std::make_unique<operands>(layout); },
      [](tenon::context const& where, operands& o) {
        using weight = tenon::packed_weight<Code, Scales, tenon::pack_order::pairs>;
        return tenon::dequantize(where, o.w.view(), weight{o.layout, o.packed.view().data});
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "k"})->Args({4096, 4096})->Args({28672, 4096})->Args({4096, 14336})->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(dequantize, weight_code::int4, scale_kind::group)->Apply(shapes);
BENCHMARK_TEMPLATE(dequantize, weight_code::int8, scale_kind::row)->Apply(shapes);

}  // namespace
