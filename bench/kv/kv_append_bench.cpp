//  New keys and values into scattered pages: a batch of decodes, a prompt; as numbers and as codes; alone, and with the
//  rotary embedding and the normalisation of heads before it in the same launch.
//
//  Axes: tokens, kv_heads, head_dim; fused: heads too. Bytes: k and v once in, numbers or codes and scales once out; fused: q
//  once in and out as well.
#include <tenon/core/integer.hpp>
#include <tenon/kv/kv_append.hpp>
#include <tenon/kv/rope_kv_append.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include "../../tests/kv/kv_memory.hpp"
#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::bf16, tenon::index_t, tenon::kv_fp8, tenon::kv_int4, tenon::kv_int8;

constexpr index_t page_size = 16;

/// New rows of T and a cache of E with a place for each, in a scattered order.
template <class E, class T>
struct operands {
  test::tensor<T, 3>            k, v;
  test::kv_shape                shape;
  test::tensor<std::uint8_t, 1> cache_k, cache_v;
  test::tensor<std::int64_t, 1> slots;

  operands(index_t tokens, index_t kv_heads, index_t head_dim)
      : k(tokens, kv_heads, head_dim),
        v(tokens, kv_heads, head_dim),
        shape{tenon::ceil_div(tokens, page_size), page_size, kv_heads, head_dim},
        cache_k(test::kv_bytes<E>(shape)),
        cache_v(test::kv_bytes<E>(shape)),
        slots(tokens) {
    k.random(1), v.random(2);
    std::vector<std::int64_t> at(slots.size());
    std::iota(at.begin(), at.end(), 0);
    std::shuffle(at.begin(), at.end(), std::mt19937_64(3));
    slots.assign(at);
  }
  tenon::paged_kv<E> cache() {
    return {test::kv_over<E>(cache_k.view().data, shape), test::kv_over<E>(cache_v.view().data, shape)};
  }
};

/// Of a token and head in the cache.
template <class E>
index_t bytes_of_row(index_t head_dim) {
  return test::kv_bytes<E>({1, page_size, 1, head_dim}) / page_size;
}

template <class E, class T>
void kv_append(benchmark::State& state) {
  auto const tokens = state.range(0), kv_heads = state.range(1), head_dim = state.range(2);
  bench::measure(
      state,
      {.bytes = 2 * tokens * kv_heads * (static_cast<index_t>(sizeof(T)) * head_dim + bytes_of_row<E>(head_dim))},
      [&] { return std::make_unique<operands<E, T>>(tokens, kv_heads, head_dim); },
      [](tenon::context const& where, operands<E, T>& x) {
        return tenon::kv_append(where, x.cache(), x.k.view(), x.v.view(), x.slots.view());
      });
}

template <class E, class T>
struct fused_operands : operands<E, T> {
  test::tensor<T, 3>            q;
  test::tensor<std::int32_t, 1> positions;
  test::tensor<float, 2>        cos_sin;
  test::tensor<float, 1>        weight;

  fused_operands(index_t tokens, index_t heads, index_t kv_heads, index_t head_dim)
      : operands<E, T>(tokens, kv_heads, head_dim),
        q(tokens, heads, head_dim),
        positions(tokens),
        cos_sin(tokens, head_dim),
        weight(head_dim) {
    q.random(4), weight.fill(1.f), cos_sin.fill(0.7f);  // about a rotation, so that q stays as large as it is
    std::vector<std::int32_t> at(positions.size());
    std::iota(at.begin(), at.end(), 0);
    positions.assign(at);
  }
};

template <class E, class T>
void rope_kv_append(benchmark::State& state) {
  auto const tokens = state.range(0), heads = state.range(1), kv_heads = state.range(2), head_dim = state.range(3);
  bool const normed = state.range(4) != 0;
  auto const row    = static_cast<index_t>(sizeof(T)) * head_dim;
  bench::measure(
      state, {.bytes = tokens * (2 * heads * row + 2 * kv_heads * (row + bytes_of_row<E>(head_dim)))},
      [&] { return std::make_unique<fused_operands<E, T>>(tokens, heads, kv_heads, head_dim); },
      [&](tenon::context const& where, fused_operands<E, T>& x) {
        auto const w = tenon::as_const(x.weight.view());
        return tenon::rope_kv_append(where, x.cache(), x.q.view(), x.k.view(), x.v.view(), x.positions.view(),
                                     x.cos_sin.view(), x.slots.view(), {},
                                     normed ? tenon::qk_norm<float>{w, w} : tenon::qk_norm<float>{});
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
BENCHMARK(kv_append<bf16, bf16>)->Apply(shapes);
BENCHMARK(kv_append<float, float>)->Apply(shapes);
BENCHMARK(kv_append<kv_fp8, bf16>)->Apply(shapes);
BENCHMARK(kv_append<kv_int8, bf16>)->Apply(shapes);
BENCHMARK(kv_append<kv_int4, bf16>)->Apply(shapes);

void fused_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "heads", "kv_heads", "head_dim", "norm"})
      ->Args({1, 32, 8, 128, 0})
      ->Args({64, 32, 8, 128, 0})
      ->Args({64, 32, 8, 128, 1})
      ->Args({4096, 32, 8, 128, 0})
      ->Apply(bench::timed);
}
BENCHMARK(rope_kv_append<bf16, bf16>)->Apply(fused_shapes);
BENCHMARK(rope_kv_append<kv_fp8, bf16>)->Apply(fused_shapes);
BENCHMARK(rope_kv_append<kv_int8, bf16>)->Apply(fused_shapes);
BENCHMARK(rope_kv_append<kv_int4, bf16>)->Apply(fused_shapes);

}  // namespace
