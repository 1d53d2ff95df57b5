#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using tenon::f16, tenon::index_t, tenon::kv_fp8, tenon::kv_int4, tenon::kv_int8, tenon::kv_range;

constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

template <class Format>
struct encoded {
  typename Format::scale_type scale;
  std::vector<double>         values;  // read back, exactly
};

/// A row that shares one scale, to codes and back.
template <class Format>
encoded<Format> round_trip(std::vector<float> const& row) {
  tenon::kv_reach<Format> reach;
  for (float const x : row) reach.note(x);
  encoded<Format> r{reach.scale(), {}};
  for (float const x : row) {
    std::uint8_t const code = tenon::kv_code_of<Format>(x, r.scale);
    r.values.push_back(double(tenon::kv_scale(r.scale)) * double(tenon::kv_code_number<Format>(&code, 0)) +
                       double(tenon::kv_offset(r.scale)));
  }
  return r;
}

/// Half a scale and the rounding of (x - offset) / scale, a number of up to 2^(bits - 1), in fp32.
template <class Format>
double covering(kv_range const& s) {
  return double(float(s.scale)) * (0.5 + std::ldexp(1., Format::bits - 1) * std::ldexp(1., -22));
}

template <class Format>
void expect_covered(std::vector<float> const& row) {
  auto const got = round_trip<Format>(row);
  ASSERT_TRUE(std::isfinite(float(got.scale.scale)) && float(got.scale.scale) > 0);
  for (std::size_t i = 0; i < row.size(); ++i)
    ASSERT_LE(std::abs(got.values[i] - double(row[i])), covering<Format>(got.scale))
        << row[i] << " at " << i << ", scale " << float(got.scale.scale) << ", offset " << float(got.scale.offset);
}

template <class Format>
class kv_range_formats : public testing::Test {};
using ranges = testing::Types<kv_int8, kv_int4>;
TYPED_TEST_SUITE(kv_range_formats, ranges);

// The rounding of scale and offset to f16 included: magnitudes from below f16's smallest to its largest, means near and far.
TYPED_TEST(kv_range_formats, cover_what_they_were_made_from) {
  std::mt19937_64            engine(1);
  std::normal_distribution<> normal;
  for (int power = -30; power <= 13; ++power)
    for (double const mean : {0., 1., -3.3, 100.7})
      for (int trial = 0; trial < 20; ++trial) {
        std::vector<float> row;
        for (int i = 0; i < 64; ++i) row.push_back(float(std::ldexp(normal(engine) + mean, std::min(power, 8))));
        if (power > 8)
          for (float& x : row) x = std::clamp(float(std::ldexp(x, power - 8)), -65504.f, 65504.f);
        expect_covered<TypeParam>(row);
        if (testing::Test::HasFatalFailure()) return;
      }
}

TYPED_TEST(kv_range_formats, cover_extremes_constants_and_tiny_rows) {
  expect_covered<TypeParam>({-65504, 65504, 0, 1});
  expect_covered<TypeParam>({0, 65504, 32752.5f});
  expect_covered<TypeParam>({-65504, -65503});
  expect_covered<TypeParam>({65504});
  expect_covered<TypeParam>({-65504});
  for (float const constant : {0.f, -0.f, 1.f, 1000.3f, -0.1f, 3e-5f, 1e-8f, 1e-30f, 65503.f})
    expect_covered<TypeParam>({constant, constant, constant});
  expect_covered<TypeParam>({1e-8f, 3e-8f, -2e-8f});
  expect_covered<TypeParam>({6e-8f, -6e-8f});
  expect_covered<TypeParam>({1e-40f, -1e-40f});
}

TYPED_TEST(kv_range_formats, are_exact_where_all_is_a_multiple_of_the_scale) {
  auto const          zeros = round_trip<TypeParam>({0, 0, -0.f});
  std::vector<double> none(3, 0.);
  EXPECT_EQ(zeros.values, none);
  float const        below = 1 << (TypeParam::bits - 1);
  std::vector<float> all;
  for (float i = -below; i < below; ++i) all.push_back(0.5f * i + 3);
  auto const grid = round_trip<TypeParam>(all);
  EXPECT_EQ(float(grid.scale.scale), 0.5f);
  EXPECT_EQ(float(grid.scale.offset), 3.f);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(grid.values[i], double(all[i]));
}

// What does not fit f16 is taken for the largest that does.
TYPED_TEST(kv_range_formats, saturate_beyond_the_largest_scale) {
  auto const got = round_trip<TypeParam>({1e30f, -3e38f, 3e38f, 100});
  EXPECT_NEAR(got.values[0], 65504, covering<TypeParam>(got.scale));
  EXPECT_NEAR(got.values[1], -65504, covering<TypeParam>(got.scale));
  EXPECT_NEAR(got.values[2], 65504, covering<TypeParam>(got.scale));
  EXPECT_NEAR(got.values[3], 100, covering<TypeParam>(got.scale));
}

