// fma_pair against integers: the exact a b + c in units of a small power of two, rounded by hand.
#include <tenon/arch/arch.cuh>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::f16;
__extension__ typedef __int128 wide;

/// v in units of 2^unit; exact.
wide in_units(float v, int unit) {
  int          exponent;
  double const fraction = std::frexp(static_cast<double>(v), &exponent);  // 24 bits
  auto const   whole    = static_cast<wide>(std::ldexp(fraction, 24));
  int const    shift    = exponent - 24 - unit;
  return shift >= 0 ? whole << shift : whole >> -shift;
}

/// The T nearest to v units, ties to even; its sign is that of `v`, 0 is positive.
template <class T>
std::uint16_t rounded(wide v, int unit) {
  constexpr int fraction = std::is_same_v<T, f16> ? 10 : 7, least = std::is_same_v<T, f16> ? -24 : -133;
  constexpr int top      = std::is_same_v<T, f16> ? 15 : 127;
  bool const    negative = v < 0;
  wide          m        = negative ? -v : v;
  int           length   = 0;
  for (wide w = m; w > 0; w >>= 1) ++length;
  int const quantum = std::max(length - 1 - fraction + unit, least), drop = quantum - unit;
  wide      q = m;
  if (drop > 0) {
    wide const half = wide{1} << (drop - 1), rest = m & ((wide{1} << drop) - 1);
    q = (m >> drop) + (rest > half || (rest == half && ((m >> drop) & 1)) ? 1 : 0);
  } else {
    q <<= -drop;
  }
  double const magnitude = std::ldexp(static_cast<double>(q), quantum);
  if (magnitude >= std::ldexp(1., top + 1)) return static_cast<std::uint16_t>(T(INFINITY).bits | (negative << 15));
  return static_cast<std::uint16_t>(T(static_cast<float>(magnitude)).bits | (negative << 15));  // exact
}

struct fma_params {
  std::uint32_t const *a, *b, *c;
  std::uint32_t*       d;
  int                  count;
};
template <class T>
__global__ void fma_pairs(__grid_constant__ fma_params const p) {
  for (int i = tenon::arch::lane(); i < p.count; i += 32) p.d[i] = tenon::arch::fma_pair<T>(p.a[i], p.b[i], p.c[i]);
}

template <class T>
std::vector<std::uint16_t> run(std::vector<std::uint32_t> const& a, std::vector<std::uint32_t> const& b,
                               std::vector<std::uint32_t> const& c) {
  std::vector<std::uint16_t> halves;
  test::on_every_target([&](tenon::context const& where) {
    auto const                     n = static_cast<tenon::index_t>(a.size());
    test::tensor<std::uint32_t, 1> ta(n), tb(n), tc(n), td(n);
    ta.assign(a), tb.assign(b), tc.assign(c);
    fma_params const p{ta.view().data, tb.view().data, tc.view().data, td.view().data, static_cast<int>(n)};
    ASSERT_TRUE(tenon::arch::launch("fma_pair", where, {.grid = 1, .block = 32}, fma_pairs<T>, p).ok());
    halves.clear();
    for (auto const v : td.values())
      halves.push_back(static_cast<std::uint16_t>(v)), halves.push_back(static_cast<std::uint16_t>(v >> 16));
  });
  return halves;
}

/// Random halves whose unbiased exponents lie in [from, to], signs and fractions free; subnormal below the least.
template <class T>
std::uint16_t draw(std::mt19937& engine, int from, int to) {
  constexpr int fraction = std::is_same_v<T, f16> ? 10 : 7, bias = std::is_same_v<T, f16> ? 15 : 127;
  auto const    r        = static_cast<unsigned>(engine());
  int const     exponent = from + static_cast<int>(engine() % static_cast<unsigned>(to - from + 1)) + bias;
  return static_cast<std::uint16_t>((r & 0x8000) | static_cast<unsigned>(exponent) << fraction |
                                    (r & ((1u << fraction) - 1)));
}

template <class T>
void compare(int from_ab, int to_ab, int from_c, int to_c, int unit) {
  std::mt19937               engine(3);
  constexpr int              count = 1500;
  std::vector<std::uint32_t> a(count), b(count), c(count);
  auto const                 pair = [&](int from, int to) {
    std::uint32_t const low = draw<T>(engine, from, to), high = draw<T>(engine, from, to);
    return low | high << 16;
  };
  for (std::size_t i = 0; i < count; ++i) {
    a[i] = pair(from_ab, to_ab), b[i] = pair(from_ab, to_ab), c[i] = pair(from_c, to_c);
    if (i % 8 == 0) b[i] &= 0xfff0fff0u, a[i] &= 0xffe0ffe0u;  // few bits: ties
  }
  auto const got     = run<T>(a, b, c);
  int        inexact = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    auto const half = [&](std::vector<std::uint32_t> const& v) {
      return static_cast<float>(T::from_bits(static_cast<std::uint16_t>(v[i / 2] >> 16 * (i % 2))));
    };
    float const x = half(a), y = half(b), z = half(c);
    wide const  exact = in_units(x * y, unit) + in_units(z, unit);  // the product of two halves is exact in float
    ASSERT_EQ(got[i], rounded<T>(exact, unit)) << x << " * " << y << " + " << z;
    inexact += static_cast<double>(x) * static_cast<double>(y) + static_cast<double>(z) !=
               static_cast<double>(static_cast<float>(T::from_bits(got[i])));
  }
  EXPECT_GT(inexact, count / 4);
}

TEST(half, f16_over_its_whole_range) { compare<f16>(-15, 15, -15, 15, -48); }
TEST(half, f16_sums_that_cancel) { compare<f16>(-4, 4, -8, 8, -48); }
TEST(half, f16_subnormals) { compare<f16>(-12, -4, -15, -14, -48); }
TEST(half, bf16_in_the_middle) { compare<bf16>(-10, 10, -20, 20, -50); }
TEST(half, bf16_far_apart) { compare<bf16>(-14, 0, 20, 30, -60); }
TEST(half, bf16_subnormals) { compare<bf16>(-66, -56, -127, -120, -150); }
TEST(half, bf16_overflow) { compare<bf16>(61, 62, 120, 127, 100); }

TEST(half, specials) {
  std::uint32_t const inf = f16(INFINITY).bits, one = f16(1.f).bits, zero = 0, minus_zero = 0x8000, minus = 0xbc00;
  std::vector<std::uint32_t> const a{inf | one << 16, inf | minus_zero << 16}, b{one | inf << 16, zero | one << 16},
      c{(inf | 0x8000) | one << 16, one | minus_zero << 16};
  auto const got = run<f16>(a, b, c);
  EXPECT_EQ(got[0], 0x7fff);                           // inf - inf
  EXPECT_EQ(got[1], static_cast<std::uint16_t>(inf));  // 1 inf + 1
  EXPECT_EQ(got[2], 0x7fff);                           // inf 0 + 1
  EXPECT_EQ(got[3], 0x8000);                           // -0 1 - 0
  auto const cancelled = run<f16>({one | one << 16}, {one | one << 16}, {minus | minus << 16});
  EXPECT_EQ(cancelled[0], 0);  // 1 - 1 is +0
}

}  // namespace
