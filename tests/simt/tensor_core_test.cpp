// mma.sync's arithmetic against definitions written another way: the exact modes against sums of 128-bit integers, the
// fast one against a loop, integers against 64-bit sums. Bit for bit, over random operands of every kind.
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/simt/tensor_core.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace tenon::simt;

// ---- a definition of the published model ------------------------------------------------------------------------------

/// sign * significand * 2^exponent, exactly; significand as written in the operand (a hidden one made plain).
struct number {
  enum { finite, infinite, nan } kind = finite;
  bool          negative              = false;
  std::uint64_t significand           = 0;
  int           exponent              = 0;  // of the significand's last bit
  int           scale                 = 0;  // the exponent of the model: of the bit before the point
};

/// Reads a float of `exponent_bits` and `fraction_bits`.
number read(std::uint32_t bits, int exponent_bits, int fraction_bits, bool has_infinity = true) {
  number        v;
  std::uint32_t fraction = bits & ((1u << fraction_bits) - 1),
                field    = bits >> fraction_bits & ((1u << exponent_bits) - 1);
  int const bias         = (1 << (exponent_bits - 1)) - 1;
  v.negative             = bits >> (exponent_bits + fraction_bits) & 1;
  if (field == (1u << exponent_bits) - 1) {
    if (has_infinity) v.kind = fraction ? number::nan : number::infinite;
    else if (fraction == (1u << fraction_bits) - 1) v.kind = number::nan;
    if (v.kind != number::finite) return v;
  }
  v.scale       = field ? static_cast<int>(field) - bias : 1 - bias;
  v.significand = fraction + (field ? 1ull << fraction_bits : 0);
  v.exponent    = v.scale - fraction_bits;
  return v;
}
number read(std::uint32_t bits, operand type) {
  switch (type) {
    case operand::f16: return read(bits, 5, 10);
    case operand::bf16: return read(bits, 8, 7);
    case operand::tf32: return read(bits >> 13, 8, 10);
    case operand::e4m3: return read(bits, 4, 3, false);
    case operand::e5m2: return read(bits, 5, 2);
    default: return {};
  }
}

/// How one instruction of the machine sums, from the papers' tables.
struct machine {
  int fraction, floor, result_fraction;
};

/// The nearest or next smaller value of a format with `fraction` bits, exponents least..greatest, of negative?-:+ m 2^e.
std::uint32_t round(bool negative, unsigned __int128 m, int e, int fraction, int least, int greatest, bool nearest,
                    int exponent_bits, int stored_fraction) {
  if (m == 0) return 0;
  int top = 0;
  while (top < 127 && m >> (top + 1)) ++top;
  int               exponent = e + top < least ? least : e + top;
  int               last     = exponent - fraction;  // exponent of the result's last bit
  unsigned __int128 q = 0, rest = 0;
  int const         drop = last - e;
  if (drop <= 0) q = m << -drop;
  else if (drop < 127) q = m >> drop, rest = m & ((static_cast<unsigned __int128>(1) << drop) - 1);
  if (nearest && drop > 0 && drop < 127) {
    unsigned __int128 const half = static_cast<unsigned __int128>(1) << (drop - 1);
    if (rest > half || (rest == half && (q & 1))) ++q;
  }
  if (q >> (fraction + 1)) q >>= 1, ++exponent;
  std::uint32_t const sign = static_cast<std::uint32_t>(negative) << (exponent_bits + stored_fraction);
  if (exponent > greatest) return sign | ((1u << exponent_bits) - 1) << stored_fraction;
  bool const          normal = q >> fraction & 1;
  std::uint32_t const stored = static_cast<std::uint32_t>(q & ((static_cast<unsigned __int128>(1) << fraction) - 1))
                               << (stored_fraction - fraction);
  return sign | (normal ? static_cast<std::uint32_t>(exponent + greatest) << stored_fraction : 0) | stored;
}

