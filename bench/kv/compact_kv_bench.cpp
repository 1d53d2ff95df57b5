//  The tokens that are kept to the front, after a prefill was scored: every head its own list, in pages of its own.
//
//  Axes: tokens, kv_heads, head_dim, per cent kept. Bytes: kept keys and values once in and once out.
#include <tenon/kv/compact_kv.hpp>
#include <tenon/kv/kv_sequences.hpp>

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

using tenon::bf16, tenon::index_t, tenon::kv_int8;

constexpr index_t page_size = 16;

template <class E>
struct operands {
  test::kv_shape                shape;
  index_t                       heads;
  test::tensor<std::uint8_t, 1> k, v;
  test::tensor<std::int32_t, 3> table, kept;
  test::tensor<std::int32_t, 2> length;

  operands(index_t tokens, index_t kv_heads, index_t head_dim, index_t stay)
      : shape{kv_heads * ((tokens + page_size - 1) / page_size), page_size, 1, head_dim},
        heads(kv_heads),
        k(test::kv_bytes<E>(shape)),
        v(test::kv_bytes<E>(shape)),
        table(1, kv_heads, shape.pages / kv_heads),
        kept(1, kv_heads, stay),
        length(1, kv_heads) {
    std::mt19937_64           random(1);
    std::vector<std::int32_t> pages(static_cast<std::size_t>(shape.pages)), lists;
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    std::vector<std::int32_t> all(static_cast<std::size_t>(tokens));
    std::iota(all.begin(), all.end(), 0);
    for (index_t h = 0; h < kv_heads; ++h) std::sample(all.begin(), all.end(), std::back_inserter(lists), stay, random);
    k.fill(0), v.fill(0), table.assign(pages), kept.assign(lists);
    length.fill(static_cast<std::int32_t>(stay));
  }
  tenon::paged_kv<E> cache() {
    return {tenon::pages_of_one_head(test::kv_over<E>(k.view().data, shape), heads),
            tenon::pages_of_one_head(test::kv_over<E>(v.view().data, shape), heads)};
  }
};

template <class E>
void compact_kv(benchmark::State& state) {
  auto const tokens = state.range(0), kv_heads = state.range(1), head_dim = state.range(2);
  auto const stay = tokens * state.range(3) / 100;
  auto const row  = test::kv_bytes<E>({1, page_size, 1, head_dim}) / page_size;  // of keys, or of values
  bench::measure(
      state, {.bytes = 2 * 2 * stay * kv_heads * row},
      [&] { return std::make_unique<operands<E>>(tokens, kv_heads, head_dim, stay); },
      [](tenon::context const& where, operands<E>& x) {
        return tenon::compact_kv(where, x.cache(), x.table.view(), x.kept.view(), x.length.view());
      });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "kv_heads", "head_dim", "kept"})
      ->Args({4096, 8, 128, 50})
      ->Args({4096, 8, 128, 12})
      ->Args({32768, 8, 128, 25})
      ->Apply(bench::timed);
}
BENCHMARK(compact_kv<bf16>)->Apply(shapes);
BENCHMARK(compact_kv<kv_int8>)->Apply(shapes);

}  // namespace
