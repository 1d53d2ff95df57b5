// Atomics: sums, extremes, bits, exchange, pairs of halves, orders and scopes, and the hand-over between blocks.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

struct tally_params {
  int*      sum;
  float*    real;
  int*      largest;
  int*      smallest;
  unsigned* order;  // (threads): what each thread's add found; every number once
  unsigned* counter;
  int*      owner;  // compare_exchange: one thread wins
  int*      winners;
  int*      last;  // exchange
};

__global__ void tally(__grid_constant__ tally_params const p) {
  using namespace tenon;
  int const t = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  arch::atomic_add(p.sum, t);
  arch::atomic_add(p.real, 0.5f);
  arch::atomic_max(p.largest, t * 7 % 101);
  arch::atomic_min(p.smallest, t * 7 % 101 - 50);
  p.order[t] = arch::atomic_add(p.counter, 1u);
  if (arch::atomic_compare_exchange(p.owner, -1, t) == -1) arch::atomic_add(p.winners, 1);
  arch::atomic_exchange(p.last, t);
}

TEST(atomic, every_update_counts_once) {
  test::on_every_target([](tenon::context const& where) {
    constexpr int             blocks = 3, threads = 64, all = blocks * threads;
    test::tensor<int, 1>      sum(1), largest(1), smallest(1), owner(1), winners(1), last(1);
    test::tensor<float, 1>    real(1);
    test::tensor<unsigned, 1> order(all), counter(1);
    sum.fill(0), real.fill(0), largest.fill(-1000), smallest.fill(1000), counter.fill(0);
    owner.fill(-1), winners.fill(0), last.fill(-1);
    tally_params const p{sum.view().data,      real.view().data,    largest.view().data,
                         smallest.view().data, order.view().data,   counter.view().data,
                         owner.view().data,    winners.view().data, last.view().data};
    ASSERT_TRUE(tenon::arch::launch("tally", where, {.grid = blocks, .block = threads}, tally, p).ok());
    EXPECT_EQ(sum.values()[0], all * (all - 1) / 2);
    EXPECT_EQ(real.values()[0], all * 0.5f);
    int high = -1000, low = 1000;
    for (int t = 0; t < all; ++t) high = std::max(high, t * 7 % 101), low = std::min(low, t * 7 % 101 - 50);
    EXPECT_EQ(largest.values()[0], high);
    EXPECT_EQ(smallest.values()[0], low);
    auto found = order.values();
    std::sort(found.begin(), found.end());
    for (unsigned i = 0; i < all; ++i) EXPECT_EQ(found[i], i);
    EXPECT_EQ(winners.values()[0], 1);
    EXPECT_TRUE(owner.values()[0] >= 0 && owner.values()[0] < all);
    EXPECT_TRUE(last.values()[0] >= 0 && last.values()[0] < all);
  });
}

struct hand_over_params {
  float const* x;        // (blocks, 64)
  float*       partial;  // (blocks)
  float*       total;    // (1)
  unsigned*    arrived;  // (1), zero
};

/// The block that comes last adds what all have written.
template <bool Fences>
__global__ void sum_of_blocks(__grid_constant__ hand_over_params const p) {
  using namespace tenon;
  struct storage {
    float    warp[2];
    unsigned before;
  };
  auto& s = arch::shared<storage>();
  float v = p.x[blockIdx.x * 64 + threadIdx.x];
  for (int lanes = 16; lanes > 0; lanes /= 2) v += arch::shuffle_xor(v, lanes);
  if (arch::lane() == 0) s.warp[arch::warp()] = v;
  arch::sync_block();
  if (threadIdx.x == 0) {
    p.partial[blockIdx.x] = s.warp[0] + s.warp[1];
    if constexpr (Fences) {
      arch::fence_device();
      s.before = arch::atomic_add(p.arrived, 1u);
      arch::fence_device();
    } else {
      s.before = arch::atomic_add_ordered(p.arrived, 1u);
    }
  }
  arch::sync_block();
  if (s.before != gridDim.x - 1 || threadIdx.x >= 32) return;
  float sum = 0;
  for (unsigned b = threadIdx.x; b < gridDim.x; b += 32) sum += p.partial[b];
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += arch::shuffle_xor(sum, lanes);
  if (threadIdx.x == 0) *p.total = sum;
}

template <bool Fences>
void expect_sum() {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<float, 1>    x(5 * 64), partial(5), total(1);
    test::tensor<unsigned, 1> arrived(1);
    x.fill(0.25f), arrived.fill(0);
    ASSERT_TRUE(tenon::arch::launch(
                    "sum_of_blocks", where, {.grid = 5, .block = 64, .shared_bytes = 12}, sum_of_blocks<Fences>,
                    hand_over_params{x.view().data, partial.view().data, total.view().data, arrived.view().data})
                    .ok());
    EXPECT_EQ(total.values()[0], 80.f);
  });
}
TEST(atomic, an_ordered_add_hands_over_between_blocks) { expect_sum<false>(); }
TEST(atomic, fences_around_an_add_hand_over_between_blocks) { expect_sum<true>(); }

