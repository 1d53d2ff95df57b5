// Conversions against definitions in double: every pattern of 16 and 8 bits, and floats around every value and every
// midpoint of the narrow formats.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::e2m1, tenon::e2m3, tenon::e3m2, tenon::e4m3, tenon::e5m2, tenon::f16, tenon::rounding,
    tenon::tf32, tenon::ue8m0;

/// A format in numbers. `largest` is its largest finite pattern, `nan` what NaN becomes.
struct format {
  int           exponent_bits, fraction_bits, bias;
  std::uint32_t largest, nan;
  bool          infinite;  // it has infinities, and rounding reaches them
};
constexpr format of_f16 = {5, 10, 15, 0x7bff, 0x7fff, true}, of_bf16 = {8, 7, 127, 0x7f7f, 0x7fff, true};
constexpr format of_tf32 = {8, 10, 127, 0x3fbff, 0x3ffff, true};
constexpr format of_e4m3 = {4, 3, 7, 0x7e, 0x7f, false}, of_e5m2 = {5, 2, 15, 0x7b, 0x7f, false};
constexpr format of_e3m2 = {3, 2, 3, 0x1f, 0x1f, false}, of_e2m3 = {2, 3, 1, 0x1f, 0x1f, false};
constexpr format of_e2m1 = {2, 1, 1, 0x7, 0x7, false};

double value_of(format const& f, std::uint32_t magnitude) {
  int const  field    = static_cast<int>(magnitude >> f.fraction_bits);
  auto const fraction = static_cast<double>(magnitude & ((1u << f.fraction_bits) - 1));
  return field == 0 ? std::ldexp(fraction, 1 - f.bias - f.fraction_bits)
                    : std::ldexp(fraction + std::ldexp(1.0, f.fraction_bits), field - f.bias - f.fraction_bits);
}

std::uint32_t define(format const& f, double v, rounding how) {
  if (std::isnan(v)) return f.nan;
  std::uint32_t const sign = static_cast<std::uint32_t>(std::signbit(v)) << (f.exponent_bits + f.fraction_bits);
  double const        m    = std::fabs(v);
  if (std::isinf(v) && f.infinite) return sign | (f.largest + 1);
  int const    exponent = m == 0 ? 1 - f.bias : std::max(std::ilogb(m), 1 - f.bias);
  double const unit     = std::ldexp(1.0, exponent - f.fraction_bits);
  double const steps    = m / unit;  // exact
  double const rounded  = (how == rounding::toward_zero    ? std::trunc(steps)
                           : how == rounding::nearest_away ? std::round(steps)
                                                           : std::nearbyint(steps)) *
                         unit;
  double const largest = value_of(f, f.largest);
  if (!(rounded <= largest)) return sign | (f.infinite && how != rounding::toward_zero ? f.largest + 1 : f.largest);
  // The patterns of magnitudes are in order: search.
  std::uint32_t low = 0, high = f.largest;
  while (low < high) {
    std::uint32_t const middle = (low + high) / 2;
    if (value_of(f, middle) < rounded) low = middle + 1;
    else high = middle;
  }
  return sign | low;
}

// ---- float to everything ------------------------------------------------------------------------------------------------

enum to {
  f16_n,
  f16_z,
  bf16_n,
  bf16_z,
  f16_relu,
  bf16_relu,
  tf32_a,
  e4m3_n,
  e5m2_n,
  e3m2_n,
  e2m3_n,
  e2m1_n,
  ue8m0_u,
  ue8m0_z,
  s8,
  u8,
  s8_four,
  formats
};

struct narrow_params {
  float const*   v;  // (count)
  std::uint32_t* r;  // (count, formats): this value in the lower half, minus it in the upper
  int            count;
};

template <class T>
__device__ std::uint32_t spread(T pair) {  // the halves of a pair in 16 bits each
  constexpr int bits = sizeof(T) * 4;
  auto const    v    = static_cast<std::uint32_t>(pair);
  return (v & ((1u << bits) - 1)) | (v >> bits) << 16;
}

__global__ void narrow(__grid_constant__ narrow_params const p) {
  using namespace tenon;
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < p.count;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    float const    v = p.v[i];
    std::uint32_t* r = p.r + static_cast<std::size_t>(i) * formats;
    r[f16_n]         = arch::convert_pair<f16>(v, -v);
    r[f16_z]         = arch::convert_pair<f16, rounding::toward_zero>(v, -v);
    r[bf16_n]        = arch::convert_pair<bf16>(v, -v);
    r[bf16_z]        = arch::convert_pair<bf16, rounding::toward_zero>(v, -v);
    r[f16_relu]      = arch::convert_pair_relu<f16>(v, -v);
    r[bf16_relu]     = arch::convert_pair_relu<bf16>(v, -v);
    r[tf32_a]        = arch::convert<tf32>(v).bits;
    r[e4m3_n]        = spread(arch::convert_pair<e4m3>(v, -v));
    r[e5m2_n]        = spread(arch::convert_pair<e5m2>(v, -v));
    r[e3m2_n]        = spread(arch::convert_pair<e3m2>(v, -v));
    r[e2m3_n]        = spread(arch::convert_pair<e2m3>(v, -v));
    r[e2m1_n]        = spread(arch::convert_pair<e2m1>(v, -v));
    r[ue8m0_u]       = spread(arch::convert_pair<ue8m0>(v, -v));
    r[ue8m0_z]       = spread(arch::convert_pair<ue8m0, rounding::toward_zero>(v, -v));
    r[s8]            = static_cast<std::uint8_t>(arch::convert<std::int8_t>(v));
    r[u8]            = arch::convert<std::uint8_t>(v);
    r[s8_four]       = arch::convert_four<std::int8_t>(v, -v, v * 0.5f, 3.f);
  }
}

