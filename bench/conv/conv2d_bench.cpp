//  Convolutions of residual networks: the stem, 3 x 3 layers early and late, one in groups, one pointwise.
//
//  Axes: batch, and the layer's height = width, in_channels, out_channels, kernel, stride, groups; padding (kernel - 1) / 2.
//  Operations: two per product. Bytes: x, w and y once.
#include <tenon/conv/conv2d.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

template <class D, class T>
struct operands {
  test::tensor<T, 4> x, w;
  test::tensor<D, 4> y;
  operands(index_t batch, index_t size, index_t in, index_t out, index_t kernel, index_t groups, index_t out_size)
      : x(batch, size, size, in), w(out, kernel, kernel, in / groups), y(batch, out_size, out_size, out) {
    x.fill(T(1)), w.fill(T(1));
  }
};

template <class D, class T>
void conv2d(benchmark::State& state) {
  index_t const batch = state.range(0), size = state.range(1), in = state.range(2), out = state.range(3);
  index_t const kernel = state.range(4), stride = state.range(5), groups = state.range(6), padding = (kernel - 1) / 2;
  index_t const out_size = tenon::conv2d_extent(size, kernel, stride, padding, 1);
  index_t const pixels   = batch * out_size * out_size;

  tenon::conv2d_options const options{.stride = {stride, stride}, .padding = {padding, padding}, .groups = groups};
  index_t const               bytes = static_cast<index_t>(sizeof(T)) * (batch * size * size * in) +
                        static_cast<index_t>(sizeof(T)) * (out * kernel * kernel * in / groups) +
                        static_cast<index_t>(sizeof(D)) * pixels * out;
  bench::measure(
      state, {.bytes = bytes, .operations = 2 * pixels * out * kernel * kernel * in / groups},
      [&] { return std::make_unique<operands<D, T>>(batch, size, in, out, kernel, groups, out_size); },
      [&](tenon::context const& where, operands<D, T>& o) {
        return tenon::conv2d(where, o.y.view(), o.x.view(), o.w.view(), options);
      });
}

void layers(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "size", "in", "out", "kernel", "stride", "groups"});
  for (index_t const batch : {1, 8}) {
    b->Args({batch, 224, 3, 64, 7, 2, 1});
    b->Args({batch, 56, 64, 64, 3, 1, 1});
    b->Args({batch, 14, 256, 256, 3, 1, 1});
    b->Args({batch, 14, 1024, 256, 1, 1, 1});
    b->Args({batch, 28, 256, 256, 3, 1, 32});
  }
  b->Apply(bench::timed);
}
BENCHMARK_TEMPLATE(conv2d, float, float)->Apply(layers);
BENCHMARK_TEMPLATE(conv2d, bf16, bf16)->Apply(layers);
BENCHMARK_TEMPLATE(conv2d, float, std::int8_t)->Apply(layers);

}  // namespace