/// c + sum a b by the model; c and the result are bits of the accumulator's type.
std::uint32_t define(std::vector<number> const& a, std::vector<number> const& b, std::uint32_t c_bits, bool half,
                     machine const& how) {
  std::uint32_t const nan      = half ? 0x7fffu : 0x7fffffffu;
  std::uint32_t const infinity = half ? 0x7c00u : 0x7f800000u, sign = half ? 0x8000u : 0x80000000u;
  number              c = half ? read(c_bits, 5, 10) : read(c_bits, 8, 23);
  // An f16 accumulator counts with the exponent of its value, subnormals normalised.
  if (half)
    while (c.significand && !(c.significand >> 10)) c.significand <<= 1, --c.exponent, --c.scale;
  bool plus = false, minus = false;
  if (c.kind == number::nan) return nan;
  if (c.kind == number::infinite) (c.negative ? minus : plus) = true;
  int greatest = how.floor;
  if (c.kind == number::finite && c.significand && c.scale > greatest) greatest = c.scale;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].kind == number::nan || b[i].kind == number::nan) return nan;
    bool const infinite = a[i].kind == number::infinite || b[i].kind == number::infinite;
    bool const zero =
        (a[i].kind == number::finite && !a[i].significand) || (b[i].kind == number::finite && !b[i].significand);
    if (infinite && zero) return nan;
    if (infinite) (a[i].negative != b[i].negative ? minus : plus) = true;
    if (!infinite && !zero && a[i].scale + b[i].scale > greatest) greatest = a[i].scale + b[i].scale;
  }
  if (plus && minus) return nan;
  if (plus) return infinity;
  if (minus) return infinity | sign;
  __int128   sum  = 0;
  int const  last = greatest - how.fraction;
  auto const add  = [&](bool negative, std::uint64_t m, int e) {
    __int128 term = 0;
    if (e >= last) term = static_cast<__int128>(m) << (e - last);
    else if (last - e < 64) term = static_cast<__int128>(m >> (last - e));
    sum += negative ? -term : term;
  };
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].significand && b[i].significand)
      add(a[i].negative != b[i].negative, a[i].significand * b[i].significand, a[i].exponent + b[i].exponent);
  if (c.significand) add(c.negative, c.significand, c.exponent);
  auto const m = static_cast<unsigned __int128>(sum < 0 ? -sum : sum);
  return half ? round(sum < 0, m, last, 10, -14, 15, true, 5, 10)
              : round(sum < 0, m, last, how.result_fraction, -126, 127, false, 8, 23);
}

/// The whole instruction for one element, steps as the machines make them.
std::uint32_t define(mma_operation const& what, numerics how, std::vector<number> const& a,
                     std::vector<number> const& b, std::uint32_t c) {
  bool const        half = what.d == accumulator::f16, fp8 = is_fp8(what.a);
  std::size_t const k    = a.size();
  auto const        part = [&](auto const& wanted, std::uint32_t from, machine const& m) {
    std::vector<number> x, y;
    for (std::size_t i = 0; i < k; ++i)
      if (wanted(i)) x.push_back(a[i]), y.push_back(b[i]);
    return define(x, y, from, half, m);
  };
  if (how == numerics::hopper) {
    machine const m{25, half ? -21 : -133, 23};
    if (!fp8) return define(a, b, c, half, m);
    std::uint32_t const first = part([](std::size_t i) { return i % 4 < 2; }, 0u, m);
    std::uint32_t const both  = part([](std::size_t i) { return i % 4 >= 2; }, first, m);
    if (half) {
      double const sum = static_cast<double>(static_cast<float>(tenon::f16::from_bits(static_cast<std::uint16_t>(c)))) +
                         static_cast<float>(tenon::f16::from_bits(static_cast<std::uint16_t>(both)));
      return std::isnan(sum) ? 0x7fffu : tenon::f16(static_cast<float>(sum)).bits;
    }
    float const sum = tenon::bit_cast<float>(c) + tenon::bit_cast<float>(both);
    return std::isnan(sum) ? 0x7fffffffu : tenon::bit_cast<std::uint32_t>(sum);
  }
  machine const     m     = fp8 ? machine{13, -132, 13} : machine{24, half ? -20 : -132, 23};
  std::size_t const bytes = static_cast<std::size_t>(operand_bits(what.a)) * k / 8;
  if (bytes == 16) return define(a, b, c, half, m);
  std::uint32_t const first = part([&](std::size_t i) { return i < k / 2; }, c, m);
  return part([&](std::size_t i) { return i >= k / 2; }, first, m);
}

// ---- a warp -----------------------------------------------------------------------------------------------------------

/// The operands in matrix order and in the lanes' registers, by the tables of the PTX ISA.
struct warp {
  mma_operation                                what;
  std::vector<std::uint32_t>                   a, b, c;  // bits of elements: m x k, k x n, m x n
  std::array<std::array<std::uint32_t, 4>, 32> ra{}, rb{}, rd{};