std::uint32_t define_scale(double v, bool up) {
  if (std::isnan(v)) return 0xff;
  double const m = std::fabs(v);
  if (m <= std::ldexp(1.0, -127)) return 0;
  if (m >= std::ldexp(1.0, 127)) return 0xfe;
  int const e = std::ilogb(m);
  return static_cast<std::uint32_t>(e + 127 + (up && m != std::ldexp(1.0, e)));
}
std::uint32_t define_byte(double v, double least, double greatest) {
  if (std::isnan(v)) return 0;
  return static_cast<std::uint32_t>(static_cast<int>(std::fmin(std::fmax(std::nearbyint(v), least), greatest))) & 255u;
}

std::uint32_t define(int which, float f) {
  double const   v    = static_cast<double>(f);
  auto const     both = [&](format const& to, rounding how) { return define(to, v, how) | define(to, -v, how) << 16; };
  constexpr auto nearest = rounding::nearest_even, zero = rounding::toward_zero;
  auto const     relu = [&](format const& to) {
    return std::isnan(v) ? to.nan | to.nan << 16
                             : define(to, v > 0 ? v : 0., nearest) | define(to, v < 0 ? -v : 0., nearest) << 16;
  };
  switch (which) {
    case f16_n: return both(of_f16, nearest);
    case f16_z: return both(of_f16, zero);
    case bf16_n: return both(of_bf16, nearest);
    case bf16_z: return both(of_bf16, zero);
    case f16_relu: return relu(of_f16);
    case bf16_relu: return relu(of_bf16);
    case tf32_a: return define(of_tf32, v, rounding::nearest_away) << 13;
    case e4m3_n: return both(of_e4m3, nearest);
    case e5m2_n: return both(of_e5m2, nearest);
    case e3m2_n: return both(of_e3m2, nearest);
    case e2m3_n: return both(of_e2m3, nearest);
    case e2m1_n: return both(of_e2m1, nearest);
    case ue8m0_u: return define_scale(v, true) * 0x10001u;
    case ue8m0_z: return define_scale(v, false) * 0x10001u;
    case s8: return define_byte(v, -128, 127);
    case u8: return define_byte(v, 0, 255);
    case s8_four:
      return define_byte(v, -128, 127) | define_byte(-v, -128, 127) << 8 | define_byte(v / 2, -128, 127) << 16 |
             3u << 24;
    default: return 0;
  }
}

/// What the CUDA side promises of the result only.
std::uint32_t counts(int which) { return which == tf32_a ? ~0x1fffu : ~0u; }

TEST(convert, narrows_every_float_of_16_bits_and_its_surroundings) {
  // The lower bits: none, the last before and the first after midpoints of the formats, midpoints themselves.
  constexpr std::uint32_t lower[] = {0x0000, 0x0001, 0x0fff, 0x1000, 0x1001, 0x3000,
                                     0x7fff, 0x8000, 0x8001, 0xf000, 0xffff};
  std::vector<float>      v;
  for (std::uint32_t i = 0; i < 0x8000; ++i) {  // the kernel makes the negative ones
    v.push_back(tenon::bit_cast<float>(i << 16));
    v.push_back(tenon::bit_cast<float>(i << 16 | lower[i % 11]));
  }
  for (int i = -600; i <= 600; ++i)
    v.push_back(static_cast<float>(i) * 0.25f), v.push_back(static_cast<float>(i) * 0.75f);
  auto const                 count = static_cast<int>(v.size());
  std::vector<std::uint32_t> expected;
  for (float const f : v)
    for (int which = 0; which < formats; ++which) expected.push_back(define(which, f));
  test::on_every_target([&](tenon::context const& where) {
    if (!TENON_CUDA && where.arch != 90) return;  // the host's conversions are the same for all
    test::tensor<float, 1>         x(count);
    test::tensor<std::uint32_t, 2> r(count, static_cast<int>(formats));
    x.assign(v);
    ASSERT_TRUE(tenon::arch::launch("narrow", where, {.grid = 8, .block = 64}, narrow,
                                    narrow_params{x.view().data, r.view().data, count})
                    .ok());
    auto const got = r.values();
    for (std::size_t i = 0; i < got.size(); ++i) {
      int const           which = static_cast<int>(i % formats);
      std::uint32_t const mask  = counts(which);
      ASSERT_EQ(got[i] & mask, expected[i] & mask)
          << "conversion " << which << " of " << std::hexfloat << v[i / formats];
    }
  });
}