template <class Format>
class kv_formats : public testing::Test {};
using formats = testing::Types<kv_fp8, kv_int8, kv_int4>;
TYPED_TEST_SUITE(kv_formats, formats);

TYPED_TEST(kv_formats, read_nan_where_there_was_nan_or_infinity) {
  for (float const bad : {nan, -nan, infinity, -infinity, std::bit_cast<float>(0xffffffffu)})
    for (std::size_t at = 0; at < 5; ++at) {
      std::vector<float> row{1, -2, 0, 3, -4};
      row[at] = bad;
      for (double const v : round_trip<TypeParam>(row).values) EXPECT_TRUE(std::isnan(v)) << bad << " at " << at;
    }
  EXPECT_TRUE(std::isnan(round_trip<TypeParam>({infinity, -infinity}).values[0]));
}

TYPED_TEST(kv_formats, order_of_columns_does_not_matter) {
  std::vector<float> row{0.5f, -0.f, -7, 3e-9f, 6, 0, -1e-3f};
  auto const         scale = round_trip<TypeParam>(row).scale;
  for (int i = 0; i < 6; ++i) {
    std::rotate(row.begin(), row.begin() + 1, row.end());
    auto const again = round_trip<TypeParam>(row).scale;
    EXPECT_EQ(std::memcmp(&again, &scale, sizeof scale), 0);
    // Halves that find their reach apart, as lanes do.
    tenon::kv_reach<TypeParam> left, right;
    for (std::size_t n = 0; n < row.size(); ++n) (n < 3 ? left : right).note(row[n]);
    left.join(right);
    auto const joined = left.scale();
    EXPECT_EQ(std::memcmp(&joined, &scale, sizeof scale), 0);
  }
}

TEST(kv_fp8_format, is_within_half_a_step_of_e4m3) {
  std::mt19937_64            engine(2);
  std::normal_distribution<> normal;
  for (int const power : {-100, -20, 0, 12, 100}) {
    std::vector<float> row;
    for (int i = 0; i < 128; ++i) row.push_back(float(std::ldexp(normal(engine), power)));
    auto const got     = round_trip<kv_fp8>(row);
    float      largest = 0;
    for (float const x : row) largest = std::max(largest, std::abs(x));
    EXPECT_FLOAT_EQ(got.scale, largest / 448);
    for (std::size_t i = 0; i < row.size(); ++i) {
      // A normal number's step is 2^-3 of its power of two, a subnormal one's 2^-9.
      double const x    = std::abs(double(row[i])) / double(got.scale);
      double const step = std::ldexp(1., std::max(std::ilogb(x), -6) - 3);
      ASSERT_LE(std::abs(got.values[i] - double(row[i])), double(got.scale) * step * (0.5 + 1e-5)) << row[i];
    }
  }
  auto const zeros = round_trip<kv_fp8>({0, -0.f});
  EXPECT_GT(zeros.scale, 0.f);
  EXPECT_EQ(zeros.values, (std::vector<double>{0, 0}));
  EXPECT_EQ(round_trip<kv_fp8>({1e-40f}).scale, std::numeric_limits<float>::min());  // never 0 nor subnormal
  EXPECT_NEAR(round_trip<kv_fp8>({3.4e38f, 1}).values[0], 3.4e38, 1e32);
}

TEST(kv_fp8_format, saturates_with_a_given_scale) {
  auto const value = [](float x, float scale) {
    std::uint8_t const code = tenon::kv_code_of<kv_fp8>(x, scale);
    return scale * tenon::kv_code_number<kv_fp8>(&code, 0);
  };
  EXPECT_EQ(value(1000, 0.5f), 224.f);
  EXPECT_EQ(value(-1000, 0.5f), -224.f);
  EXPECT_EQ(value(infinity, 0.5f), 224.f);
  EXPECT_EQ(value(3, 0.5f), 3.f);
  EXPECT_TRUE(std::isnan(value(nan, 0.5f)));
}

