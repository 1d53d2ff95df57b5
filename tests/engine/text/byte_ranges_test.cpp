//  Masks of the processor's best against byte by byte.
#include <engine/text/byte_ranges.hpp>

#include <gtest/gtest.h>

#include <random>

namespace {

using namespace tenon::engine;

TEST(byte_ranges, are_found_one_by_one) {
  std::mt19937 random(1);
  auto const   byte = [&] { return static_cast<unsigned char>(random() % 256); };
  for (int round = 0; round < 2000; ++round) {
    std::array<byte_range, 6> ranges = {{{0, 255}, {0, 127}, {128, 255}, {byte(), 255}, {0, byte()}, {}}};
    ranges[5].first                  = byte();
    ranges[5].last = static_cast<unsigned char>(ranges[5].first + random() % (256u - ranges[5].first));
    char bytes[64];
    for (char& c : bytes) c = static_cast<char>(byte());
    std::array<std::uint64_t, 6> expected;
    find_ranges_one_by_one(bytes, ranges.data(), ranges.size(), expected.data());
    ASSERT_EQ(in_ranges(bytes, ranges), expected);
    for (std::size_t r = 0; r < ranges.size(); ++r)
      for (std::size_t i = 0; i < 64; ++i) {
        auto const b = static_cast<unsigned char>(bytes[i]);
        ASSERT_EQ(expected[r] >> i & 1, b >= ranges[r].first && b <= ranges[r].last ? 1u : 0u);
      }
  }
}

}  // namespace