struct flag_params {
  int*      value;
  unsigned* flag;
  int*      out;
};
__global__ void pass_on(__grid_constant__ flag_params const p) {
  using namespace tenon;
  if (threadIdx.x == 0) {
    *p.value = 42;
    arch::store_release(p.flag, 1u);
  } else if (threadIdx.x == 32) {
    while (arch::load_acquire(p.flag) == 0) {
    }
    *p.out = *p.value;
  }
}
TEST(atomic, a_released_flag_hands_over_within_a_block) {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<int, 1>      value(1), out(1);
    test::tensor<unsigned, 1> flag(1);
    flag.fill(0);
    ASSERT_TRUE(tenon::arch::launch("pass_on", where, {.grid = 1, .block = 64}, pass_on,
                                    flag_params{value.view().data, flag.view().data, out.view().data})
                    .ok());
    EXPECT_EQ(out.values()[0], 42);
  });
}

struct bits_params {
  std::uint32_t*              word;     // (6): and, or, xor; the same by red
  unsigned*                   counter;  // (2): up and down, modulo 10
  unsigned*                   seen;     // (threads): what counting up found
  std::int64_t*               wide;     // (3): sum, least, greatest
  tenon::vec<tenon::f16, 2>*  half;
  tenon::vec<tenon::bf16, 2>* brain;
  float*                      real;
};
__global__ void bits(__grid_constant__ bits_params const p) {
  using namespace tenon;
  using arch::memory_order, arch::scope;
  auto const     t   = static_cast<int>(threadIdx.x);
  unsigned const bit = 1u << (t % 32);
  if (t < 20) {
    arch::atomic_and(p.word, ~bit), arch::red_and(p.word + 3, ~bit);
    arch::atomic_or(p.word + 1, bit), arch::red_or<memory_order::release, scope::block>(p.word + 4, bit);
  }
  arch::atomic_xor(p.word + 2, bit), arch::red_xor(p.word + 5, bit | 1u);
  p.seen[t] = arch::atomic_increment(p.counter, 9u);
  arch::atomic_decrement<memory_order::acquire>(p.counter + 1, 9u);
  arch::atomic_add(p.wide, std::int64_t{-3} << 32);
  arch::red_min(p.wide + 1, std::int64_t{-5} * t),
      arch::red_max<memory_order::release>(p.wide + 2, std::int64_t{1} << t);
  arch::atomic_add(p.half, vec<f16, 2>{{f16(0.25f), f16(-1.f)}}),
      arch::red_add(p.half, vec<f16, 2>{{f16(1.f), f16(0.f)}});
  arch::atomic_add(p.brain, vec<bf16, 2>{{bf16(0.25f), bf16(-1.f)}});
  arch::red_add(p.brain, vec<bf16, 2>{{bf16(1.f), bf16(0.f)}});
  arch::red_add(p.real, 0.5f);
}
TEST(atomic, every_operation_on_every_type) {
  test::on_every_target([](tenon::context const& where) {
    constexpr int                               threads = 40;
    test::tensor<std::uint32_t, 1>              word(6);
    test::tensor<unsigned, 1>                   counter(2), seen(threads);
    test::tensor<std::int64_t, 1>               wide(3);
    test::tensor<tenon::vec<tenon::f16, 2>, 1>  half(1);
    test::tensor<tenon::vec<tenon::bf16, 2>, 1> brain(1);
    test::tensor<float, 1>                      real(1);
    word.assign({~0u, 0, 0, ~0u, 0, 0}), counter.fill(0), wide.fill(0), real.fill(1);
    half.fill({{tenon::f16(0.f), tenon::f16(3.f)}}), brain.fill({{tenon::bf16(0.f), tenon::bf16(3.f)}});
    ASSERT_TRUE(
        tenon::arch::launch("bits", where, {.grid = 1, .block = threads}, bits,
                            bits_params{word.view().data, counter.view().data, seen.view().data, wide.view().data,
                                        half.view().data, brain.view().data, real.view().data})
            .ok());
    // Bits 0 to 7 are flipped twice by xor; with bit 0 in each of the 40, an even number, only the lanes' own stay.
    EXPECT_EQ(word.values(), (std::vector<std::uint32_t>{~0xfffffu, 0xfffffu, ~0xffu, ~0xfffffu, 0xfffffu, ~0xffu}));
    EXPECT_EQ(counter.values(), (std::vector<unsigned>{0, 0}));
    auto found = seen.values();
    std::sort(found.begin(), found.end());
    for (unsigned i = 0; i < threads; ++i) EXPECT_EQ(found[i], i / 4);
    EXPECT_EQ(wide.values(),
              (std::vector<std::int64_t>{threads * (std::int64_t{-3} << 32), -5 * 39, std::int64_t{1} << 39}));
    EXPECT_EQ(static_cast<float>(half.values()[0][0]), 1.25f * threads);
    EXPECT_EQ(static_cast<float>(half.values()[0][1]), 3.f - threads);
    EXPECT_EQ(static_cast<float>(brain.values()[0][0]), 1.25f * threads);
    EXPECT_EQ(static_cast<float>(brain.values()[0][1]), 3.f - threads);
    EXPECT_EQ(real.values()[0], 1 + 0.5f * threads);
  });
}

}  // namespace