TEST(kv_code, every_code_has_its_number) {
  for (int code = 0; code < 256; ++code) {
    auto const byte = static_cast<std::uint8_t>(code);
    EXPECT_EQ(tenon::kv_code_number<kv_int8>(&byte, 0), float(code < 128 ? code : code - 256));
    EXPECT_EQ(tenon::kv_code_number<kv_int4>(&byte, 0), float(code % 16 - 8)) << "even columns are in the low half";
    EXPECT_EQ(tenon::kv_code_number<kv_int4>(&byte, 1), float(code / 16 - 8)) << "odd columns are in the high half";
    int const   exponent = code >> 3 & 15, fraction = code & 7;
    float const magnitude = exponent ? std::ldexp(float(8 + fraction), exponent - 10) : std::ldexp(float(fraction), -9);
    float const number    = tenon::kv_code_number<kv_fp8>(&byte, 0);
    if ((code & 127) == 127) {
      EXPECT_TRUE(std::isnan(number));
    } else {
      EXPECT_EQ(number, code < 128 ? magnitude : -magnitude);
      EXPECT_EQ(tenon::kv_code_of<kv_fp8>(number, 1), code);
    }
  }
  std::uint8_t const row[] = {0x21, 0x43, 0x65};
  for (index_t d = 0; d < 6; ++d) EXPECT_EQ(tenon::kv_code_number<kv_int4 const>(row, d), float(d + 1 - 8));
}

TEST(kv_code, rounds_to_nearest_even_and_saturates) {
  kv_range const unit{f16(1.f), f16(0.f)}, shifted{f16(0.25f), f16(10.f)};
  auto const     eight = [&](float x) { return int(static_cast<std::int8_t>(tenon::kv_code_of<kv_int8>(x, unit))); };
  auto const     four  = [&](float x) { return int(tenon::kv_code_of<kv_int4>(x, unit)) - 8; };
  for (float x = -7.5f; x <= 7; x += 0.125f) {
    EXPECT_EQ(eight(x), int(std::nearbyint(x))) << x;
    EXPECT_EQ(four(x), int(std::nearbyint(x))) << x;
  }
  for (float const x : {127.5f, 1e30f, infinity}) EXPECT_EQ(eight(x), 127) << x;
  for (float const x : {-128.5f, -1e30f, -infinity}) EXPECT_EQ(eight(x), -128) << x;
  for (float const x : {7.5f, 1e30f, infinity}) EXPECT_EQ(four(x), 7) << x;
  for (float const x : {-8.5f, -1e30f, -infinity}) EXPECT_EQ(four(x), -8) << x;
  EXPECT_LE(tenon::kv_code_of<kv_int4>(nan, unit), 15);  // the other half of the byte is somebody else's
  EXPECT_EQ(tenon::kv_code_of<kv_int8>(11, shifted), 4);
  EXPECT_EQ(tenon::kv_code_of<kv_int4>(9, shifted), 8 - 4);
}

// Nothing is written over anything else, scales lie where their type may, and pages are what kv_page_bytes says.
TYPED_TEST(kv_formats, pages_are_codes_and_then_scales) {
  using scale_type = typename TypeParam::scale_type;
  for (index_t const width : {2, 6, 32, 34, 64, 80, 128})
    for (index_t const heads : {1, 3, 8})
      for (index_t const page_size : {1, 5, 16}) {
        SCOPED_TRACE(std::to_string(width) + " columns, " + std::to_string(heads) + " heads, page " +
                     std::to_string(page_size));
        index_t const          pages = 3, bytes = tenon::kv_page_bytes<TypeParam>(page_size, heads, width);
        std::vector<std::byte> memory(std::size_t(pages * bytes) + 16);
        auto* const            data = memory.data() + (16 - std::bit_cast<std::uintptr_t>(memory.data()) % 16) % 16;
        auto const             kv   = tenon::kv_pages_over<TypeParam>(data, pages, page_size, heads, width);
        EXPECT_EQ(kv.width(), width);
        EXPECT_EQ(tenon::kv_width(kv), width);
        EXPECT_EQ(kv.scale.extent[3], TypeParam::bits == 4 ? (width + 31) / 32 : 1);
        EXPECT_EQ(bytes % 16, 0);
        std::vector<int> owners(std::size_t(pages * bytes));
        auto const       own = [&](void const* at, std::size_t size, index_t page) {
          auto const offset = static_cast<std::byte const*>(at) - data;
          EXPECT_GE(offset, page * bytes);
          EXPECT_LE(offset + index_t(size), (page + 1) * bytes);
          for (std::size_t i = 0; i < size; ++i) ++owners[std::size_t(offset) + i];
        };
        for (index_t p = 0; p < pages; ++p)
          for (index_t t = 0; t < page_size; ++t)
            for (index_t h = 0; h < heads; ++h) {
              for (index_t b = 0; b < kv.code.extent[3]; ++b) own(&kv.code(p, t, h, b), 1, p);
              for (index_t g = 0; g < kv.scale.extent[3]; ++g) {
                EXPECT_EQ(std::bit_cast<std::uintptr_t>(&kv.scale(p, t, h, g)) % alignof(scale_type), 0u);
                own(&kv.scale(p, t, h, g), sizeof(scale_type), p);
              }
            }
        EXPECT_EQ(*std::max_element(owners.begin(), owners.end()), 1);
        index_t const used = std::count(owners.begin(), owners.end(), 1);
        EXPECT_LT(pages * bytes - used, pages * 32);  // less than one rounding up of each part
      }
}

