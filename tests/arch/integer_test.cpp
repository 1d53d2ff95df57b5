// lop3 against the expression that its table stands for, permute_bytes against PTX's words.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

constexpr int all = 64;
struct words_params {
  std::uint32_t const* from;  // (64, 3)
  std::uint32_t*       to;    // (64, 4)
};
__global__ void words(__grid_constant__ words_params const p) {
  using namespace tenon;
  auto const t = threadIdx.x;
  auto const a = p.from[3 * t], b = p.from[3 * t + 1], c = p.from[3 * t + 2];
  p.to[4 * t]     = arch::lop3<(0xf0 & 0xcc) | 0xaa>(a, b, c);
  p.to[4 * t + 1] = arch::lop3<0xf0 ^ 0xcc ^ 0xaa>(a, b, c);
  p.to[4 * t + 2] = arch::lop3<(0xf0 & ~0xcc & 0xff) | (0xcc & 0xaa)>(a, b, c);
  p.to[4 * t + 3] = arch::permute_bytes(a, b, c);
}

TEST(integer, words_are_joined_bit_by_bit_and_byte_by_byte) {
  std::mt19937               engine(7);
  std::vector<std::uint32_t> values(all * 3);
  for (auto& v : values) v = static_cast<std::uint32_t>(engine());
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::uint32_t, 1> from(all * 3), to(all * 4);
    from.assign(values);
    ASSERT_TRUE(tenon::arch::launch("words", where, {.grid = 1, .block = all}, words,
                                    words_params{from.view().data, to.view().data})
                    .ok());
    auto const got = to.values();
    for (std::size_t i = 0; i < all; ++i) {
      std::uint32_t const a = values[3 * i], b = values[3 * i + 1], c = values[3 * i + 2];
      EXPECT_EQ(got[4 * i], (a & b) | c);
      EXPECT_EQ(got[4 * i + 1], a ^ b ^ c);
      EXPECT_EQ(got[4 * i + 2], (a & ~b) | (b & c));
      std::uint8_t byte[8];
      for (unsigned k = 0; k < 4; ++k)
        byte[k] = static_cast<std::uint8_t>(a >> 8 * k), byte[k + 4] = static_cast<std::uint8_t>(b >> 8 * k);
      for (unsigned k = 0; k < 4; ++k) {
        unsigned const nibble   = c >> 4 * k & 15;
        int const      chosen   = byte[nibble & 7];
        int const      expected = nibble < 8 ? chosen : chosen < 128 ? 0 : 255;
        EXPECT_EQ(static_cast<int>(got[4 * i + 3] >> 8 * k & 255), expected) << std::hex << a << " " << b << " " << c;
      }
    }
  });
}

}  // namespace