// ---- f16 to eight bits, and back to wider ones --------------------------------------------------------------------------

struct pairs_params {
  std::uint32_t* r;  // (65536, 2) of f16 to e4m3 and e5m2; (65536, 6) of pairs to f16 or bf16
  int            count;
};

__global__ void narrow_f16(__grid_constant__ pairs_params const p) {
  using namespace tenon;
  for (auto i = blockIdx.x * blockDim.x + threadIdx.x; i < 65536; i += gridDim.x * blockDim.x) {
    p.r[2 * i]     = arch::convert_pair<e4m3>(i | (i ^ 0x8000u) << 16);
    p.r[2 * i + 1] = arch::convert_pair<e5m2>(i | (i ^ 0x8000u) << 16);
  }
}

TEST(convert, narrows_every_f16) {
  test::on_every_target([](tenon::context const& where) {
    if (!TENON_CUDA && where.arch != 90) return;
    test::tensor<std::uint32_t, 1> r(2 * 65536);
    ASSERT_TRUE(tenon::arch::launch("narrow_f16", where, {.grid = 8, .block = 64}, narrow_f16,
                                    pairs_params{r.view().data, 65536})
                    .ok());
    auto const got = r.values();
    for (std::uint32_t i = 0; i < 65536; ++i) {
      double v = (i & 0x7fff) > 0x7c00    ? std::nan("")
                 : (i & 0x7fff) == 0x7c00 ? INFINITY
                                          : value_of(of_f16, i & 0x7fff);
      if (i & 0x8000) v = -v;
      for (int which = 0; which < 2; ++which) {
        format const&       to       = which ? of_e5m2 : of_e4m3;
        std::uint32_t const expected = define(to, v, rounding::nearest_even) | define(to, -v, rounding::nearest_even)
                                                                                   << 8;
        ASSERT_EQ(got[2 * i + static_cast<std::uint32_t>(which)], expected) << std::hex << i;
      }
    }
  });
}

__global__ void widen(__grid_constant__ pairs_params const p) {
  using namespace tenon;
  for (auto i = blockIdx.x * blockDim.x + threadIdx.x; i < 256; i += gridDim.x * blockDim.x) {
    auto const pair = static_cast<std::uint16_t>(i | (255 - i) << 8);
    p.r[6 * i]      = arch::widen_pair<e4m3>(pair);
    p.r[6 * i + 1]  = arch::widen_pair<e5m2>(pair);
    p.r[6 * i + 2]  = arch::widen_pair<e3m2>(pair & 0x3f3f);
    p.r[6 * i + 3]  = arch::widen_pair<e2m3>(pair & 0x3f3f);
    p.r[6 * i + 4]  = arch::widen_pair<e2m1>(static_cast<std::uint8_t>(i));
    p.r[6 * i + 5]  = arch::widen_pair<ue8m0>(pair);
  }
}

TEST(convert, widens_every_pattern) {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<std::uint32_t, 1> r(6 * 256);
    ASSERT_TRUE(
        tenon::arch::launch("widen", where, {.grid = 1, .block = 64}, widen, pairs_params{r.view().data, 256}).ok());
    auto const got  = r.values();
    auto const wide = [](format const& f, std::uint32_t bits, std::uint32_t nan_above) -> std::uint32_t {
      std::uint32_t const top = 1u << (f.exponent_bits + f.fraction_bits), m = bits & (top - 1);
      double const        v = m > nan_above ? std::nan("") : m > f.largest ? INFINITY : value_of(f, m);
      return define(of_f16, bits & top ? -v : v, rounding::nearest_even);
    };
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t const low = i, high = 255 - i;
      auto const          both = [&](format const& f, std::uint32_t a, std::uint32_t b, std::uint32_t nan_above) {
        return wide(f, a, nan_above) | wide(f, b, nan_above) << 16;
      };
      auto const scale = [](std::uint32_t e) { return e == 255 ? 0x7fffu : e == 0 ? 0x40u : e << 7; };
      ASSERT_EQ(got[6 * i], both(of_e4m3, low, high, 0x7e)) << i;
      ASSERT_EQ(got[6 * i + 1], both(of_e5m2, low, high, 0x7c)) << i;
      ASSERT_EQ(got[6 * i + 2], both(of_e3m2, low & 63, high & 63, 0x1f)) << i;
      ASSERT_EQ(got[6 * i + 3], both(of_e2m3, low & 63, high & 63, 0x1f)) << i;
      ASSERT_EQ(got[6 * i + 4], both(of_e2m1, i & 15, i >> 4, 7)) << i;
      ASSERT_EQ(got[6 * i + 5], scale(low) | scale(high) << 16) << i;
    }
  });
}

}  // namespace
