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
    unsigned const begin = byte(), last = begin + static_cast<unsigned>(random() % (256u - begin));

    std::array<std::array<unsigned, 2>, 6> const bounds = {
        {{0, 255}, {0, 127}, {128, 255}, {byte(), 255}, {0, byte()}, {begin, last}}};
    std::array<byte_range, 6> ranges;
    for (std::size_t r = 0; r < ranges.size(); ++r) ranges[r] = {bounds[r][0], bounds[r][1]};
    char bytes[64];
    for (char& c : bytes) c = static_cast<char>(byte());
    std::array<std::uint64_t, 6> expected;
    find_ranges_one_by_one(bytes, ranges.data(), ranges.size(), expected.data());
    ASSERT_EQ(in_ranges(bytes, ranges), expected);
    for (std::size_t r = 0; r < ranges.size(); ++r)
      for (std::size_t i = 0; i < 64; ++i) {
        auto const b = static_cast<unsigned char>(bytes[i]);
        ASSERT_EQ(expected[r] >> i & 1, b >= bounds[r][0] && b <= bounds[r][1] ? 1u : 0u);
      }
  }
}

}  // namespace