  explicit warp(mma_operation const& w)
      : what(w),
        a(static_cast<std::size_t>(w.m * w.k)),
        b(static_cast<std::size_t>(w.k * 8)),
        c(static_cast<std::size_t>(w.m * 8)) {}

  std::vector<std::uint32_t> run(numerics how) {
    int const bits = operand_bits(what.a), each = 32 / bits;
    ra = {}, rb = {}, rd = {};
    for (std::size_t lane = 0; lane < 32; ++lane) {
      int const g = static_cast<int>(lane) / 4, t = static_cast<int>(lane) % 4;
      for (int i = 0; i < what.m * what.k / 32; ++i) {  // element i of the fragment, as PTX numbers them
        int const band = i / each, inside = i % each;
        int const row = g + (what.m == 16 ? 8 * (band % 2) : 0), half = what.m == 16 ? band / 2 : band;
        int const column = t * each + inside + half * 4 * each;
        ra[lane][static_cast<std::size_t>(i / each)] |= a[static_cast<std::size_t>(row * what.k + column)]
                                                        << (bits * inside % 32);
      }
      for (int i = 0; i < 8 * what.k / 32; ++i) {
        int const row = t * each + i % each + i / each * 4 * each;
        rb[lane][static_cast<std::size_t>(i / each)] |= b[static_cast<std::size_t>(row * 8 + g)]
                                                        << (bits * (i % each) % 32);
      }
      for (int v = 0; v < what.m / 4; ++v) {
        std::uint32_t const e = c[static_cast<std::size_t>((g + 8 * (v / 2)) * 8 + 2 * t + v % 2)];
        if (what.d == accumulator::f16) rd[lane][static_cast<std::size_t>(v / 2)] |= e << (v % 2 * 16);
        else rd[lane][static_cast<std::size_t>(v)] = e;
      }
    }
    [[maybe_unused]] auto    before = rd;
    std::array<mma_lane, 32> lane;
    std::array<void*, 32>    lanes;
    for (std::size_t l = 0; l < 32; ++l)
      lane[l] = {&what, rd[l].data(), ra[l].data(), rb[l].data()}, lanes[l] = &lane[l];
    mma_warp(what, how, lanes.data());
#if defined(__x86_64__) && !defined(__AVX2__) && !TENON_CHECKED
    // The processor has chosen its vectors; the others give the same.
    tenon::simt::tensor_core::operands o, chosen;
    tenon::simt::tensor_core::gather(what, lanes.data(), chosen);
    for (std::size_t l = 0; l < 32; ++l) lane[l].d = before[l].data();
    tenon::simt::tensor_core::gather(what, lanes.data(), o);
    tenon::simt::tensor_core::baseline::multiply(what, how, o);
    for (int i = 0; i < what.m; ++i) EXPECT_EQ(std::memcmp(o.d[i], chosen.d[i], sizeof o.d[i]), 0) << what.name;
#endif
    std::vector<std::uint32_t> d(c.size());
    for (std::size_t l = 0; l < 32; ++l)
      for (int v = 0; v < what.m / 4; ++v) {
        int const g = static_cast<int>(l) / 4, t = static_cast<int>(l) % 4;
        d[static_cast<std::size_t>((g + 8 * (v / 2)) * 8 + 2 * t + v % 2)] =
            what.d == accumulator::f16 ? rd[l][static_cast<std::size_t>(v / 2)] >> (v % 2 * 16) & 0xffffu
                                       : rd[l][static_cast<std::size_t>(v)];
      }
    return d;
  }
};

constexpr auto      f32 = accumulator::f32, half = accumulator::f16, s32 = accumulator::s32;
mma_operation const floats[] = {{16, 8, 8, operand::f16, operand::f16, f32, false, "f16 k8"},
                                {16, 8, 16, operand::f16, operand::f16, f32, false, "f16 k16"},
                                {16, 8, 8, operand::f16, operand::f16, half, false, "f16 k8 to f16"},
                                {16, 8, 16, operand::f16, operand::f16, half, false, "f16 k16 to f16"},
                                {16, 8, 8, operand::bf16, operand::bf16, f32, false, "bf16 k8"},
                                {16, 8, 16, operand::bf16, operand::bf16, f32, false, "bf16 k16"},
                                {16, 8, 4, operand::tf32, operand::tf32, f32, false, "tf32 k4"},
                                {16, 8, 8, operand::tf32, operand::tf32, f32, false, "tf32 k8"},
                                {16, 8, 16, operand::e4m3, operand::e4m3, f32, false, "e4m3 k16"},
                                {16, 8, 32, operand::e4m3, operand::e4m3, f32, false, "e4m3 k32"},
                                {16, 8, 16, operand::e5m2, operand::e5m2, half, false, "e5m2 k16 to f16"},
                                {16, 8, 32, operand::e5m2, operand::e5m2, f32, false, "e5m2 k32"},
                                {16, 8, 32, operand::e4m3, operand::e5m2, f32, false, "e4m3 e5m2 k32"},
                                {16, 8, 32, operand::e5m2, operand::e4m3, half, false, "e5m2 e4m3 k32 to f16"}};

