// Memory barriers: phases and parities, several arrivals at once, a ring, and the landing of cp.async.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

struct trace_params {
  std::uint32_t* bits;  // (2): what the test of parity 0 and 1 said after each step, bit by bit
};

/// One thread takes a barrier of three arrivals through two phases and a half.
__global__ void trace(__grid_constant__ trace_params const p) {
  using namespace tenon;
  struct storage {
    arch::mbarrier barrier;
  };
  auto& b = arch::shared<storage>().barrier;
  if (threadIdx.x == 0) {
    std::uint32_t even = 0, odd = 0;
    int           step = 0;
    auto const    look = [&] {
      even |= static_cast<std::uint32_t>(arch::mbarrier_test(&b, 0)) << step;
      odd |= static_cast<std::uint32_t>(arch::mbarrier_test(&b, 1)) << step;
      ++step;
    };
    arch::mbarrier_init(&b, 3), look();
    arch::mbarrier_arrive(&b), look();
    arch::mbarrier_arrive(&b), look();
    arch::mbarrier_arrive(&b), look();  // the first phase ends
    arch::mbarrier_arrive(&b, 2), look();
    arch::mbarrier_arrive(&b), look();     // the second
    arch::mbarrier_arrive(&b, 3), look();  // the third, at once
    arch::mbarrier_invalidate(&b);
    p.bits[0] = even, p.bits[1] = odd;
  }
}

TEST(mbarrier, a_parity_tells_the_current_phase_from_the_one_before) {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<std::uint32_t, 1> bits(2);
    ASSERT_TRUE(tenon::arch::launch("trace", where, {.grid = 1, .block = 32, .shared_bytes = 8}, trace,
                                    trace_params{bits.view().data})
                    .ok());
    // Phase 0 lasts for steps 0 to 2, phase 1 for 3 and 4, phase 2 for 5, phase 3 begins at 6.
    EXPECT_EQ(bits.values()[0], 0b1011000u);
    EXPECT_EQ(bits.values()[1], 0b0100111u);
  });
}

struct ring_params {
  int const* from;  // (tiles, 32)
  int*       to;    // (tiles, 64)
};

/// A producer warp fills three stages in turn, two consumer warps read them. `landing`: by cp.async, whose landing arrives.
template <int Tiles, bool Landing>
__global__ void ring(__grid_constant__ ring_params const p) {
  using namespace tenon;
  constexpr int stages = 3;
  struct storage {
    arch::mbarrier full[stages];   // 32 producers have written the stage
    arch::mbarrier empty[stages];  // both consumer warps have read it
    int            stage[stages][32];
  };
  auto&     s = arch::shared<storage>();
  int const t = static_cast<int>(threadIdx.x);
  if (t == 0) {
    for (int i = 0; i < stages; ++i) arch::mbarrier_init(&s.full[i], 32), arch::mbarrier_init(&s.empty[i], 2);
    arch::fence_mbarrier_init();
  }
  arch::sync_block();  // the barriers exist
  if (arch::warp() == 0) {
    for (int tile = 0; tile < Tiles; ++tile) {
      int const      i      = tile % stages;
      unsigned const parity = static_cast<unsigned>(tile / stages % 2);
      arch::mbarrier_wait(&s.empty[i], parity ^ 1);  // the first round finds the stages empty
      if constexpr (Landing) {
        arch::cp_async<4>(&s.stage[i][t], p.from + tile * 32 + t);
        arch::mbarrier_arrive_after_copies(&s.full[i]);
      } else {
        s.stage[i][t] = p.from[tile * 32 + t];
        arch::mbarrier_arrive(&s.full[i]);
      }
    }
    if constexpr (Landing) arch::cp_async_commit(), arch::cp_async_wait<0>();
  } else {
    for (int tile = 0; tile < Tiles; ++tile) {
      int const      i      = tile % stages;
      unsigned const parity = static_cast<unsigned>(tile / stages % 2);
      while (!arch::mbarrier_try_wait(&s.full[i], parity)) {
      }
      p.to[tile * 64 + t - 32] = s.stage[i][31 - arch::lane()];
      arch::sync_warp();  // all lanes have read before one of them says so
      if (arch::elect()) arch::mbarrier_arrive(&s.empty[i]);
    }
  }
}

template <bool Landing>
void expect_ring() {
  constexpr int    tiles = 8;
  std::vector<int> values(tiles * 32);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<int, 1> from(tiles * 32), to(tiles * 64);
    from.assign(values);
    ASSERT_TRUE(tenon::arch::launch("ring", where, {.grid = 1, .block = 96, .shared_bytes = 6 * 8 + 3 * 32 * 4},
                                    ring<tiles, Landing>, ring_params{from.view().data, to.view().data})
                    .ok());
    auto const got = to.values();
    for (int i = 0; i < tiles * 64; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i / 64 * 32 + 31 - i % 32) << i;
  });
}
TEST(mbarrier, a_ring_of_plain_stores) { expect_ring<false>(); }
TEST(mbarrier, a_ring_of_asynchronous_copies) { expect_ring<true>(); }

}  // namespace
