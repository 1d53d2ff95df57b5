//  Regular expressions of strangers on texts of strangers: all end, in time that the text's length bounds.
#include <engine/error.hpp>
#include <engine/text/pattern.hpp>
#include <engine/text/word_families.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace {

using namespace tenon::engine;

/// "" where the text is done with; what is wrong else.
std::string outcome(std::string_view expression, std::string const& text) {
  try {
    (void)pattern(expression, "p").matches(text);
  } catch (error const& e) {
    return e.what();
  }
  return {};
}

std::string times(std::string const& part, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += part;
  return text;
}

TEST(pattern, hostile_expressions_end_with_an_error) {
  std::string const all = times("a", 200'000) + "-b";
  for (auto const& [expression, text] : std::vector<std::pair<std::string, std::string>>{
           {"(a+)+$", times("a", 40) + "!"},
           {"(a|aa)+$", times("a", 60) + "!"},
           {"(a|a?)+b", times("a", 40) + "!b"},
           {"(\\w+\\s?)+!", times("word ", 200) + "--!"},
           {"(.*)*x", times("ab", 1000) + "\nx"},
           {"(a*)*\\1b", times("a", 3000) + "-b"},
           {"(?=(a+))\\1*b", all},
           // The square of the text: every place looks at all that follows.
           {"a*[bc]|.", all},
           {"\\p{L}+!|.", all + "!"},
           {"(?:a*?)c|a", all + "c"},
           {"a(?=.*[xy])|a", all},
       })
    EXPECT_EQ(outcome(expression, text), "p: pattern fails on the text: found more steps, expected to be done with " +
                                             std::to_string(text.size()) + " bytes in " +
                                             std::to_string(1'000'000 + 256 * text.size()) + " steps")
        << expression;
  EXPECT_EQ(outcome("(a|b)+", times("ab", 100'000)), "");
  EXPECT_NE(outcome(std::string(100'000, 'a'), "a").find("pattern is too long"), std::string::npos);
  EXPECT_NE(outcome(std::string(5'000, '(') + std::string(5'000, ')'), "a").find("broken pattern"), std::string::npos);
  EXPECT_NE(outcome("\\C", "a").find("broken pattern"), std::string::npos);  // would leave half a character
}

TEST(pattern, expressions_of_tokenizers_have_steps_to_spare) {
  for (char const* name :
       {"tekken", "qwen35", "ggml-default", "o200k", "cl100k", "deepseek-llm", "deepseek-v3", "falcon"})
    for (char const* part : {"a", " ", "\n", " \n", "  x", "1", "Aa", "'s", ".", ".\n", "\xE4\xB8\xAD",
                             "\xC3\xA9\xCC\x81 ", "\xE2\x80\x83", "word and Word's 12,345.6 "}) {
      word_family const& family = *find_word_family(name);
      std::string const  text   = times(part, 30'000);
      for (std::string_view const step : family.words ? steps_of(*family.words) : family.steps)
        EXPECT_EQ(outcome(std::string(step), text), "") << name << ": " << part;
    }
}

}  // namespace
