//  Words divided in linear time against merging pair by pair, on vocabularies that are trained here.
#include <engine/text/byte_pairs.hpp>
#include <engine/text/merge.hpp>
#include <engine/text/pair_table.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace tenon::engine;

struct vocabulary {
  std::vector<std::string> tokens;  // 256 bytes first
  std::vector<pair_merge>  merges;

  std::vector<std::string_view> views() const { return {tokens.begin(), tokens.end()}; }
  std::int32_t                  id_of(std::string const& t) const {
                     auto const at = std::find(tokens.begin(), tokens.end(), t);
                     return at == tokens.end() ? -1 : static_cast<std::int32_t>(at - tokens.begin());
  }
};

vocabulary bytes_alone() {
  vocabulary v;
  for (int b = 0; b < 256; ++b) v.tokens.push_back(std::string(1, static_cast<char>(static_cast<unsigned char>(b))));
  return v;
}

/// Merges of random tokens of a small alphabet: in every order that a trainer could have found, and in some that none
/// would.
vocabulary random_vocabulary(std::mt19937& random, int merges, int letters) {
  vocabulary                v = bytes_alone();
  std::vector<std::int32_t> usable;
  for (int c = 0; c < letters; ++c) usable.push_back('a' + c);
  while (static_cast<int>(v.merges.size()) < merges) {
    std::uniform_int_distribution<std::size_t> pick(0, usable.size() - 1);
    auto const                                 left = usable[pick(random)], right = usable[pick(random)];
    std::string const joined = v.tokens[static_cast<std::size_t>(left)] + v.tokens[static_cast<std::size_t>(right)];
    if (joined.size() > 12 || v.id_of(joined) >= 0) continue;
    v.merges.push_back({left, right, static_cast<std::int32_t>(v.tokens.size())});
    usable.push_back(static_cast<std::int32_t>(v.tokens.size()));
    v.tokens.push_back(joined);
  }
  return v;
}

std::string random_word(std::mt19937& random, int letters, std::size_t length) {
  std::uniform_int_distribution<int> letter(0, letters - 1);
  std::string                        word;
  while (word.size() < length) word += static_cast<char>('a' + letter(random));
  return word;
}

template <class Lookup>
std::vector<std::int32_t> merged(std::string const& word, Lookup const& lookup) {
  std::vector<symbol> symbols;
  for (char const c : word) symbols.push_back({static_cast<unsigned char>(c), 1});
  detail::merge_by_scans(symbols, lookup);
  std::vector<std::int32_t> ids;
  for (symbol const& s : symbols) ids.push_back(s.id);
  return ids;
}

std::vector<std::int32_t> encoded(byte_pairs const& b, std::string const& word) {
  std::vector<std::int32_t> ids(word.size());
  ids.resize(b.encode(word, ids.data()));
  return ids;
}

TEST(byte_pairs, merges_of_any_order) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    int const        letters = 1 + round % 4;
    vocabulary const v       = random_vocabulary(random, letters == 1 ? 6 : 5 + 4 * round, letters);
    pair_table       table(v.merges.size());
    for (std::size_t i = 0; i < v.merges.size(); ++i)
      table.insert(v.merges[i].left, v.merges[i].right, static_cast<std::uint32_t>(i), v.merges[i].id);
    byte_pairs const b = byte_pairs::by_merges(v.views(), v.merges);
    ASSERT_TRUE(b.usable());
    for (std::size_t n = 1; n < 60; ++n)
      for (int k = 0; k < 4; ++k) {
        std::string const word = random_word(random, letters, n);
        ASSERT_EQ(encoded(b, word), merged(word, table)) << word;
      }
  }
}

TEST(byte_pairs, ranks_of_results) {  // tiktoken: any two tokens merge whose bytes are a token, later ones, too
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    int const                           letters = 1 + round % 4;
    vocabulary const                    v       = random_vocabulary(random, letters == 1 ? 6 : 3 + round % 60, letters);
    std::map<std::string, std::int32_t> ids;
    for (std::size_t i = 0; i < v.tokens.size(); ++i) ids[v.tokens[i]] = static_cast<std::int32_t>(i);
    auto const lookup = [&](std::int32_t left, std::int32_t right) {
      auto const at = ids.find(v.tokens[static_cast<std::size_t>(left)] + v.tokens[static_cast<std::size_t>(right)]);
      return at == ids.end() ? merge_result{0, -1} : merge_result{static_cast<std::uint32_t>(at->second), at->second};
    };
    byte_pairs const b = byte_pairs::by_rank(v.views());
    ASSERT_TRUE(b.usable());
    for (std::size_t n = 1; n < 50; ++n) {
      std::string const word = random_word(random, letters, n);
      ASSERT_EQ(encoded(b, word), merged(word, lookup)) << word;
    }
  }
}