/// Random bits of a floating-point type: the exponent field within `spread` of `centre` of its range, sometimes a special.
struct source {
  std::mt19937 engine{20261122};
  double       centre = 0.5, spread = 0.05;
  unsigned     zeros = 16, specials = 0;  // one in so many; 0 for none

  std::uint32_t draw(int exponent_bits, int fraction_bits) {
    std::uint32_t const r    = static_cast<std::uint32_t>(engine());
    std::uint32_t const sign = (r >> 31) << (exponent_bits + fraction_bits), all = (1u << exponent_bits) - 1;
    if (zeros && engine() % zeros == 0) return sign;
    if (specials && engine() % specials == 0)
      return sign | all << fraction_bits | (r % 2 ? r & ((1u << fraction_bits) - 1) : 0);
    double const        u     = static_cast<double>(engine()) / 4294967296.0 * 2 - 1;
    double const        e     = (centre + spread * u) * all;
    std::uint32_t const field = e < 0 ? 0 : e >= all ? all - 1 : static_cast<std::uint32_t>(e);
    return sign | field << fraction_bits | (r & ((1u << fraction_bits) - 1));
  }
  std::uint32_t draw(operand type) {
    switch (type) {
      case operand::f16: return draw(5, 10);
      case operand::bf16: return draw(8, 7);
      case operand::tf32: return draw(8, 23);
      case operand::e4m3: return draw(4, 3);
      case operand::e5m2: return draw(5, 2);
      default: return static_cast<std::uint32_t>(engine()) & ((1u << operand_bits(type)) - 1);
    }
  }
  std::uint32_t draw(accumulator type) {
    return type == half ? draw(5, 10) : type == f32 ? draw(8, 23) : static_cast<std::uint32_t>(engine());
  }
};

void fill(warp& w, source& from, std::optional<double> centre_of_c = {}) {
  for (auto& e : w.a) e = from.draw(w.what.a);
  for (auto& e : w.b) e = from.draw(w.what.b);
  double const centre = from.centre;
  if (centre_of_c) from.centre = *centre_of_c;
  for (auto& e : w.c) e = from.draw(w.what.d);
  from.centre = centre;
}

void expect_model(warp& w) {
  std::size_t const k = static_cast<std::size_t>(w.what.k);
  for (auto const how : {numerics::ampere, numerics::ada, numerics::hopper}) {
    auto const d = w.run(how);
    for (std::size_t i = 0; i < 16; ++i)
      for (std::size_t j = 0; j < 8; ++j) {
        std::vector<number> a(k), b(k);
        for (std::size_t x = 0; x < k; ++x)
          a[x] = read(w.a[i * k + x], w.what.a), b[x] = read(w.b[x * 8 + j], w.what.b);
        std::uint32_t const expected = define(w.what, how, a, b, w.c[i * 8 + j]);
        ASSERT_EQ(d[i * 8 + j], expected)
            << w.what.name << ", numerics " << static_cast<int>(how) << ", row " << i << ", column " << j << std::hex
            << ": " << d[i * 8 + j] << " not " << expected;
      }
  }
}

class every_float : public testing::TestWithParam<mma_operation> {};
INSTANTIATE_TEST_SUITE_P(mma, every_float, testing::ValuesIn(floats), [](auto const& of) {
  std::string name = of.param.name;
  for (char& c : name)
    if (c == ' ') c = '_';
  return name;
});

