#include <tenon/kv/prefix_hash.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "colliding_blocks.hpp"

namespace {

using tenon::prefix_digest, tenon::prefix_hash, tenon::prefix_key;
using tokens = std::vector<std::int32_t>;

constexpr prefix_key some_key{1, 2, 3, 4};

prefix_digest of_text(prefix_hash const& hash, std::size_t block_size, std::uint64_t salt, tokens const& text) {
  prefix_digest d = hash.root(salt);
  for (std::size_t i = 0; i < text.size(); i += block_size) d = hash.extend(d, std::span(text).subspan(i, block_size));
  return d;
}

// The key stream, seen from outside: what a one in a place adds to the digest is that place's factor. RFC 8439, appendix A.1,
// test vectors 1 and 2: ChaCha20 of the zero key and nonce, blocks 0 and 1, as little-endian words of 64 bits.
TEST(prefix_hash, key_is_spread_by_chacha20) {
  constexpr std::uint64_t stream[2][8] = {
      {0x903df1a0ade0b876, 0x28bd8653e56a5d40, 0x1aed8da0b819d2bd, 0xc70d778bccef36a8, 0x8d4857517c5941da,
       0x374ad8b83fe02477, 0x1ca11815f4b8436a, 0x8665eeb269b687c3},
      {0x7a385155bee7079f, 0x0d082d737c97ba98, 0x6965e348a0290fcb, 0xed7aee323e53c612, 0x434ee69c7621b729,
       0xd539d874b03371d5, 0x45fb0a51281fed31, 0x6f4d794b1f0ae1ac}};
  int const         block_size = 10;  // a lane is eight words: parent, salt, one, five pairs
  prefix_hash const hash({}, block_size);
  tokens            zeros(block_size);
  for (int lane = 0; lane < 2; ++lane) {
    auto const          of       = [&](prefix_digest const& d) { return lane == 0 ? d.a : d.b; };
    auto const          expected = [&](int i) { return stream[lane][i] % test::field::prime; };
    std::uint64_t const one      = of(hash.extend({}, zeros));
    EXPECT_EQ(one, expected(2));
    EXPECT_EQ(test::field::minus(of(hash.extend({1, 1}, zeros)), one), expected(0));
    EXPECT_EQ(test::field::minus(of(hash.root(1)), of(hash.root(0))), expected(1));
    for (int i = 0; i < 5; ++i) {
      tokens t                           = zeros;
      t[2 * static_cast<std::size_t>(i)] = 1;
      EXPECT_EQ(test::field::minus(of(hash.extend({}, t)), one), expected(3 + i)) << i;
    }
  }
}

// Computed with Python's integers and a ChaCha20 of its own; ids near the largest that the bound covers.
TEST(prefix_hash, agrees_with_big_integers) {
  struct {
    prefix_key    key;
    int           block_size;
    std::uint64_t salt;
    int           blocks;
    prefix_digest digest;
  } const golden[] = {
      {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x82efa98ec4e6c89},
       1,
       0x0u,
       3,
       {0x437ab02ba69f3b3, 0x11b9a57321d18239}},
      {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x82efa98ec4e6c89},
       2,
       0x1u,
       2,
       {0x8c7d706ec2909d4, 0x12aeeeac255c5a36}},
      {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x82efa98ec4e6c89},
       7,
       0xffffffffffffffffu,
       4,
       {0xcac964793629513, 0xbbb7d984790f773}},
      {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x82efa98ec4e6c89},
       16,
       0x0u,
       0,
       {0x50e7faee030a8c1, 0x1bfede68f04dddd5}},
      {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x82efa98ec4e6c89},
       16,
       0x0u,
       1,
       {0x4d6d3104d1e7194, 0x5694da976020157}},
      {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x82efa98ec4e6c89},
       16,
       0x3039u,
       5,
       {0x75581e683598406, 0x252cbe785fda4fd}},
      {{0x0, 0x0, 0x0, 0x1}, 63, 0x1fffffffffffffffu, 3, {0x10b89bbfd22593a0, 0x1f6576fd311ed6c4}},
      {{0x0, 0x0, 0x0, 0x1}, 128, 0x0u, 2, {0xdb9b1ad1d18f870, 0x189a3afc4149a975}},
      {{0x1, 0x2, 0x3, 0x4}, 1000, 0x7u, 3, {0x17b9d3afe29abde, 0x1438464d3df4cbae}},
      {{0x1, 0x2, 0x3, 0x4}, 4096, 0x7u, 2, {0x14ab2730ebbb098a, 0x1d9c45f6a2ab1747}},
  };
  for (auto const& g : golden) {
    tokens text(static_cast<std::size_t>(g.block_size * g.blocks));
    for (std::size_t i = 0; i < text.size(); ++i) {
      auto const t = static_cast<std::int32_t>((i * 2654435761u + 12345) % (1u << 29));
      text[i]      = g.block_size >= 128 ? (1 << 29) - 1 - t % 5 : t;
    }
    EXPECT_EQ(of_text(prefix_hash(g.key, g.block_size), static_cast<std::size_t>(g.block_size), g.salt, text), g.digest)
        << g.block_size << " salt " << g.salt;
  }
}

