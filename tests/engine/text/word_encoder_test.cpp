//  Texts through the cache against each word through its merges.
#include <engine/text/word_encoder.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

/// 256 bytes, then what is merged of them from left to right.
word_encoder encoder_of(std::vector<std::string> const& merged, bool whole_words) {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.push_back(std::string(1, static_cast<char>(static_cast<unsigned char>(b))));
  std::vector<pair_merge> merges;
  for (std::string const& t : merged) {
    auto const id_of = [&](std::string_view part) {
      for (std::size_t i = 0; i < tokens.size(); ++i)
        if (tokens[i] == part) return static_cast<std::int32_t>(i);
      return -1;
    };
    auto const id = static_cast<std::int32_t>(tokens.size());
    if (id_of(std::string_view(t).substr(0, t.size() - 1)) >= 0)
      merges.push_back(
          {id_of(std::string_view(t).substr(0, t.size() - 1)), id_of(std::string_view(t).substr(t.size() - 1)), id});
    tokens.push_back(t);
  }
  std::vector<std::string_view> const views(tokens.begin(), tokens.end());
  return {byte_pairs::by_merges(views, merges), whole_words};
}

ids word_by_word(word_encoder const& e, word_pattern p, std::string const& text) {
  ids all;
  each_word(p, text, [&](std::size_t begin, std::size_t end) {
    ids word(end - begin);
    word.resize(e.encode_word(std::string_view(text).substr(begin, end - begin), word.data()));
    all.insert(all.end(), word.begin(), word.end());
  });
  return all;
}

ids encoded(word_encoder const& e, word_pattern p, std::string const& text) {
  ids all{-7};  // what is there stays
  e.encode(p, text, all);
  EXPECT_EQ(all.front(), -7);
  all.erase(all.begin());
  return all;
}

std::string random_text(std::mt19937& random, std::size_t words) {
  std::uniform_int_distribution<int> length(1, 20), letter(0, 2), kind(0, 9);
  std::string                        text;
  for (std::size_t i = 0; i < words; ++i) {
    text += kind(random) == 0 ? "\n" : " ";
    int const n = kind(random) < 7 ? 1 + length(random) % 4 : length(random);
    for (int k = 0; k < n; ++k) text += static_cast<char>('a' + letter(random));
    if (kind(random) == 0) text += "\xE4\xB8\xAD!";
  }
  return text;
}

TEST(word_encoder, says_what_its_words_say) {
  word_encoder const e = encoder_of({"ab", " a", " ab", "aba", "bc", "bca", "cc"}, false);
  std::mt19937       random(1);
  for (word_pattern const p : word_patterns)
    for (std::size_t n = 0; n < 60; ++n) {
      std::string const text = random_text(random, n);
      for (int again = 0; again < 2; ++again) ASSERT_EQ(encoded(e, p, text), word_by_word(e, p, text)) << text;
    }
}

TEST(word_encoder, keeps_whole_words_where_it_is_told_to) {
  EXPECT_EQ(encoded(encoder_of({"ab", "xyz"}, true), word_pattern::gpt2, "xyz ab xyzz"),
            (ids{257, ' ', 256, ' ', 'x', 'y', 'z', 'z'}));
  EXPECT_EQ(encoded(encoder_of({"ab", "xyz"}, false), word_pattern::gpt2, "xyz"), (ids{'x', 'y', 'z'}));
}

TEST(word_encoder, words_of_every_length_at_the_end_of_a_text) {
  word_encoder const e = encoder_of({"aa", "aaa"}, false);
  for (std::size_t n = 1; n < 70; ++n)
    for (std::size_t before : {0u, 1u, 30u}) {
      std::string const text = std::string(before, '.') + std::string(n, 'a');
      for (int again = 0; again < 2; ++again)
        ASSERT_EQ(encoded(e, word_pattern::llama3, text), word_by_word(e, word_pattern::llama3, text)) << text;
    }
}

/// Words of a script without spaces are encoded in parts, and a token that only whole words are is none of a part.
TEST(word_encoder, words_that_are_cut_at_seams) {
  std::string const              a = "\xE4\xB8\xAD", b = "\xE6\x96\x87", c = "\xE5\xAD\x97";
  std::vector<std::string> const merged = {a.substr(0, 2), a, b.substr(0, 2), b, a + b.substr(0, 1),
                                           "\x87\xE5",     c, b + c};
  std::mt19937                   random(3);
  for (bool const whole : {false, true}) {
    word_encoder const e = encoder_of(merged, whole);
    for (int round = 0; round < 300; ++round) {
      std::string text = round % 3 == 0 ? " " : "";
      for (std::size_t n = 1 + random() % (round % 50 == 0 ? 900 : 9); n > 0; --n) {
        std::string const* const some[] = {&a, &b, &c};
        text += random() % 9 == 0 ? "," : *some[random() % 3];
      }
      ASSERT_EQ(encoded(e, word_pattern::llama3, text), word_by_word(e, word_pattern::llama3, text)) << text;
    }
  }
}

TEST(word_encoder, two_of_them_on_one_thread) {
  word_encoder const a = encoder_of({"ab"}, false), b = encoder_of({"xx", "ab", "abc"}, false);
  std::string const  text = "ab abc ab";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(encoded(a, word_pattern::gpt2, text), word_by_word(a, word_pattern::gpt2, text));
    EXPECT_EQ(encoded(b, word_pattern::gpt2, text), word_by_word(b, word_pattern::gpt2, text));
  }
}

TEST(word_encoder, one_of_them_on_several_threads) {
  word_encoder const       e = encoder_of({"ab", " a", "bc", "bca"}, false);
  std::vector<std::thread> threads;
  std::vector<int>         good(4);
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      bool         same = true;
      for (int i = 0; i < 30; ++i) {
        std::string const text = random_text(random, 200);
        ids               all;
        e.encode(word_pattern::gpt2, text, all);
        same = same && all == word_by_word(e, word_pattern::gpt2, text);
      }
      good[t] = same;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, (std::vector<int>{1, 1, 1, 1}));
}

}  // namespace
