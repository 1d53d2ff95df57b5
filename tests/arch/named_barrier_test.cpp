// Barriers of part of a block: independent pairs of warps, and a ring between producers and consumers.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

struct pairs_params {
  int* to;  // (rounds, 128)
};

/// Warps 0 and 1 exchange their numbers at barrier 1, warps 2 and 3 at barrier 2, each pair in its own time.
template <int Rounds>
__global__ void pairs(__grid_constant__ pairs_params const p) {
  using namespace tenon;
  struct storage {
    int number[128];
  };
  auto&     s = arch::shared<storage>();
  int const t = static_cast<int>(threadIdx.x), pair = t / 64;
  for (int round = 0; round < Rounds * (1 + pair); ++round) {
    s.number[t] = 1000 * round + t;
    arch::sync_named(1 + pair, 64);
    int const other = s.number[t ^ 32];
    arch::sync_named(1 + pair, 64);
    if (round < Rounds) p.to[round * 128 + t] = other;
  }
}

TEST(named_barrier, pairs_of_warps_meet_in_their_own_time) {
  constexpr int rounds = 3;
  test::on_every_target([](tenon::context const& where) {
    test::tensor<int, 1> to(rounds * 128);
    ASSERT_TRUE(tenon::arch::launch("pairs", where, {.grid = 1, .block = 128, .shared_bytes = 128 * sizeof(int)},
                                    pairs<rounds>, pairs_params{to.view().data})
                    .ok());
    auto const got = to.values();
    for (int i = 0; i < rounds * 128; ++i)
      EXPECT_EQ(got[static_cast<std::size_t>(i)], 1000 * (i / 128) + ((i % 128) ^ 32)) << i;
  });
}

struct ring_params {
  int const* from;  // (tiles, 32)
  int*       to;    // (tiles, 64)
};

/// Warp 0 fills two stages in turn, warps 1 and 2 read them. Barrier 1 + stage: full, barrier 3 + stage: empty. Whoever
/// need not wait only arrives.
template <int Tiles>
__global__ void ring(__grid_constant__ ring_params const p) {
  using namespace tenon;
  struct storage {
    int stage[2][32];
  };
  auto&     s = arch::shared<storage>();
  int const t = static_cast<int>(threadIdx.x);
  if (arch::warp() == 0) {
    for (int tile = 0; tile < Tiles; ++tile) {
      int const stage = tile % 2;
      if (tile >= 2) arch::sync_named(3 + stage, 96);  // both readers have left it
      s.stage[stage][t] = p.from[tile * 32 + t];
      arch::arrive_named(1 + stage, 96);
    }
  } else {
    for (int tile = 0; tile < Tiles; ++tile) {
      int const stage = tile % 2;
      arch::sync_named(1 + stage, 96);
      p.to[tile * 64 + t - 32] = s.stage[stage][31 - arch::lane()];
      if (tile + 2 < Tiles) arch::arrive_named(3 + stage, 96);
    }
  }
}

TEST(named_barrier, arriving_does_not_wait) {
  constexpr int    tiles = 5;
  std::vector<int> values(tiles * 32);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<int, 1> from(tiles * 32), to(tiles * 64);
    from.assign(values);
    ASSERT_TRUE(tenon::arch::launch("ring", where, {.grid = 1, .block = 96, .shared_bytes = 64 * sizeof(int)},
                                    ring<tiles>, ring_params{from.view().data, to.view().data})
                    .ok());
    auto const got = to.values();
    for (int i = 0; i < tiles * 64; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i / 64 * 32 + 31 - i % 32) << i;
  });
}

}  // namespace
