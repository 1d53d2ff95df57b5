//  Words cut by windows of 64 bytes against words cut one by one.
#include <engine/text/word_starts.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace tenon::engine;

/// Windows one behind the other, from the last word that each begins; where one has no end of a word, that word is cut
/// alone.
template <word_pattern P>
std::vector<std::size_t> begins_by_windows(std::string const& text) {
  std::vector<std::size_t> begins;
  run_scanner              runs(text);
  for (std::size_t p = 0; p < text.size();) {
    std::uint64_t starts = text.size() - p >= 64 ? detail::word_starts<P>(text.data() + p).starts : 1;
    EXPECT_EQ(starts & 1, 1u);
    for (; (starts & (starts - 1)) != 0; starts &= starts - 1)
      begins.push_back(p + static_cast<std::size_t>(std::countr_zero(starts)));
    p += static_cast<std::size_t>(std::countr_zero(starts));
    if (begins.empty() || begins.back() < p) begins.push_back(p);
    p = detail::word_end<P>(runs, p);
  }
  return begins;
}

/// Pieces that the patterns treat in different ways, in every order.
std::string random_text(std::mt19937& random, bool ascii) {
  static constexpr char const* pieces[] = {" ",
                                           "  ",
                                           "     ",
                                           "\n",
                                           "\n\n",
                                           "\r\n",
                                           "\t",
                                           "\v",
                                           "'",
                                           "'s",
                                           "'S",
                                           "'ll",
                                           "'Re",
                                           "'t",
                                           "'m",
                                           "'x",
                                           "-",
                                           "--",
                                           "/",
                                           "//",
                                           "a",
                                           "B",
                                           "CD",
                                           "word",
                                           "Word",
                                           "wOR",
                                           "longerword",
                                           "1",
                                           "22",
                                           "333",
                                           "44444444",
                                           ".",
                                           ";",
                                           "\"",
                                           "(",
                                           "\xC3\xA9",
                                           "\xE4\xB8\xAD",
                                           "\xE2\x80\x9D",
                                           "\xC5\xBF",
                                           "\xC2\xA0",
                                           "\xCC\x81",
                                           "\xF0\x9F\x98\x80",
                                           "\u7B2C\u4E00\u56DE",
                                           "\u3002",
                                           "\uFF0C",
                                           "\u201C",
                                           "\u2026\u2026",
                                           "\u3000\u3000",
                                           "\uFF11",
                                           "\uFF21",
                                           "\u3042\u30AB\u30FC",
                                           "\u30FB",
                                           "\uD55C\uAD6D",
                                           "\u4DC0",
                                           "\u3005",
                                           "\u0416",
                                           "\u044F\u0431",
                                           "\u00C9\u00E8",
                                           "\u00D7",
                                           "\u03B1"};
  std::size_t const            count    = std::size(pieces) - (ascii ? 25 : 0);
  // Few kinds in one text, so that each meets each in long texts, too.
  std::vector<char const*> some;
  for (std::size_t i = 0, n = 2 + random() % 8; i < n; ++i) some.push_back(pieces[random() % count]);
  std::string text;
  for (std::size_t n = random() % 90; n > 0; --n) text += some[random() % some.size()];
  return text;
}

template <word_pattern P>
void expect_equal(int rounds) {
  std::mt19937 random(static_cast<unsigned>(P) + 2);
  for (int round = 0; round < rounds; ++round) {
    std::string const        text = random_text(random, round % 3 != 0);
    std::vector<std::size_t> begins;
    each_word(P, text, [&](std::size_t begin, std::size_t) { begins.push_back(begin); });
    ASSERT_EQ(begins_by_windows<P>(text), begins) << ::testing::PrintToString(text);
  }
}

TEST(word_starts, of_gpt2) { expect_equal<word_pattern::gpt2>(40000); }
TEST(word_starts, of_llama3) { expect_equal<word_pattern::llama3>(40000); }
TEST(word_starts, of_qwen2) { expect_equal<word_pattern::qwen2>(20000); }
TEST(word_starts, of_cl100k) { expect_equal<word_pattern::cl100k>(20000); }
TEST(word_starts, of_o200k) { expect_equal<word_pattern::o200k>(40000); }
TEST(word_starts, of_tekken) { expect_equal<word_pattern::tekken>(20000); }
TEST(word_starts, of_qwen35) { expect_equal<word_pattern::qwen35>(20000); }

}  // namespace
