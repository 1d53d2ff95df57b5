//  Masks of 64 bytes against what each byte is.
#include <engine/text/ascii_masks.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <random>

namespace {

using namespace tenon::engine;

ascii_masks by_definition(char const* bytes) {
  ascii_masks m;
  for (std::size_t i = 0; i < 64; ++i) {
    auto const c    = static_cast<unsigned char>(bytes[i]);
    auto const mark = [i](std::uint64_t& mask, bool is) { mask |= std::uint64_t{is} << i; };
    mark(m.letter, (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')), mark(m.lower, c >= 'a' && c <= 'z');
    mark(m.digit, c >= '0' && c <= '9'), mark(m.space, c == ' ' || (c >= 9 && c <= 13)), mark(m.blank, c == ' ');
    mark(m.line, c == '\n' || c == '\r'), mark(m.quote, c == '\''), mark(m.slash, c == '/'), mark(m.high, c >= 0x80);
  }
  return m;
}

void expect_all_equal(char const* bytes) { ASSERT_EQ(classify_ascii(bytes), by_definition(bytes)); }

TEST(ascii_masks, of_every_byte_at_every_place) {
  for (int byte = 0; byte < 256; ++byte)
    for (std::size_t place = 0; place < 64; ++place)
      for (char const other : {'\0', 'a', '\xFF'}) {
        char bytes[64];
        for (char& c : bytes) c = other;
        bytes[place] = static_cast<char>(static_cast<unsigned char>(byte));
        ASSERT_NO_FATAL_FAILURE(expect_all_equal(bytes)) << byte << " at " << place;
      }
}

TEST(ascii_masks, of_random_windows) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    char bytes[65];  // at addresses that are no multiples of anything
    for (char& c : bytes) c = static_cast<char>(static_cast<unsigned char>(random() % (round % 2 ? 256 : 128)));
    ASSERT_NO_FATAL_FAILURE(expect_all_equal(bytes + round % 2));
  }
}

}  // namespace
