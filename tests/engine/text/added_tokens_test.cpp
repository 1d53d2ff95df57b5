//  Added tokens are found leftmost, then longest, however long they are.
#include <engine/text/added_tokens.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace {

using namespace tenon::engine;

added_token token_of(std::int32_t id, std::string content, bool special = false) {
  added_token t;
  t.id = id, t.content = std::move(content), t.special = special;
  return t;
}

added_token_matcher matcher_of(std::vector<added_token> const& tokens) {
  added_token_matcher m;
  for (added_token const& t : tokens) m.add(t);
  return m;
}

/// What a search at every place finds. Special tokens are text where they touch a foreign span.
std::vector<text_part> naive_split(std::vector<added_token> const& tokens, std::string const& text,
                                   std::vector<token_span> const& foreign) {
  std::vector<text_part> parts;
  std::size_t            done = 0;
  for (std::size_t at = 0; at < text.size();) {
    added_token const* best = nullptr;
    for (added_token const& t : tokens)
      if (text.compare(at, t.content.size(), t.content) == 0 &&
          !(t.special && touches(foreign, {at, at + t.content.size()})) &&
          (!best || t.content.size() > best->content.size()))
        best = &t;
    if (!best) {
      ++at;
      continue;
    }
    if (done < at) parts.push_back({-1, {done, at}});
    parts.push_back({best->id, {at, at + best->content.size()}});
    done = at = at + best->content.size();
  }
  if (done < text.size()) parts.push_back({-1, {done, text.size()}});
  return parts;
}

TEST(added_tokens, long_ones_are_found_as_short_ones_are) {
  std::string const        limit(added_token_matcher::longest_short, 'a');
  std::vector<added_token> tokens = {token_of(0, "a"),         token_of(1, limit),
                                     token_of(2, limit + "a"), token_of(3, limit + "b"),
                                     token_of(4, "ab"),        token_of(5, "b" + limit + "b", true),
                                     token_of(6, "b", true),   token_of(7, limit + "ab", true)};
  std::mt19937             random(3);
  for (int i = 0; i < 300; ++i) {
    std::vector<added_token> some;
    for (added_token const& t : tokens)
      if (random() % 2) some.push_back(t);
    std::string text;
    for (int n = 1 + static_cast<int>(random() % 5); n > 0; --n) switch (random() % 4) {
        case 0: text += limit; break;
        case 1: text += "b"; break;
        case 2: text += "a"; break;
        default: text += "c";
      }
    std::vector<token_span> foreign;
    if (random() % 2) {
      std::size_t const begin = random() % text.size();
      foreign.push_back({begin, std::min(text.size(), begin + 1 + random() % 3)});
    }
    auto const parts = matcher_of(some).split(text, true, foreign), expected = naive_split(some, text, foreign);
    ASSERT_EQ(parts.size(), expected.size()) << i;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      EXPECT_EQ(parts[k].id, expected[k].id) << i;
      EXPECT_EQ(parts[k].span, expected[k].span) << i;
    }
  }
}

// Walking along a token from every place would take 10^11 steps.
TEST(added_tokens, a_text_of_beginnings_of_a_long_one) {
  std::size_t const         n     = 100'000;
  added_token_matcher const m     = matcher_of({token_of(0, std::string(n, 'a') + "b", true), token_of(1, "c")});
  auto const                parts = m.split(std::string(10 * n, 'a') + "bc", true);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].span, (token_span{0, 9 * n}));
  EXPECT_EQ(parts[1].id, 0);
  EXPECT_EQ(parts[2].id, 1);
}

}  // namespace