TEST_P(every_float, near_one) {
  warp   w(GetParam());
  source from;
  for (int i = 0; i < 12; ++i) fill(w, from), expect_model(w);
}
TEST_P(every_float, wide_exponents) {
  warp   w(GetParam());
  source from;
  for (double const spread : {0.1, 0.2, 0.5})
    for (int i = 0; i < 6; ++i) from.spread = spread, fill(w, from), expect_model(w);
}
TEST_P(every_float, ends_of_the_range) {  // subnormals, overflow, accumulators far from the products
  warp   w(GetParam());
  source from;
  for (double const centre : {0.0, 0.02, 0.25, 0.75, 0.98, 1.0})
    for (double const of_c : {0.0, 0.3, 0.5, 0.9, 1.0}) from.centre = centre, fill(w, from, of_c), expect_model(w);
}
TEST_P(every_float, mostly_zeros) {
  warp   w(GetParam());
  source from;
  from.spread = 0.5;
  for (unsigned const zeros : {1u, 2u})
    for (int i = 0; i < 6; ++i) from.zeros = zeros, fill(w, from), expect_model(w);
}
TEST_P(every_float, infinities_and_nan) {
  warp   w(GetParam());
  source from;
  for (unsigned const specials : {200u, 40u, 8u})
    for (int i = 0; i < 4; ++i) from.specials = specials, fill(w, from), expect_model(w);
}
TEST_P(every_float, cancellation) {  // the second half of k undoes the first but for the last bits; c the rest
  warp                w(GetParam());
  source              from;
  std::size_t const   k    = static_cast<std::size_t>(w.what.k);
  std::uint32_t const sign = 1u << (operand_bits(w.what.a) - 1);
  from.spread              = 0.15;
  for (int n = 0; n < 8; ++n) {
    fill(w, from);
    for (std::size_t i = 0; i < 16; ++i)
      for (std::size_t x = 0; x < k / 2; ++x) w.a[i * k + k - 1 - x] = w.a[i * k + x] ^ sign;
    for (std::size_t x = 0; x < k / 2; ++x)
      for (std::size_t j = 0; j < 8; ++j) w.b[(k - 1 - x) * 8 + j] = w.b[x * 8 + j] ^ (from.engine() % 4 == 0);
    expect_model(w);
  }
}
TEST_P(every_float, at_once_is_a_sum_in_the_order_of_k) {  // numerics::f32
  warp   w(GetParam());
  source from;
  from.spread             = 0.1;
  std::size_t const k     = static_cast<std::size_t>(w.what.k);
  auto const        value = [](std::uint32_t bits, operand type) {
    number const v = read(bits, type);
    return static_cast<float>(std::ldexp(static_cast<double>(v.significand), v.exponent)) * (v.negative ? -1.f : 1.f);
  };
  for (int n = 0; n < 4; ++n) {
    fill(w, from);
    auto const d = w.run(numerics::f32);
    for (std::size_t i = 0; i < 16; ++i)
      for (std::size_t j = 0; j < 8; ++j) {
        std::uint32_t const c = w.c[i * 8 + j];
        float volatile sum = w.what.d == half ? static_cast<float>(tenon::f16::from_bits(static_cast<std::uint16_t>(c)))
                                              : tenon::bit_cast<float>(c);
        for (std::size_t x = 0; x < k; ++x) {
          float const volatile product = value(w.a[i * k + x], w.what.a) * value(w.b[x * 8 + j], w.what.b);
          sum                          = sum + product;
        }
        std::uint32_t const expected =
            w.what.d == half ? tenon::f16(sum).bits : tenon::bit_cast<std::uint32_t>(float(sum));
        ASSERT_EQ(d[i * 8 + j], expected) << w.what.name << ", row " << i << ", column " << j;
      }
  }
}

