//  Seams against all tokens: none holds bytes of both sides.
#include <engine/text/char_seams.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using tenon::engine::char_seams;

std::string character(std::mt19937& random) {
  std::string c = "\xE4\x80\x80";  // one of 3 * 8 * 8 characters
  c[0]          = static_cast<char>(c[0] + static_cast<char>(random() % 3));
  c[1]          = static_cast<char>(c[1] + static_cast<char>(random() % 8));
  c[2]          = static_cast<char>(c[2] + static_cast<char>(random() % 8));
  return c;
}

/// Whether `token` holds bytes of both characters of `two`: all of each, or what of them is its own beginning or end.
bool crosses(std::string const& token, std::string const& two) {
  for (std::size_t begin = 0; begin < 3; ++begin)
    for (std::size_t end = 4; end <= 6; ++end) {
      std::string const part = two.substr(begin, end - begin);
      if (token.find(part) != token.npos && (begin == 0 || token.starts_with(part)) &&
          (end == 6 || token.ends_with(part)))
        return true;
    }
  return false;
}

TEST(char_seams, no_token_is_on_both_sides) {
  std::mt19937 random(1);
  std::size_t  seams = 0, joints = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> tokens;
    for (int i = 0; i < 40; ++i) {  // words, cut at any byte
      std::string t = (i % 4 == 0 ? " " : "") + character(random) + character(random) + character(random);
      if (i % 3 == 0) t = t.substr(random() % 3, 3 + random() % 6);
      tokens.push_back(t);
    }
    std::vector<std::string_view> const views(tokens.begin(), tokens.end());
    char_seams const                    s(views);
    for (int i = 0; i < 400; ++i) {
      std::string text = character(random) + character(random);
      if (i % 2 == 0) {  // what a token holds, so that some is met
        std::string const& t = tokens[random() % tokens.size()];
        std::size_t        k = 0;
        while (k < t.size() && !char_seams::is_lead(t[k])) ++k;
        if (k + 6 <= t.size()) text = t.substr(k, 6);
      }
      bool crossed = false;
      for (std::string const& t : tokens) crossed = crossed || crosses(t, text);
      bool const joined = s.joined(text.data());
      ASSERT_TRUE(joined || !crossed) << ::testing::PrintToString(text);
      ++(joined ? joints : seams);
    }
  }
  EXPECT_GT(seams, 4000u);
  EXPECT_GT(joints, 1000u);
}

}  // namespace
