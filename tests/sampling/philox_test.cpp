#include <tenon/sampling/philox.hpp>

#include <gtest/gtest.h>

#include <set>

namespace {

using tenon::philox, tenon::philox_block;

// The known answers that its authors publish with Random123 (kat_vectors, philox4x32 with 10 rounds).
TEST(philox, gives_the_published_answers) {
  struct {
    philox_block  counter;
    std::uint32_t key0, key1;
    philox_block  answer;
  } const known[] = {
      {{{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
      {{{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
      {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
       0xa4093822,
       0x299f31d0,
       {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
  };
  for (auto const& k : known) {
    auto const r = philox(k.counter, k.key0, k.key1);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(r.word[i], k.answer.word[i]) << i;
  }
}

TEST(philox, uses_every_bit_of_seed_and_position) {
  std::set<std::uint64_t> draws;
  for (int bit = 0; bit < 64; ++bit) {
    draws.insert(tenon::uniform_bits(std::uint64_t{1} << bit, 0));
    draws.insert(tenon::uniform_bits(0, std::uint64_t{1} << bit));
  }
  draws.insert(tenon::uniform_bits(0, 0));
  EXPECT_EQ(draws.size(), 129u);
}

}  // namespace
