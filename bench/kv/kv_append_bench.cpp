//  New keys and values into scattered pages: a batch of decodes, a prompt.
//
//  Axes: tokens, kv_heads, head_dim. Bytes: k and v once in, once out.
#include <tenon/core/integer.hpp>
#include <tenon/kv/kv_append.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t;

template <class T>
struct operands {
  test::tensor<T, 3>            k, v;
  test::tensor<T, 4>            cache_k, cache_v;
  test::tensor<std::int64_t, 1> slots;

  operands(index_t tokens, index_t kv_heads, index_t head_dim)
      : k(tokens, kv_heads, head_dim),
        v(tokens, kv_heads, head_dim),
        cache_k(tenon::ceil_div(tokens, 16), 16, kv_heads, head_dim),
        cache_v(tenon::ceil_div(tokens, 16), 16, kv_heads, head_dim),
        slots(tokens) {
    k.random(1), v.random(2);
    std::vector<std::int64_t> at(slots.size());
    std::iota(at.begin(), at.end(), 0);
    std::shuffle(at.begin(), at.end(), std::mt19937_64(3));
    slots.assign(at);
  }
};

template <class T>
void kv_append(benchmark::State& state) {
  auto const tokens = state.range(0), kv_heads = state.range(1), head_dim = state.range(2);
  bench::measure(
      state, {.bytes = static_cast<index_t>(sizeof(T)) * 4 * tokens * kv_heads * head_dim},
      [&] { return std::make_unique<operands<T>>(tokens, kv_heads, head_dim); },
      [](tenon::context const& where, operands<T>& x) {
        return tenon::kv_append(where, tenon::paged_kv{x.cache_k.view(), x.cache_v.view()}, x.k.view(), x.v.view(),
                                x.slots.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "kv_heads", "head_dim"})
      ->Args({1, 1, 64})
      ->Args({1, 8, 128})
      ->Args({64, 8, 128})
      ->Args({4096, 8, 128})
      ->Apply(bench::timed);
}
BENCHMARK(kv_append<bf16>)->Apply(shapes);
BENCHMARK(kv_append<float>)->Apply(shapes);

}  // namespace
