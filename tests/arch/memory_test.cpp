// Vectorised loads and stores, shared storage, thread positions, block and warp barriers.
#include <tenon/arch/arch.cuh>
#include <tenon/core/numeric.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

template <class T>
struct move_params {
  T const* from;  // (32 * N)
  T*       to;    // (2, 32 * N)
};

/// Vector t goes to place 31 - t, once through load and once through load_constant.
template <int N, class T>
__global__ void move(__grid_constant__ move_params<T> const p) {
  using namespace tenon;
  int const t = static_cast<int>(threadIdx.x);
  arch::store(p.to + (31 - t) * N, arch::load<N>(p.from + t * N));
  arch::store(p.to + (63 - t) * N, arch::load_constant<N>(p.from + t * N));
}

template <int N, class T>
void expect_moved() {
  SCOPED_TRACE(std::to_string(N) + " elements of " + std::to_string(sizeof(T)) + " bytes");
  test::on_every_target([](tenon::context const& where) {
    test::tensor<T, 1> from(32 * N), to(64 * N);
    from.random(N);
    ASSERT_TRUE(tenon::arch::launch("move", where, {.grid = 1, .block = 32}, move<N, T>,
                                    move_params<T>{from.view().data, to.view().data})
                    .ok());
    auto const     had = from.values(), got = to.values();
    std::vector<T> expected(64 * N);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = had[(31 - i / N % 32) * N + i % N];
    EXPECT_TRUE(test::same_bits(got, expected));
  });
}
TEST(memory, vectors_of_every_width_move_whole) {
  expect_moved<1, float>();
  expect_moved<2, float>();
  expect_moved<4, float>();
  expect_moved<1, tenon::bf16>();
  expect_moved<2, tenon::bf16>();
  expect_moved<4, tenon::f16>();
  expect_moved<8, tenon::f16>();
  expect_moved<8, float>();
  expect_moved<16, tenon::e4m3>();
}

/// The same through each hint, each into a part of its own.
template <int N, class T>
__global__ void move_hinted(__grid_constant__ move_params<T> const p) {
  using namespace tenon;
  int const t = static_cast<int>(threadIdx.x);
  arch::prefetch(p.from);
  arch::store(p.to + (31 - t) * N, arch::load_once<N>(p.from + t * N));
  arch::store_streaming(p.to + (63 - t) * N, arch::load_streaming<N>(p.from + t * N));
  arch::store(p.to + (95 - t) * N, arch::load_shared_by_blocks<N>(p.from + t * N));
}

template <int N, class T>
void expect_hints_change_nothing() {
  SCOPED_TRACE(std::to_string(N) + " elements of " + std::to_string(sizeof(T)) + " bytes");
  test::on_every_target([](tenon::context const& where) {
    test::tensor<T, 1> from(32 * N), to(96 * N);
    from.random(N);
    ASSERT_TRUE(tenon::arch::launch("move_hinted", where, {.grid = 1, .block = 32}, move_hinted<N, T>,
                                    move_params<T>{from.view().data, to.view().data})
                    .ok());
    auto const     had = from.values(), got = to.values();
    std::vector<T> expected(96 * N);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = had[(31 - i / N % 32) * N + i % N];
    EXPECT_TRUE(test::same_bits(got, expected));
  });
}
TEST(memory, hints_change_nothing) {
  expect_hints_change_nothing<1, float>();
  expect_hints_change_nothing<4, tenon::bf16>();
  expect_hints_change_nothing<16, tenon::e4m3>();
}

struct place_params {
  int* lane;  // (96) each
  int* warp;
  int* block;
  int* last;  // (2): the sum of the block's numbers, through shared memory
};
__global__ void places(__grid_constant__ place_params const p) {
  using namespace tenon;
  struct storage {
    int of[48];
  };
  auto&     s = arch::shared<storage>();
  int const t = static_cast<int>(threadIdx.x), i = static_cast<int>(blockIdx.x * blockDim.x) + t;
  p.lane[i] = arch::lane(), p.warp[i] = arch::warp(), p.block[i] = static_cast<int>(blockIdx.x * 10 + gridDim.x);
  s.of[t] = i;
  arch::sync_block();
  if (t < 32) {
    if (t < 16) s.of[t] += s.of[t + 32];
    arch::sync_warp();
    for (int step = 16; step > 0; step /= 2) {
      int const other = t < step ? s.of[t + step] : 0;
      arch::sync_warp();
      if (t < step) s.of[t] += other;
      arch::sync_warp();
    }
    if (t == 0) p.last[blockIdx.x] = s.of[0];
  }
}
TEST(memory, threads_know_their_places_and_meet_at_barriers) {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<int, 1> lane(96), warp(96), block(96), last(2);
    ASSERT_TRUE(
        tenon::arch::launch("places", where, {.grid = 2, .block = 48, .shared_bytes = 48 * 4}, places,
                            place_params{lane.view().data, warp.view().data, block.view().data, last.view().data})
            .ok());
    for (int i = 0; i < 96; ++i) {
      EXPECT_EQ(lane.values()[static_cast<std::size_t>(i)], i % 48 % 32);
      EXPECT_EQ(warp.values()[static_cast<std::size_t>(i)], i % 48 / 32);
      EXPECT_EQ(block.values()[static_cast<std::size_t>(i)], i / 48 * 10 + 2);
    }
    EXPECT_EQ(last.values()[0], 47 * 48 / 2);
    EXPECT_EQ(last.values()[1], 47 * 48 / 2 + 48 * 48);
  });
}

TEST(memory, a_launch_stays_within_the_cards_shared_memory) {
#if !TENON_CUDA
  test::tensor<int, 1> x(96);
  tenon::context       where;
  where.arch   = 89;
  auto const s = tenon::arch::launch("places", where, {.grid = 1, .block = 48, .shared_bytes = 100 * 1024}, places,
                                     place_params{x.view().data, x.view().data, x.view().data, x.view().data});
  EXPECT_EQ(s.code, tenon::errc::launch_failed);
  EXPECT_STREQ(s.subject, "shared_bytes");
  EXPECT_EQ(s.want, 99 * 1024);
#endif
}

}  // namespace