/// Merges in front of those that make their parts, and several of one token: as Llama 3's tokenizer.json, whose merges
/// are all divisions of each token into two.
TEST(byte_pairs, merges_in_front_of_their_parts) {
  std::mt19937 random(4);
  for (int round = 0; round < 400; ++round) {
    int const  letters = 1 + round % 4;
    vocabulary v       = random_vocabulary(random, letters == 1 ? 6 : 3 + round % 80, letters);
    if (round % 2 == 0) {
      v.merges.clear();
      for (std::size_t id = 256; id < v.tokens.size(); ++id)
        for (std::size_t cut = 1; cut < v.tokens[id].size(); ++cut) {
          auto const left = v.id_of(v.tokens[id].substr(0, cut)), right = v.id_of(v.tokens[id].substr(cut));
          if (left >= 0 && right >= 0) v.merges.push_back({left, right, static_cast<std::int32_t>(id)});
        }
    } else {  // a few that are out of their order
      std::uniform_int_distribution<std::size_t> pick(0, v.merges.size() - 1);
      for (int k = 0; k < 3; ++k) std::swap(v.merges[pick(random)], v.merges[pick(random)]);
    }
    pair_table table(v.merges.size());
    for (std::size_t i = 0; i < v.merges.size(); ++i)
      table.insert(v.merges[i].left, v.merges[i].right, static_cast<std::uint32_t>(i), v.merges[i].id);
    byte_pairs const b = byte_pairs::by_merges(v.views(), v.merges);
    ASSERT_TRUE(b.usable());
    for (std::size_t n = 1; n < 50; ++n) {
      std::string const word = random_word(random, letters, n);
      ASSERT_EQ(encoded(b, word), merged(word, table)) << word << " in round " << round;
    }
  }
}

TEST(byte_pairs, of_a_merge_that_comes_again_the_last_counts) {  // as in huggingface/tokenizers
  vocabulary v = bytes_alone();
  v.tokens.insert(v.tokens.end(), {"ab", "bc"});
  v.merges = {{'a', 'b', 256}, {'b', 'c', 257}, {'a', 'b', 256}};
  EXPECT_EQ(encoded(byte_pairs::by_merges(v.views(), v.merges), "abc"), (std::vector<std::int32_t>{'a', 257}));
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    int const letters = 1 + round % 4;
    v                 = random_vocabulary(random, letters == 1 ? 6 : 3 + round % 80, letters);
    std::uniform_int_distribution<std::size_t> pick(0, v.merges.size() - 1);
    for (int k = 0; k < 3; ++k)
      v.merges.insert(v.merges.begin() + static_cast<std::ptrdiff_t>(pick(random)), v.merges[pick(random)]);
    pair_table table(v.merges.size());
    for (std::size_t i = 0; i < v.merges.size(); ++i)
      table.insert(v.merges[i].left, v.merges[i].right, static_cast<std::uint32_t>(i), v.merges[i].id);
    byte_pairs const b = byte_pairs::by_merges(v.views(), v.merges);
    for (std::size_t n = 1; n < 40; ++n) {
      std::string const word = random_word(random, letters, n);
      ASSERT_EQ(encoded(b, word), merged(word, table)) << word << " in round " << round;
    }
  }
}

TEST(byte_pairs, tokens_that_no_text_becomes) {
  vocabulary v = bytes_alone();
  v.tokens.insert(v.tokens.end(), {"ab", "bc", "abc", "xyz"});  // (a, bc): "abc" is ab c by then
  v.merges           = {{'a', 'b', 256}, {'b', 'c', 257}, {'a', 257, 258}};
  byte_pairs const b = byte_pairs::by_merges(v.views(), v.merges);
  ASSERT_TRUE(b.usable());
  EXPECT_EQ(encoded(b, "abc"), (std::vector<std::int32_t>{256, 'c'}));
  EXPECT_EQ(encoded(b, "xyz"), (std::vector<std::int32_t>{'x', 'y', 'z'}));
  EXPECT_EQ(b.exact("abc"), 258);
  EXPECT_EQ(b.exact("xyz"), 259);
  EXPECT_EQ(b.exact("abcd"), -1);
  EXPECT_EQ(b.exact(""), -1);
}

TEST(byte_pairs, says_what_it_cannot_do) {
  vocabulary v = bytes_alone();
  v.tokens[7].clear();
  EXPECT_FALSE(byte_pairs::by_rank(v.views()).usable());
  EXPECT_FALSE(byte_pairs().usable());
}

TEST(byte_pairs, long_words_take_linear_time) {  // an hour, were it quadratic
  std::mt19937     random(3);
  vocabulary const v = random_vocabulary(random, 200, 3);
  byte_pairs const b = byte_pairs::by_merges(v.views(), v.merges);
  for (std::string const& unit :
       {std::string("a"), std::string("ab"), std::string("aab"), random_word(random, 3, 1000)}) {
    std::string word;
    while (word.size() < 1'000'000) word += unit;
    std::size_t length = 0;
    for (std::int32_t const id : encoded(b, word)) length += v.tokens[static_cast<std::size_t>(id)].size();
    EXPECT_EQ(length, word.size());
  }
}

}  // namespace
