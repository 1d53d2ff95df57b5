#include <tenon/sampling/probability_mass.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace {

using tenon::mass_t, tenon::whole_mass;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan      = std::numeric_limits<float>::quiet_NaN();

TEST(probability_mass, is_a_power_of_two_within_2e_8) {
  EXPECT_EQ(tenon::mass_of_exponent(0), whole_mass);
  for (int i = 0; i < 20000; ++i) {
    float const  x     = static_cast<float>(i) * 0.00173f;
    double const exact = std::exp2(40 - double(x));
    EXPECT_NEAR(static_cast<double>(tenon::mass_of_exponent(x)), exact, 1 + 3.3e-8 * exact) << x;
  }
}

TEST(probability_mass, never_grows_with_the_distance) {
  mass_t last = whole_mass;
  for (int i = 0; i < 70000; ++i) {
    mass_t const m = tenon::mass_of_exponent(static_cast<float>(i) * 0.0007f);
    // The interpolation meets the next octave within its own error.
    EXPECT_LE(static_cast<double>(m), static_cast<double>(last) * (1 + 2e-8) + 1) << i;
    last = m;
  }
}

TEST(probability_mass, specials_weigh_nothing_or_all) {
  for (float const x : {41.0f, 62.9f, 63.0f, 1e30f, infinity, nan}) EXPECT_EQ(tenon::mass_of_exponent(x), 0u) << x;
  tenon::logit_mass const mass{2.0f, tenon::log2_e};
  EXPECT_EQ(mass(2.0f), whole_mass);
  EXPECT_EQ(mass(-infinity), 0u);
  EXPECT_EQ(mass(nan), 0u);
  tenon::logit_mass const unbounded{infinity, tenon::log2_e};
  EXPECT_EQ(unbounded(infinity), whole_mass);
  EXPECT_EQ(unbounded(3.0f), 0u);
  tenon::logit_mass const cold{2.0f, infinity};  // a temperature below the smallest normal number
  EXPECT_EQ(cold(2.0f), whole_mass);
  EXPECT_EQ(cold(1.999f), 0u);
}

TEST(logit_key, orders_as_the_logits_do) {
  float const ordered[] = {-infinity, -3e38f, -2.0f, -1e-45f, 0.0f, 1e-45f, 1.0f, 3e38f, infinity};
  for (std::size_t i = 0; i + 1 < std::size(ordered); ++i)
    EXPECT_LT(tenon::logit_key(ordered[i]), tenon::logit_key(ordered[i + 1])) << ordered[i];
  for (float const v : ordered) EXPECT_EQ(tenon::logit_of_key(tenon::logit_key(v)), v);
  EXPECT_EQ(tenon::logit_key(-0.0f), tenon::logit_key(0.0f));
  EXPECT_EQ(tenon::logit_key(nan), tenon::logit_key(-infinity));
  EXPECT_EQ(tenon::logit_key(-nan), tenon::logit_key(-infinity));
}

TEST(multiply_wide, is_the_whole_product) {
  struct {
    mass_t a, b, high, low;
  } const known[] = {{0, ~mass_t{0}, 0, 0},
                     {~mass_t{0}, ~mass_t{0}, ~mass_t{0} - 1, 1},
                     {mass_t{1} << 63, 6, 3, 0},
                     {0x123456789abcdef0, 0xfedcba9876543210, 0x121fa00ad77d7422, 0x236d88fe5618cf00}};
  for (auto const& k : known) {
    auto const p = tenon::multiply_wide(k.a, k.b);
    EXPECT_EQ(p.low, k.low);
    EXPECT_EQ(p.high, k.high);
  }
}

TEST(share_of_mass, is_the_least_mass_that_reaches_the_share) {
  EXPECT_EQ(tenon::share_of_mass(0.5f, 2 * whole_mass), whole_mass);
  EXPECT_EQ(tenon::share_of_mass(0.5f, 2 * whole_mass + 1), whole_mass + 1);
  EXPECT_EQ(tenon::share_of_mass(0.25f, 3), 1u);
  EXPECT_EQ(tenon::share_of_mass(0.0f, whole_mass), 1u);
  EXPECT_EQ(tenon::share_of_mass(-1.0f, whole_mass), 1u);
  EXPECT_EQ(tenon::share_of_mass(1e-30f, whole_mass), 1u);
  EXPECT_LE(tenon::share_of_mass(std::nextafter(1.0f, 0.0f), whole_mass), whole_mass);
}

}  // namespace