TEST(integers, every_shape_wraps_or_saturates) {
  struct shape {
    int m, k, bits;
  };
  source from;
  for (auto const& each : {shape{8, 16, 8}, {16, 16, 8}, {16, 32, 8}, {8, 32, 4}, {16, 32, 4}, {16, 64, 4}}) {
    int const m = each.m, k = each.k, bits = each.bits;
    for (int pair = 0; pair < 8; ++pair) {
      auto const type = [&](bool is_signed) {
        return bits == 8 ? (is_signed ? operand::s8 : operand::u8) : is_signed ? operand::s4 : operand::u4;
      };
      bool const signed_a = pair & 1, signed_b = pair & 2, saturate = pair & 4;
      warp       w({m, 8, k, type(signed_a), type(signed_b), s32, saturate, "integers"});
      fill(w, from);
      for (std::size_t i = 0; i < 8; ++i) {  // sums beyond both ends, from the extremes of the operands
        w.c[i] = i % 2 ? 0x7ffffff0u : 0x80000010u;
        if (i < 4) w.c[i + 8] = w.c[i];
      }
      auto const d     = w.run(numerics::f32);
      auto const value = [&](std::uint32_t v, bool is_signed) {
        return is_signed && v >> (bits - 1) ? static_cast<std::int64_t>(v) - (1 << bits) : static_cast<std::int64_t>(v);
      };
      for (std::size_t i = 0; i < static_cast<std::size_t>(m); ++i)
        for (std::size_t j = 0; j < 8; ++j) {
          std::size_t const n   = static_cast<std::size_t>(k);
          std::int64_t      sum = static_cast<std::int32_t>(w.c[i * 8 + j]);
          for (std::size_t x = 0; x < n; ++x) sum += value(w.a[i * n + x], signed_a) * value(w.b[x * 8 + j], signed_b);
          if (saturate) sum = std::min<std::int64_t>(INT32_MAX, std::max<std::int64_t>(INT32_MIN, sum));
          ASSERT_EQ(d[i * 8 + j], static_cast<std::uint32_t>(sum)) << "m" << m << " k" << k << " pair " << pair;
        }
    }
  }
}

// What the generations differ in, by hand: 1 + 16 times 2^-24.
TEST(generations, keep_different_bits_of_small_terms) {
  warp w(floats[1]);
  for (auto& e : w.a) e = 0x0c00;  // 2^-12
  for (auto& e : w.b) e = 0x0c00;
  for (auto& e : w.c) e = 0x3f800000;
  float const ulp = 0x1p-23f;
  EXPECT_EQ(tenon::bit_cast<float>(w.run(numerics::f32)[0]), 1.f);  // each addition rounds it away, to even
  EXPECT_EQ(tenon::bit_cast<float>(w.run(numerics::ampere)[0]), 1.f + 8 * ulp);
  EXPECT_EQ(tenon::bit_cast<float>(w.run(numerics::hopper)[0]), 1.f + 8 * ulp);
  for (auto& e : w.b) e = 0x0800;  // 2^-13: terms of 2^-25
  EXPECT_EQ(tenon::bit_cast<float>(w.run(numerics::ampere)[0]), 1.f);
  EXPECT_EQ(tenon::bit_cast<float>(w.run(numerics::hopper)[0]), 1.f + 4 * ulp);
}

// Terms are aligned to 2^floor at least: below its last bit they are lost even beside nothing larger. A first term in the
// middle between two results, or on one, makes the second visible.
TEST(generations, lose_what_is_far_below_the_range) {
  auto const element = [](mma_operation const& what, numerics how, std::uint32_t a0, std::uint32_t b0, std::uint32_t a1,
                          std::uint32_t b1) {
    warp w(what);
    w.a[0] = a0, w.a[1] = a1, w.b[0] = b0, w.b[8] = b1;
    return w.run(how)[0];
  };
  auto const bits    = [](float v) { return tenon::f16(v).bits; };
  auto const to_half = [&](numerics how, float second) {  // 2^-25 + second, rounded to units of 2^-24
    return element(floats[3], how, bits(0x1p-13f), bits(0x1p-12f), bits(0x1p-24f), bits(second * 0x1p24f));
  };
  EXPECT_EQ(to_half(numerics::hopper, 0x1p-46f), 1u);
  EXPECT_EQ(to_half(numerics::hopper, 0x1p-47f), 0u);
  EXPECT_EQ(to_half(numerics::ampere, 0x1p-44f), 1u);
  EXPECT_EQ(to_half(numerics::ampere, 0x1p-45f), 0u);
  auto const brain     = [](float v) { return tenon::bf16(v).bits; };
  auto const to_single = [&](numerics how, float second) {  // 2^-149 - 2^-80 second, truncated
    return element(floats[5], how, brain(0x1p-75f), brain(0x1p-74f), brain(-0x1p-80f), brain(second));
  };
  EXPECT_EQ(to_single(numerics::hopper, 0x1p-78f), 0u);
  EXPECT_EQ(to_single(numerics::hopper, 0x1p-79f), 1u);
  EXPECT_EQ(to_single(numerics::ampere, 0x1p-76f), 0u);
  EXPECT_EQ(to_single(numerics::ampere, 0x1p-77f), 1u);
}

}  // namespace