TYPED_TEST(kv_formats, may_be_nowhere) {
  auto const kv = tenon::kv_pages_over<TypeParam>(nullptr, 0, 16, 2, 64);
  EXPECT_EQ(kv.code.data, nullptr);
  EXPECT_EQ(kv.scale.data, nullptr);
}

TYPED_TEST(kv_formats, values_are_read_through_any_strides) {
  // Two heads of one token in two pages; scales and codes in planes of their own, one plane per head.
  index_t const                               width = 64, groups = tenon::kv_groups<TypeParam>(width);
  std::vector<std::uint8_t>                   code(std::size_t(2 * 2 * width));
  std::vector<typename TypeParam::scale_type> scale(std::size_t(2 * 2 * groups));
  for (std::size_t i = 0; i < code.size(); ++i) code[i] = static_cast<std::uint8_t>(i * 37 % 120);
  for (std::size_t i = 0; i < scale.size(); ++i) {
    if constexpr (std::is_same_v<TypeParam, kv_fp8>) scale[i] = float(i + 1);
    else scale[i] = {f16(float(i + 1)), f16(float(i) - 3)};
  }
  index_t const                         bytes = width * TypeParam::bits / 8;
  tenon::kv_code_pages<TypeParam>       kv{{code.data(), {2, 1, 2, bytes}, {bytes, bytes, 2 * bytes, 1}},
                                     {scale.data(), {2, 1, 2, groups}, {groups, groups, 2 * groups, 1}}};
  tenon::kv_code_pages<TypeParam const> fixed = kv;
  for (index_t p = 0; p < 2; ++p)
    for (index_t h = 0; h < 2; ++h)
      for (index_t d = 0; d < width; ++d) {
        auto const& s = scale[std::size_t((h * 2 + p) * groups + (TypeParam::bits == 4 ? d / 32 : 0))];
        float const n = tenon::kv_code_number<TypeParam>(&code[std::size_t((h * 2 + p) * bytes)], d);
        EXPECT_FLOAT_EQ(tenon::kv_value(fixed, p, 0, h, d), tenon::kv_scale(s) * n + tenon::kv_offset(s));
      }
}

/// RMS error over the deviation of normal values around `mean`.
template <class Format>
double error_of_normal_rows(index_t width, double mean) {
  std::mt19937_64            engine(1);
  std::normal_distribution<> normal;
  double                     difference = 0, power = 0;
  index_t const              span = Format::group ? Format::group : width;
  for (index_t r = 0; r < 200000 / span; ++r) {
    std::vector<float> row;
    for (index_t i = 0; i < span; ++i) row.push_back(float(normal(engine) + mean));
    auto const got = round_trip<Format>(row);
    for (std::size_t i = 0; i < row.size(); ++i) {
      difference += std::pow(got.values[i] - double(row[i]), 2), power += std::pow(double(row[i]) - mean, 2);
    }
  }
  return std::sqrt(difference / power);
}

// The table of docs/operators/kv_formats.md.
TEST(kv_format, errors_of_normal_values_are_those_of_the_page) {
  EXPECT_NEAR(error_of_normal_rows<kv_fp8>(64, 0), 0.025, 0.001);
  EXPECT_NEAR(error_of_normal_rows<kv_fp8>(128, 0), 0.026, 0.001);
  EXPECT_NEAR(error_of_normal_rows<kv_fp8>(128, 4), 0.11, 0.005);
  for (double const mean : {0., 4.}) {
    EXPECT_NEAR(error_of_normal_rows<kv_int8>(64, mean), 0.0053, 0.0001);
    EXPECT_NEAR(error_of_normal_rows<kv_int8>(128, mean), 0.0059, 0.0001);
    EXPECT_NEAR(error_of_normal_rows<kv_int4>(128, mean), 0.078, 0.001);
  }
}

TEST(kv_format, bytes_of_a_token_and_head) {
  EXPECT_EQ((tenon::kv_page_bytes<kv_fp8>(16, 8, 128)), 16 * 8 * (128 + 4));
  EXPECT_EQ((tenon::kv_page_bytes<kv_int8>(16, 8, 128)), 16 * 8 * (128 + 4));
  EXPECT_EQ((tenon::kv_page_bytes<kv_int4>(16, 8, 128)), 16 * 8 * (64 + 16));
  EXPECT_EQ((tenon::kv_page_bytes<kv_int4>(16, 8, 64)), 16 * 8 * (32 + 8));
}

}  // namespace
