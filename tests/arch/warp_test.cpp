// Shuffles, votes, reductions and matches against their definitions, every lane.
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

struct joined_params {
  int*           sum;  // (64) each
  int*           least;
  unsigned*      greatest;
  std::uint32_t* bits;   // (64, 3): and, or, xor
  std::uint32_t* same;   // (64, 4): match_any, match_any of 8 bytes, match_all where it holds and where it does not
  int*           flags;  // bit 0 and 1: what the two match_all said, bit 2: elected
};

/// Warp 0 joins whole, warp 1 as its odd and its even lanes.
__global__ void joined(__grid_constant__ joined_params const p) {
  using namespace tenon;
  int const      t = static_cast<int>(threadIdx.x), v = (t * 37 % 64 - 20) * 100;
  unsigned const mask = arch::warp() == 0 ? ~0u : t % 2 ? 0xaaaaaaaau : 0x55555555u;
  p.sum[t]            = arch::reduce_add(v, mask);
  p.least[t]          = arch::reduce_min(v, mask);
  p.greatest[t]       = arch::reduce_max(static_cast<unsigned>(v), mask);
  auto const word     = static_cast<std::uint32_t>(v);
  p.bits[3 * t]       = arch::reduce_and(word, mask);
  p.bits[3 * t + 1]   = arch::reduce_or(word, mask);
  p.bits[3 * t + 2]   = arch::reduce_xor(word, mask);
  bool holds, fails;
  p.same[4 * t]     = arch::match_any(t % 5, mask);
  p.same[4 * t + 1] = arch::match_any(static_cast<double>(t % 3), mask);
  p.same[4 * t + 2] = arch::match_all(mask, mask, &holds);
  p.same[4 * t + 3] = arch::match_all(t, mask, &fails);
  p.flags[t]        = (holds ? 1 : 0) | (fails ? 2 : 0) | (arch::elect(mask) ? 4 : 0);
}

TEST(warp, lanes_join_their_registers_as_defined) {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<int, 1>           sum(64), least(64), flags(64);
    test::tensor<unsigned, 1>      greatest(64);
    test::tensor<std::uint32_t, 1> bits(192), same(256);
    ASSERT_TRUE(tenon::arch::launch("joined", where, {.grid = 1, .block = 64}, joined,
                                    joined_params{sum.view().data, least.view().data, greatest.view().data,
                                                  bits.view().data, same.view().data, flags.view().data})
                    .ok());
    auto const s = sum.values(), l = least.values(), f = flags.values();
    auto const g = greatest.values();
    auto const b = bits.values(), m = same.values();
    int        elected[3] = {};
    for (int t = 0; t < 64; ++t) {
      int           total = 0, low = 1 << 30;
      unsigned      high  = 0;
      std::uint32_t every = ~0u, some = 0, odd = 0, fives = 0, threes = 0, mask = 0;
      for (int o = 0; o < 64; ++o) {
        if (o / 32 != t / 32 || (t >= 32 && o % 2 != t % 2)) continue;
        int const  v    = (o * 37 % 64 - 20) * 100;
        auto const word = static_cast<std::uint32_t>(v);
        total += v, low = v < low ? v : low, high = word > high ? word : high;
        every &= word, some |= word, odd ^= word, mask |= 1u << o % 32;
        if (o % 5 == t % 5) fives |= 1u << o % 32;
        if (o % 3 == t % 3) threes |= 1u << o % 32;
      }
      auto const i = static_cast<std::size_t>(t);
      EXPECT_EQ(s[i], total) << t;
      EXPECT_EQ(l[i], low) << t;
      EXPECT_EQ(g[i], high) << t;
      EXPECT_EQ((std::vector<std::uint32_t>{b[3 * i], b[3 * i + 1], b[3 * i + 2]}),
                (std::vector<std::uint32_t>{every, some, odd}))
          << t;
      EXPECT_EQ((std::vector<std::uint32_t>{m[4 * i], m[4 * i + 1], m[4 * i + 2], m[4 * i + 3]}),
                (std::vector<std::uint32_t>{fives, threes, mask, 0}))
          << t;
      EXPECT_EQ(f[i] & 3, 1) << t;
      elected[t < 32 ? 0 : 1 + t % 2] += f[i] >> 2;
    }
    EXPECT_EQ(elected[0], 1);
    EXPECT_EQ(elected[1], 1);
    EXPECT_EQ(elected[2], 1);
  });
}

}  // namespace