TEST(prefix_hash, depends_on_the_key_and_on_nothing_else) {
  tokens const text(64, 5);
  EXPECT_EQ(of_text({some_key, 16}, 16, 0, text), of_text({some_key, 16}, 16, 0, text));
  for (std::size_t word = 0; word < 4; ++word)
    for (int const bit : {0, 31, 32, 63}) {
      prefix_key other = some_key;
      other[word] ^= std::uint64_t{1} << bit;
      auto const a = of_text({some_key, 16}, 16, 0, text), b = of_text({other, 16}, 16, 0, text);
      EXPECT_NE(a.a, b.a) << word << " " << bit;
      EXPECT_NE(a.b, b.b) << word << " " << bit;
    }
}

// Every token of every block counts, the last one of an odd size, too; and so does their order, the salt and the depth.
TEST(prefix_hash, every_token_counts) {
  for (int const size : {1, 2, 3, 7, 16, 33, 65, 130}) {
    auto const        n = static_cast<std::size_t>(size);
    prefix_hash const hash(some_key, size);
    tokens            text(3 * n);
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::int32_t>(i);
    prefix_digest const whole = of_text(hash, n, 0, text);
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (std::int32_t const other : {text[i] + 1, 100'000, -1}) {
        tokens changed = text;
        changed[i]     = other;
        auto const d   = of_text(hash, n, 0, changed);
        ASSERT_TRUE(d.a != whole.a && d.b != whole.b) << "token " << i << " of blocks of " << size;
      }
      if (i == 0) continue;
      tokens swapped = text;
      std::swap(swapped[i], swapped[i - 1]);
      ASSERT_NE(of_text(hash, n, 0, swapped), whole) << i;
    }
    for (std::uint64_t const salt : {std::uint64_t{1}, std::uint64_t{1} << 32, test::field::prime, ~std::uint64_t{0}})
      ASSERT_NE(of_text(hash, n, salt, text), whole) << salt;
  }
}

TEST(prefix_hash, is_a_chain) {
  prefix_hash const   hash(some_key, 4);
  tokens const        text{1, 2, 3, 4, 5, 6, 7, 8};
  prefix_digest const first = hash.extend(hash.root(9), std::span(text).first(4));
  EXPECT_EQ(hash.extend(first, std::span(text).subspan(4)), of_text(hash, 4, 9, text));
  EXPECT_NE(hash.extend(hash.root(9), std::span(text).subspan(4)), of_text(hash, 4, 9, text));
}

// Texts with as much structure as they can have: counters, single tokens, runs, permutations of blocks. Neither lane repeats
// once in four million (each one for itself would by chance with probability 4e-6).
TEST(prefix_hash, structured_prefixes_do_not_collide) {
  std::size_t const          size = 16;
  prefix_hash const          hash(some_key, static_cast<int>(size));
  std::vector<std::uint64_t> a, b;
  auto const                 note = [&](prefix_digest const& d) { a.push_back(d.a), b.push_back(d.b); };
  tokens                     t(size);
  for (std::int32_t i = 0; i < 1'000'000; ++i) {  // a counter in the first and in the last token
    t[0] = i;
    note(hash.extend(hash.root(0), t));
    t[0] = 0, t[size - 1] = i + 1;
    note(hash.extend(hash.root(0), t));
    t[size - 1] = 0;
  }
  for (std::uint64_t salt = 1; salt <= 500'000; ++salt) note(hash.root(salt));
  prefix_digest d = hash.root(0);
  for (int depth = 0; depth < 500'000; ++depth) {  // the same block again and again
    d = hash.extend(d, tokens(size, 7));
    note(d);
  }
  for (std::int32_t bits = 0; bits < 1 << 16; ++bits) {  // all blocks of two tokens, at sixteen depths
    for (std::size_t i = 0; i < size; ++i) t[i] = 1 + ((bits >> i) & 1);
    d = hash.root(3);
    for (int depth = 0; depth < 16; ++depth) {
      d = hash.extend(d, t);
      note(d);
    }
  }
  for (auto* lane : {&a, &b}) {
    std::sort(lane->begin(), lane->end());
    EXPECT_EQ(std::adjacent_find(lane->begin(), lane->end()), lane->end());
  }
  EXPECT_GT(a.size(), 4'000'000u);
}

// Digests are uniform enough for an index that uses their low bits: no bucket of 4,096 holds far from its share.
TEST(prefix_hash, low_bits_are_spread_evenly) {
  prefix_hash const hash(some_key, 4);
  std::vector<int>  count(4096);
  for (std::int32_t i = 0; i < 4096 * 64; ++i) ++count[hash.extend(hash.root(0), tokens{i, 0, 0, 0}).a % count.size()];
  double chi = 0;
  for (int const n : count) chi += (n - 64.) * (n - 64.) / 64;
  EXPECT_LT(chi, 4095 + 6 * 90.5);  // six standard deviations of a random function; a linear one is more even
}

// What a secret key is for.
TEST(prefix_hash, collides_where_the_key_is_known) {
  for (int const size : {6, 16, 31}) {
    prefix_hash const hash(some_key, size);
    auto const [x, y] = test::colliding_blocks(hash, size);
    EXPECT_NE(x, y);
    for (std::uint64_t const salt : {0, 1}) EXPECT_EQ(hash.extend(hash.root(salt), x), hash.extend(hash.root(salt), y));
    prefix_hash const other({1, 2, 3, 5}, size);
    EXPECT_NE(other.extend(other.root(0), x), other.extend(other.root(0), y));
  }
}

}  // namespace
