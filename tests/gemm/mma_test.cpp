#include <tenon/arch/arch.cuh>
#include <tenon/tile/copy.cuh>
#include <tenon/tile/mma.cuh>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::f16, tenon::index_t;
namespace tile = tenon::tile;
namespace arch = tenon::arch;

// One warp: C = A B^T from the tiles' four loads, and D = C B2 with C turned into an A fragment in registers, as attention
// does. rows x depth of A and columns x depth of B exist, the rest of the tiles is zeros.
template <class T, int Depth>
struct products_params {
  tenon::tensor_view<T const, 2> a;  // (rows <= 16, depth <= Depth)
  tenon::tensor_view<T const, 2> b;  // (columns <= 32, depth)
  tenon::tensor_view<float, 2>   c;  // (16, 32): A B^T
  tenon::tensor_view<float, 2>   d;  // (16, Depth): T(C) B
  bool                           by_elements;
};

template <class T, int Depth>
struct products_storage {
  tile::shared_tile<T, 16, Depth> a;
  tile::shared_tile<T, 32, Depth> b;
};

template <class T, int Depth>
__global__ void products(__grid_constant__ products_params<T, Depth> const p) {
  auto&     shared = arch::shared<products_storage<T, Depth>>();
  int const thread = arch::lane();
  if (p.by_elements) {
    tile::copy_elements<32>(shared.a, p.a, 0, 0, thread);
    tile::copy_elements<32>(shared.b, p.b, 0, 0, thread);
  } else {
    tile::copy_async<32>(shared.a, p.a, 0, 0, thread);
    tile::copy_async<32>(shared.b, p.b, 0, 0, thread);
  }
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  arch::sync_block();

  tile::accumulator c[4];
  for (int s = 0; s < Depth / 16; ++s) {
    auto const a = tile::load_a(shared.a, 0, s);
    for (int j = 0; j < 2; ++j) {
      tile::fragment_b b[2], one;
      tile::load_b(b, shared.b, 16 * j, s);
      tile::load_b(one, shared.b, 16 * j + 8, s);  // the single form of the second
      tile::mma<T>(c[2 * j], a, b[0]);
      tile::mma<T>(c[2 * j + 1], a, j == 0 ? b[1] : one);
    }
  }
  for (int j = 0; j < 4; ++j)
    for (int v = 0; v < 4; ++v)
      p.c(tile::accumulator_row(arch::lane(), v), 8 * j + tile::accumulator_column(arch::lane(), v)) = c[j].v[v];

  for (int block = 0; block < Depth / 16; ++block) {
    tile::accumulator d[2];
    for (int s = 0; s < 2; ++s) {
      auto const       a = tile::as_fragment_a<T>(c[2 * s], c[2 * s + 1]);
      tile::fragment_b b[2], one;
      tile::load_b_transposed(b, shared.b, 16 * s, block);
      tile::load_b_transposed(one, shared.b, 16 * s, 2 * block + 1);
      tile::mma<T>(d[0], a, b[0]);
      tile::mma<T>(d[1], a, s == 0 ? b[1] : one);
    }
    for (int h = 0; h < 2; ++h)
      for (int v = 0; v < 4; ++v)
        p.d(tile::accumulator_row(arch::lane(), v), 16 * block + 8 * h + tile::accumulator_column(arch::lane(), v)) =
            d[h].v[v];
  }
}

// Small integers, so every product and sum is exact.
template <class T, int Depth>
void check(index_t rows, index_t columns, index_t depth) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(depth));
  test::tensor<T, 2> a(16, Depth), b(32, Depth);
  std::vector<T>     as(16 * Depth, T(std::nanf(""))), bs(32 * Depth, T(std::nanf("")));  // beside the extents: NaN
  for (index_t i = 0; i < rows; ++i)
    for (index_t k = 0; k < depth; ++k)
      as[static_cast<std::size_t>(i * Depth + k)] = T(static_cast<float>((i * 5 + k * 3) % 3) - 1.f);
  for (index_t j = 0; j < columns; ++j)
    for (index_t k = 0; k < depth; ++k)
      bs[static_cast<std::size_t>(j * Depth + k)] = T(static_cast<float>((j * 7 + k) % 5) - 2.f);
  a.assign(as), b.assign(bs);
  std::vector<float> c(16 * 32, 0.f), d(16 * Depth, 0.f);
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j)
      for (index_t k = 0; k < depth; ++k)
        c[static_cast<std::size_t>(i * 32 + j)] += static_cast<float>(as[static_cast<std::size_t>(i * Depth + k)]) *
                                                   static_cast<float>(bs[static_cast<std::size_t>(j * Depth + k)]);
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j)
      for (index_t k = 0; k < depth; ++k)
        d[static_cast<std::size_t>(i * Depth + k)] +=
            c[static_cast<std::size_t>(i * 32 + j)] * static_cast<float>(bs[static_cast<std::size_t>(j * Depth + k)]);

  test::on_every_target([&](tenon::context const& where) {
    if (where.arch == 0) return;  // its kernels have no warps
    for (bool const by_elements : {false, true}) {
      test::tensor<float, 2> got_c(16, 32), got_d(16, Depth);
      ASSERT_TRUE(arch::launch("products", where,
                               {.grid = 1, .block = 32, .shared_bytes = sizeof(products_storage<T, Depth>)},
                               products<T, Depth>,
                               products_params<T, Depth>{{a.view().data, {rows, depth}, {Depth, 1}},
                                                         {b.view().data, {columns, depth}, {Depth, 1}},
                                                         got_c.view(),
                                                         got_d.view(),
                                                         by_elements})
                      .ok());
      EXPECT_EQ(got_c.values(), c);
      EXPECT_EQ(got_d.values(), d);
    }
  });
}

TEST(mma, fragments_multiply_what_the_tiles_hold) {
  check<bf16, 64>(16, 32, 64);
  check<f16, 64>(16, 32, 64);
  check<f16, 80>(16, 32, 80);  // ten chunks to a row
  check<f16, 32>(16, 32, 32);
}

TEST(mma, tails_are_zeros) {
  check<f16, 64>(1, 1, 1);
  check<f16, 64>(5, 17, 43);
  check<f16, 64>(16, 31, 8);
}

}  // namespace
