// cp.async: sizes, zero fill, groups.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

struct copy_params {
  std::uint8_t const* from;  // (17 * Bytes)
  std::uint8_t*       to;    // (17 * Bytes)
};

template <int Bytes>
struct alignas(16) copy_storage {
  std::uint8_t byte[17 * Bytes];
};

/// Thread s copies the first s bytes of its Bytes, for s up to Bytes.
template <int Bytes>
__global__ void copy_parts(__grid_constant__ copy_params const p) {
  using namespace tenon;
  auto&     s = arch::shared<copy_storage<Bytes>>();
  int const t = static_cast<int>(threadIdx.x);
  if (t <= Bytes / 2) arch::cp_async<Bytes>(&s.byte[t * Bytes], p.from + t * Bytes, t);
  if (t > Bytes / 2 && t <= Bytes) arch::cp_async<Bytes, 128>(&s.byte[t * Bytes], p.from + t * Bytes, t);
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  arch::sync_block();
  for (int i = t; i < (Bytes + 1) * Bytes; i += 32) p.to[i] = s.byte[i];
}

template <int Bytes>
void expect_zero_fill() {
  std::vector<std::uint8_t> bytes(17 * Bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i + 1);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::uint8_t, 1> from(17 * Bytes), to(17 * Bytes);
    from.assign(bytes), to.fill(0xee);
    ASSERT_TRUE(tenon::arch::launch("copy_parts", where,
                                    {.grid = 1, .block = 32, .shared_bytes = sizeof(copy_storage<Bytes>)},
                                    copy_parts<Bytes>, copy_params{from.view().data, to.view().data})
                    .ok());
    auto const got = to.values();
    for (std::size_t t = 0; t <= Bytes; ++t)
      for (std::size_t i = 0; i < Bytes; ++i)
        EXPECT_EQ(got[t * Bytes + i], i < t ? bytes[t * Bytes + i] : 0) << t << " bytes, byte " << i;
  });
}
TEST(cp_async, zero_fill_of_4) { expect_zero_fill<4>(); }
TEST(cp_async, zero_fill_of_8) { expect_zero_fill<8>(); }
TEST(cp_async, zero_fill_of_16) { expect_zero_fill<16>(); }

struct pipeline_params {
  int const* from;  // (stages, 32)
  int*       to;    // (stages, 32)
};

/// Three stages in flight, each waited for just before its use; empty groups keep the count in the tail.
template <int Tiles>
__global__ void pipeline(__grid_constant__ pipeline_params const p) {
  using namespace tenon;
  struct storage {
    int stage[3][32];
  };
  auto&     s     = arch::shared<storage>();
  int const t     = static_cast<int>(threadIdx.x);
  auto      fetch = [&](int tile) {
    if (tile < Tiles) arch::cp_async<4>(&s.stage[tile % 3][t], p.from + tile * 32 + t);
    arch::cp_async_commit();
  };
  fetch(0), fetch(1);
  for (int tile = 0; tile < Tiles; ++tile) {
    arch::cp_async_wait<1>();
    arch::sync_block();  // the stage's bytes are visible to all; everyone has left the stage that is filled next
    fetch(tile + 2);
    p.to[tile * 32 + t] = s.stage[tile % 3][31 - t];
  }
}

TEST(cp_async, groups_complete_in_order) {
  constexpr int    tiles = 7;
  std::vector<int> values(tiles * 32);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<int, 1> from(tiles * 32), to(tiles * 32);
    from.assign(values);
    ASSERT_TRUE(tenon::arch::launch("pipeline", where, {.grid = 1, .block = 32, .shared_bytes = 3 * 32 * 4},
                                    pipeline<tiles>, pipeline_params{from.view().data, to.view().data})
                    .ok());
    auto const got = to.values();
    for (int i = 0; i < tiles * 32; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i / 32 * 32 + 31 - i % 32);
  });
}

}  // namespace
