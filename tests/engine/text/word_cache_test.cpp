//  Both parts of the cache of words against maps that forget nothing: what it says is right, and what came often it
//  knows.
#include <engine/text/word_cache.hpp>

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

/// A word and its ids, by its number.
std::string word_of(std::size_t number, std::size_t size) {
  std::string word = std::to_string(number) + ":";
  while (word.size() < size) word += static_cast<char>('a' + (number * 31 + word.size() * 7) % 26);
  word.resize(size);
  return word;
}
ids ids_of(std::string const& word, std::size_t count) {
  ids all(count);
  std::iota(all.begin(), all.end(), static_cast<std::int32_t>(std::hash<std::string>{}(word) % 100000));
  return all;
}
/// With 16 bytes that may be read.
std::uint64_t hash_of(std::string const& word) {
  std::string const padded = word + std::string(16, '?');
  return long_words::hash_of(padded.data(), word.size());
}
ids read(long_words const& words, std::string const& word) {
  std::uint32_t const place = words.find(hash_of(word));
  if (place == long_words::absent) return {};
  ids               to(long_words::most_ids + long_words::room);
  std::string const padded = word + std::string(16, '!');
  to.resize(words.read(place, std::string_view(padded).substr(0, word.size()), to.data()));
  return to;
}

TEST(long_words, are_kept_when_they_come_again) {
  long_words words;
  words.clear();
  for (std::size_t size = 1; size <= long_words::most_bytes; ++size)
    for (std::size_t const count : {std::size_t{1}, std::size_t{15}, std::size_t{24}, std::size_t{25}, size}) {
      std::string const word = word_of(1000 * size + count, size);
      ids const         all  = ids_of(word, count);
      if (!read(words, word).empty()) continue;  // of few bytes: it was there already
      words.keep(hash_of(word), word, all.data(), all.size());
      ASSERT_EQ(read(words, word), ids{}) << size;
      words.keep(hash_of(word), word, all.data(), all.size());
      ASSERT_EQ(read(words, word), all) << size << ' ' << count;
    }
}

TEST(long_words, what_ends_differently_is_another) {
  long_words words;
  words.clear();
  for (std::size_t const size : {5, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 100, 255}) {
    std::string const   word = std::string(size, 'x');
    ids const           all  = ids_of(word, 3);
    std::uint64_t const hash = hash_of(word);
    for (int i = 0; i < 2; ++i) words.keep(hash, word, all.data(), all.size());
    std::uint32_t const place = words.find(hash);
    ASSERT_NE(place, long_words::absent);
    ids to(long_words::most_ids + long_words::room);
    for (std::size_t i = 0; i < size; ++i) {
      std::string other = word + std::string(16, 'x');
      other[i]          = 'y';
      ASSERT_NE(hash_of(other.substr(0, size)), hash) << size << ' ' << i;
      ASSERT_EQ(words.read(place, std::string_view(other).substr(0, size), to.data()), 0u) << size << ' ' << i;
    }
  }
}

/// More than the shelf holds, again and again: what is found is right, and what comes often is found.
TEST(long_words, are_right_however_many_come) {
  long_words   words;
  std::mt19937 random(2);
  words.clear();
  std::size_t found = 0, often = 0;
  for (std::size_t i = 0; i < 300000; ++i) {
    bool const        frequent = i % 2 == 0;
    std::size_t const number   = frequent ? random() % 100 : 100 + random() % 60000;
    std::string const word     = word_of(number, 8 + number % 60);
    ids const         all      = ids_of(word, 1 + number % 40);
    words.make_room(1000);
    if (ids const known = read(words, word); !known.empty()) {
      ASSERT_EQ(known, all) << word;
      ++found, often += frequent;
    } else {
      words.keep(hash_of(word), word, all.data(), all.size());
    }
  }
  EXPECT_GT(often, 140000u);
  EXPECT_GT(found, often + 1000);
}

TEST(word_cache, keeps_four_words_of_two_sets) {
  word_cache& cache = word_cache::of(~std::uint64_t{0});
  word_set&   set   = *cache.set_of(0);
  ids const   one = {1, 0, 0, 0}, two = {2, 7, 0, 0};
  auto const  key   = [](std::uint64_t i) { return word_key{i, std::uint64_t{5} << 56}; };
  auto const  front = [&](std::uint64_t i) {
    return set.has(0, key(i)) ? set.ids[0][0] : set.has(1, key(i)) ? set.ids[1][0] : 0;
  };
  std::int32_t to[word_set::most_ids] = {};
  for (std::uint64_t i = 1; i <= 4; ++i) {
    EXPECT_EQ(cache.find_beside(set, key(i), to), 0u);
    cache.insert(set, key(i), i % 2 ? one.data() : two.data(), i % 2 ? 1 : 2);
  }
  EXPECT_EQ(front(4), 2);
  EXPECT_EQ(front(3), 1);
  for (std::uint64_t const i : {1, 2, 3, 4, 2, 1, 4, 3}) {
    if (front(i) == 0) {
      EXPECT_EQ(cache.find_beside(set, key(i), to), i % 2 ? 1u : 2u) << i;
      EXPECT_EQ(to[0], i % 2 ? 1 : 2) << i;
    }
    EXPECT_EQ(front(i), i % 2 ? 1 : 2) << i;
  }
  cache.insert(set, key(5), one.data(), 1);  // one of them is gone
  int there = 0;
  for (std::uint64_t i = 1; i <= 5; ++i) there += front(i) != 0 || cache.find_beside(set, key(i), to) != 0;
  EXPECT_EQ(there, 4);
}

}  // namespace
