//  Masks of 64 bytes by the processor's best against byte by byte, and both against what a range is.
#include <engine/text/byte_ranges.hpp>

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace {

using namespace tenon::engine;

constexpr std::array<byte_range, 10> ranges = {
    {{0, 254}, {1, 255}, {0, 127}, {128, 255}, {0, 0}, {255, 255}, {'a', 'z'}, {0x7F, 0x80}, {0x90, 0xA7}, {200, 255}}};
using finder = range_finder<ranges>;

void expect_right(char const* bytes) {
  finder::masks one_by_one;
  finder::one_by_one(bytes, one_by_one);
  ASSERT_EQ(finder::find(bytes), one_by_one) << finder::name();
  for (std::size_t r = 0; r < ranges.size(); ++r)
    for (std::size_t i = 0; i < 64; ++i) {
      auto const b = static_cast<unsigned char>(bytes[i]);
      ASSERT_EQ(one_by_one[r] >> i & 1, b >= ranges[r].first && b <= ranges[r].last ? 1u : 0u);
    }
}

TEST(byte_ranges, of_every_byte_at_every_place) {
  for (int byte = 0; byte < 256; ++byte)
    for (std::size_t place = 0; place < 64; ++place) {
      std::array<char, 64> bytes{};
      bytes[place] = static_cast<char>(static_cast<unsigned char>(byte));
      ASSERT_NO_FATAL_FAILURE(expect_right(bytes.data())) << byte << " at " << place;
    }
}

TEST(byte_ranges, of_random_windows) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    char bytes[65];  // at addresses that are no multiples of anything
    for (char& c : bytes) c = static_cast<char>(static_cast<unsigned char>(random() % 256));
    ASSERT_NO_FATAL_FAILURE(expect_right(bytes + round % 2));
  }
}

#if defined(__aarch64__)
TEST(byte_ranges, are_found_by_neon) { EXPECT_STREQ(finder::name(), "NEON"); }
#endif

}  // namespace
