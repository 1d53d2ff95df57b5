// Shuffles and votes against their definitions, every lane.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

struct exchange_params {
  int*           index;      // (warps * 32) each
  int*           exclusive;  // value of lane ^ 5
  int*           up;
  int*           down;
  double*        wide;  // eight bytes move whole
  int*           part;  // a shuffle of the lower half only; the upper half keeps its value
  std::uint32_t* ballot;
  std::uint32_t* votes;  // bit 0 any, bit 1 all, bit 2 any of none, bit 3 all of all
};

__global__ void exchange(__grid_constant__ exchange_params const p) {
  using namespace tenon;
  int const t = static_cast<int>(threadIdx.x), own = 1000 + t;
  p.index[t]     = arch::shuffle(own, 3 * t + 7);
  p.exclusive[t] = arch::shuffle_xor(own, 5);
  p.up[t]        = arch::shuffle_up(own, 3);
  p.down[t]      = arch::shuffle_down(own, 3);
  p.wide[t]      = arch::shuffle_xor(1.0 / static_cast<double>(own), 1);
  p.part[t]      = own;
  if (arch::lane() < 16) p.part[t] = arch::shuffle_xor(own, 8, 0xffffu);
  p.ballot[t] = arch::ballot(t % 3 == 0);
  p.votes[t]  = (arch::any(arch::lane() == 31) ? 1u : 0u) | (arch::all(arch::lane() != 31) ? 2u : 0u) |
               (arch::any(false) ? 4u : 0u) | (arch::all(true) ? 8u : 0u);
}

TEST(warp, lanes_exchange_registers_as_defined) {
  test::on_every_target([](tenon::context const& where) {
    constexpr int                  threads = 64;
    test::tensor<int, 1>           index(threads), exclusive(threads), up(threads), down(threads), part(threads);
    test::tensor<double, 1>        wide(threads);
    test::tensor<std::uint32_t, 1> ballot(threads), votes(threads);
    exchange_params const          p{index.view().data, exclusive.view().data, up.view().data,     down.view().data,
                            wide.view().data,  part.view().data,      ballot.view().data, votes.view().data};
    ASSERT_TRUE(tenon::arch::launch("exchange", where, {.grid = 1, .block = threads}, exchange, p).ok());
    auto const i = index.values(), x = exclusive.values(), u = up.values(), d = down.values(), h = part.values();
    auto const w = wide.values();
    auto const b = ballot.values(), v = votes.values();
    for (std::size_t at = 0; at < threads; ++at) {
      int const t = static_cast<int>(at), warp = t / 32 * 32, lane = t % 32;
      EXPECT_EQ(i[at], 1000 + warp + (3 * t + 7) % 32) << t;
      EXPECT_EQ(x[at], 1000 + warp + (lane ^ 5)) << t;
      EXPECT_EQ(u[at], 1000 + warp + (lane >= 3 ? lane - 3 : lane)) << t;
      EXPECT_EQ(d[at], 1000 + warp + (lane < 29 ? lane + 3 : lane)) << t;
      EXPECT_EQ(w[at], 1.0 / (1000 + (t ^ 1))) << t;
      EXPECT_EQ(h[at], 1000 + (lane < 16 ? warp + (lane ^ 8) : t)) << t;
      std::uint32_t expected = 0;
      for (int l = 0; l < 32; ++l) expected |= ((warp + l) % 3 == 0 ? 1u : 0u) << l;
      EXPECT_EQ(b[at], expected) << t;
      EXPECT_EQ(v[at], 1u | 8u) << t;
    }
  });
}

// A short last warp: its lanes exchange among themselves.
struct short_warp_params {
  std::uint32_t* here;  // (40)
  int*           sum;   // (40)
};
__global__ void short_warp(__grid_constant__ short_warp_params const p) {
  using namespace tenon;
  unsigned const mask = threadIdx.x < 32 ? ~0u : 0xffu;
  p.here[threadIdx.x] = arch::ballot(true, mask);
  int sum             = static_cast<int>(threadIdx.x);
  for (int lanes = 4; lanes > 0; lanes /= 2) sum += arch::shuffle_xor(sum, lanes, mask);
  p.sum[threadIdx.x] = sum;
}
TEST(warp, a_short_warp_has_its_own_mask) {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<std::uint32_t, 1> here(40);
    test::tensor<int, 1>           sum(40);
    ASSERT_TRUE(tenon::arch::launch("short_warp", where, {.grid = 1, .block = 40}, short_warp,
                                    short_warp_params{here.view().data, sum.view().data})
                    .ok());
    EXPECT_EQ(here.values()[5], ~0u);
    EXPECT_EQ(here.values()[39], 0xffu);
    for (int t = 0; t < 40; ++t) EXPECT_EQ(sum.values()[static_cast<std::size_t>(t)], t / 8 * 8 * 8 + 28) << t;
  });
}

}  // namespace
