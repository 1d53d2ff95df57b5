//  Pages to other pages before a step: copies on write of beams or samples, and cached pages that match in part.
//
//  Axes: copies, tokens of each, kv_heads, head_dim. Bytes: numbers, or codes and scales, of keys and values once in and once
//  out.
#include <tenon/kv/copy_pages.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "../../tests/kv/kv_memory.hpp"
#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t, tenon::kv_fp8, tenon::kv_int4, tenon::kv_int8;

constexpr index_t page_size = 16;

/// A cache of E with two pages for each copy, in a scattered order.
template <class E>
struct operands {
  test::kv_shape                shape;
  test::tensor<std::uint8_t, 1> k, v;
  test::tensor<std::int32_t, 2> list;

  operands(index_t copies, index_t tokens, index_t kv_heads, index_t head_dim)
      : shape{2 * copies, page_size, kv_heads, head_dim},
        k(test::kv_bytes<E>(shape)),
        v(test::kv_bytes<E>(shape)),
        list(copies, 3) {
    std::vector<std::int32_t> pages(static_cast<std::size_t>(2 * copies)), entries;
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937_64(1));
    for (std::size_t i = 0; i < pages.size(); i += 2)
      entries.insert(entries.end(), {pages[i], pages[i + 1], static_cast<std::int32_t>(tokens)});
    k.fill(0), v.fill(0), list.assign(entries);
  }
  tenon::paged_kv<E> cache() {
    return {test::kv_over<E>(k.view().data, shape), test::kv_over<E>(v.view().data, shape)};
  }
};

template <class E>
void copy_pages(benchmark::State& state) {
  auto const copies = state.range(0), tokens = state.range(1), kv_heads = state.range(2), head_dim = state.range(3);
  auto const token = test::kv_bytes<E>({1, page_size, kv_heads, head_dim}) / page_size;  // of keys, or of values
  bench::measure(
      state, {.bytes = 2 * 2 * copies * tokens * token},
      [&] { return std::make_unique<operands<E>>(copies, tokens, kv_heads, head_dim); },
      [](tenon::context const& where, operands<E>& x) { return tenon::copy_pages(where, x.cache(), x.list.view()); });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"copies", "tokens", "kv_heads", "head_dim"})
      ->Args({1, 16, 8, 128})
      ->Args({1, 5, 8, 128})
      ->Args({64, 8, 8, 128})
      ->Args({1024, 16, 8, 128})
      ->Apply(bench::timed);
}
BENCHMARK(copy_pages<bf16>)->Apply(shapes);
BENCHMARK(copy_pages<float>)->Apply(shapes);
BENCHMARK(copy_pages<kv_fp8>)->Apply(shapes);
BENCHMARK(copy_pages<kv_int8>)->Apply(shapes);
BENCHMARK(copy_pages<kv_int4>)->Apply(shapes);

}  // namespace
