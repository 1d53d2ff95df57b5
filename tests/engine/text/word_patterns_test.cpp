//  Words cut by hand against PCRE2 on the regular expression that they stand for.
#include <engine/text/pattern.hpp>
#include <engine/text/utf8.hpp>
#include <engine/text/word_patterns.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace tenon::engine;

std::vector<std::string> words_of(word_pattern p, std::string const& text) {
  std::vector<std::string> words;
  std::size_t              at = 0;
  each_word(p, text, [&](std::size_t begin, std::size_t end) {
    EXPECT_EQ(begin, at);
    at = end;
    words.push_back(text.substr(begin, end - begin));
  });
  EXPECT_EQ(at, text.size());
  return words;
}

/// Pieces that patterns treat in different ways: they touch in every order in texts made of them.
std::string random_text(std::mt19937& random, std::size_t pieces) {
  static constexpr char const* list[] = {
      " ",
      "  ",
      "   ",
      "\n",
      "\r\n",
      "\n\n",
      "\t",
      "\v",
      "\xC2\xA0",
      "\xE3\x80\x80",
      "\xE2\x80\xA8",
      "a",
      "b",
      "Z",
      "QU",
      "word",
      "Word",
      "'",
      "'s",
      "'S",
      "'ll",
      "'LL",
      "'Re",
      "'\xC5\xBF",
      "'m",
      "'x",
      "1",
      "23",
      "456",
      "7890",
      "/",
      "//",
      ".",
      "!?",
      "_",
      "-",
      "\xC3\xA9",                          // é
      "\xC3\x89",                          // É
      "\xC2\xAA",                          // ª: a letter of neither case
      "\xC7\x85",                          // ǅ: a title case letter
      "\xCC\x81",                          // a combining accent
      "\xD9\xA1\xD9\xA2\xD9\xA3\xD9\xA4",  // Arabic digits
      "\xE2\x85\xAB",                      // Ⅻ: a number that is no digit
      "\xE4\xB8\xAD\xE6\x96\x87",
      "\xED\x95\x9C",
      "\xF0\x9F\x98\x80",
      "\xF0\x90\x90\x80",
      "\xF0\x9D\x9F\x98",
      "\xC2\x85",
      "\xE2\x80\x8B",
      "\xE1\xA0\x8E",
      "\x01",
      "\x7F",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  std::uniform_int_distribution<std::size_t> pick(0, std::size(list) - 1);
  std::string                                text;
  for (std::size_t i = 0; i < pieces; ++i) text += list[pick(random)];
  return text;
}

TEST(word_patterns, are_their_expressions) {
  std::mt19937 random(1);
  for (word_pattern const p : word_patterns) {
    pattern const expression(expression_of(p), "test");
    for (int i = 0; i < 3000; ++i) {
      std::string const        text = random_text(random, 1 + static_cast<std::size_t>(i) % 40);
      std::vector<std::string> expected;
      for (token_span const s : expression.matches(text)) expected.push_back(text.substr(s.begin, s.end - s.begin));
      ASSERT_EQ(words_of(p, text), expected) << static_cast<int>(p) << ": " << text;
    }
  }
}

TEST(word_patterns, cut_at_every_place_of_a_window) {  // masks are of 64 bytes
  pattern const expression(expression_of(word_pattern::llama3), "test");
  for (std::size_t n = 0; n < 200; ++n) {
    std::string const text =
        std::string(n, 'x') + " " + std::string(n % 70, '.') + "\xC3\xA9" + std::string(n / 3, ' ') + "7";
    std::vector<std::string> expected;
    for (token_span const s : expression.matches(text)) expected.push_back(text.substr(s.begin, s.end - s.begin));
    ASSERT_EQ(words_of(word_pattern::llama3, text), expected) << n;
  }
}

TEST(word_patterns, examples) {
  using words = std::vector<std::string>;
  EXPECT_EQ(words_of(word_pattern::gpt2, "I'll say  hi 123456!\n"),
            (words{"I", "'ll", " say", " ", " hi", " 123456", "!", "\n"}));
  EXPECT_EQ(words_of(word_pattern::llama3, "I'LL 123456!\n\n  x"),
            (words{"I", "'LL", " ", "123", "456", "!\n\n", " ", " x"}));
  EXPECT_EQ(words_of(word_pattern::qwen2, "12"), (words{"1", "2"}));
  EXPECT_EQ(words_of(word_pattern::cl100k, "a\n  "), (words{"a", "\n  "}));
  EXPECT_EQ(words_of(word_pattern::llama3, "a\n  "), (words{"a", "\n", "  "}));
  EXPECT_EQ(words_of(word_pattern::o200k, "HTTPServer's a/b//\n"), (words{"HTTPServer's", " a", "/b", "//\n"}));
  EXPECT_TRUE(words_of(word_pattern::o200k, "").empty());
  EXPECT_EQ(words_of(word_pattern::tekken, "HTTPServer's 12"), (words{"HTTPServer", "'s", " ", "1", "2"}));
  EXPECT_EQ(words_of(word_pattern::qwen35, "a\xCC\x81z !\xCC\x81 12"),
            (words{"a\xCC\x81z", " !", "\xCC\x81", " ", "1", "2"}));
}

TEST(word_patterns, known_by_their_text_alone) {
  for (word_pattern const p : word_patterns) EXPECT_EQ(known_pattern(expression_of(p)), p);
  EXPECT_EQ(known_pattern(R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)"),
            word_pattern::gpt2);
  EXPECT_FALSE(known_pattern(R"(\s+)"));
}

TEST(unicode_classes, of_a_few_and_how_many_there_are) {
  EXPECT_EQ(unicode_class_of('a'), unsigned{is_letter | is_lower_side});
  EXPECT_EQ(unicode_class_of('A'), unsigned{is_letter | is_upper_side});
  EXPECT_EQ(unicode_class_of(0xAA), unsigned{is_letter | is_upper_side | is_lower_side});
  EXPECT_EQ(unicode_class_of(0x301), unsigned{is_mark | is_upper_side | is_lower_side});
  EXPECT_EQ(unicode_class_of('5'), unsigned{is_number});
  EXPECT_EQ(unicode_class_of(0x3000), unsigned{is_space});
  EXPECT_EQ(unicode_class_of('!'), unsigned{is_punctuation});
  EXPECT_EQ(unicode_class_of('$'), unsigned{is_symbol});
  EXPECT_EQ(unicode_class_of(0x110000), 0u);
  int letters = 0, numbers = 0, spaces = 0;
  for (char32_t c = 0x80; c < 0x110000; ++c) {
    unsigned const bits = unicode_class_of(c);
    letters += (bits & is_letter) != 0, numbers += (bits & is_number) != 0, spaces += (bits & is_space) != 0;
    ASSERT_EQ((bits & is_space) != 0, is_white_space(c)) << static_cast<std::uint32_t>(c);
  }
  EXPECT_EQ(letters, 140976);  // above 0x7F, in Unicode 16
  EXPECT_EQ(numbers, 1901);
  EXPECT_EQ(spaces, 19);
}

}  // namespace
