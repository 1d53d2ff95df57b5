//  A known pattern cuts the same words whichever way a text goes.
#include <engine/text/pre_tokenizer.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

namespace {

using namespace tenon::engine;

std::vector<std::string> words(pre_tokenizer const& p, std::string const& text, std::size_t origin) {
  std::deque<std::string>  prefixed;
  std::vector<std::string> found;
  std::size_t              end = origin;
  for (text_piece const& w : p.pieces(text, origin, prefixed)) {
    EXPECT_EQ(w.origin, end);
    end += w.text.size();
    found.emplace_back(w.text);
  }
  return found;
}

// U+13D08 is a letter from Unicode 16 on. What PCRE2 of Debian 12 knows is Unicode 14, where it ends a word.
TEST(pre_tokenizer, new_letters_of_a_known_pattern) {
  for (word_pattern const known : word_patterns) {
    pre_tokenizer p;
    p.add_split(expression_of(known), "test", split_behaviour::isolated);
    ASSERT_EQ(p.known(), known);
    EXPECT_EQ(words(p, "\xF0\x93\xB4\x88\xE8\xAC\xA6 b\xF0\x93\xB4\x88", 5),
              (std::vector<std::string>{"\xF0\x93\xB4\x88\xE8\xAC\xA6", " b\xF0\x93\xB4\x88"}));
  }
}

TEST(pre_tokenizer, other_expressions_go_to_pcre2) {
  pre_tokenizer p;
  p.add_split("\\p{L}+", "test", split_behaviour::removed);
  EXPECT_FALSE(p.known());
  std::deque<std::string> prefixed;
  auto const              pieces = p.pieces("ab 12", 0, prefixed);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].text, " 12");
  EXPECT_EQ(pieces[0].origin, 2u);
}

}  // namespace
