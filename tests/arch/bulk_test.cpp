// Bulk copies: a ring filled by the copy engine, results stored by it, and registers handed over beside it.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

/// Calls body(context) for every run of a machine that has a copy engine.
template <class Body>
void where_engines_copy(Body const& body) {
  test::on_every_target([&](tenon::context const& where) {
    if (where.arch >= 90) return body(where);
#if TENON_CUDA
    GTEST_SKIP() << "no bulk copies before sm_90";
#endif
  });
}

struct stream_params {
  int const* from;  // (tiles, 256)
  int*       to;    // (tiles, 256)
};

/// One producer warpgroup, two consumer warpgroups. The producer's first thread loads tiles into a ring of two stages; the
/// consumers add one to each element in place, and their first thread stores the tile.
template <int Tiles, bool Registers>
__global__ void __launch_bounds__(384, 1) stream(__grid_constant__ stream_params const p) {
  using namespace tenon;
  struct alignas(128) storage {
    int            stage[2][256];
    arch::mbarrier full[2];   // the tile has landed
    arch::mbarrier empty[2];  // the tile has been read out again
  };
  auto&     s = arch::shared<storage>();
  int const t = static_cast<int>(threadIdx.x);
  if (t == 0) {
    for (int i = 0; i < 2; ++i) arch::mbarrier_init(&s.full[i], 1), arch::mbarrier_init(&s.empty[i], 1);
    arch::fence_mbarrier_init();
  }
  arch::sync_block();  // the barriers exist
  constexpr int bytes = 256 * sizeof(int);
  if (t < 128) {
    if constexpr (Registers) arch::decrease_registers<40>();
    if (t == 0) {
      arch::bulk_prefetch(p.from, bytes);
      for (int tile = 0; tile < Tiles; ++tile) {
        int const      i      = tile % 2;
        unsigned const parity = static_cast<unsigned>(tile / 2 % 2);
        arch::mbarrier_wait(&s.empty[i], parity ^ 1);
        if (tile % 2 == 0) {
          arch::mbarrier_arrive_expect(&s.full[i], bytes);
          arch::bulk_load(s.stage[i], p.from + tile * 256, bytes, &s.full[i]);
        } else {  // the same in pieces
          arch::mbarrier_expect(&s.full[i], bytes);
          arch::bulk_load(s.stage[i], p.from + tile * 256, bytes / 2, &s.full[i]);
          arch::bulk_load(s.stage[i] + 128, p.from + tile * 256 + 128, bytes / 2, &s.full[i]);
          arch::mbarrier_arrive(&s.full[i]);
        }
      }
    }
  } else {
    if constexpr (Registers) arch::increase_registers<232>();
    for (int tile = 0; tile < Tiles; ++tile) {
      int const      i      = tile % 2;
      unsigned const parity = static_cast<unsigned>(tile / 2 % 2);
      arch::mbarrier_wait(&s.full[i], parity);
      s.stage[i][t - 128] += 1;
      arch::fence_proxy_async();  // the engine is to read what this thread wrote
      arch::sync_named(1, 256);   // all have written
      if (t == 128) {
        arch::bulk_store(p.to + tile * 256, s.stage[i], bytes);
        arch::bulk_commit();
        arch::bulk_wait_read<0>();  // the stage has been read
        arch::mbarrier_arrive(&s.empty[i]);
      }
    }
    if (t == 128) arch::bulk_wait<0>();
  }
}

template <bool Registers>
void expect_streamed() {
  constexpr int    tiles = 5;
  std::vector<int> values(tiles * 256);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(3 * i);
  where_engines_copy([&](tenon::context const& where) {
    test::tensor<int, 1> from(tiles * 256), to(tiles * 256);
    from.assign(values), to.fill(-1);
    ASSERT_TRUE(tenon::arch::launch("stream", where, {.grid = 1, .block = 384, .shared_bytes = 2176},
                                    stream<tiles, Registers>, stream_params{from.view().data, to.view().data})
                    .ok());
    auto const got = to.values();
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], values[i] + 1) << i;
  });
}
TEST(bulk, a_ring_of_loads_and_stores) { expect_streamed<false>(); }
TEST(bulk, the_same_with_registers_handed_over) { expect_streamed<true>(); }

}  // namespace
