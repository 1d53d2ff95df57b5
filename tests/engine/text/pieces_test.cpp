//  Tokenizers of pieces against merging a whole text pair by pair, and against trying every division.
#include <engine/error.hpp>
#include <engine/text/piece_tokenizer.hpp>
#include <engine/text/utf8.hpp>

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

/// Pieces in the order of their ids; a space is a space.
piece_definition definition_of(std::vector<std::pair<std::string, double>> const& pieces) {
  piece_definition d;
  d.file    = "pieces";
  d.unknown = 0;
  d.entries.push_back({"<unk>", piece_kind::unknown, false, 0});
  for (auto const& [text, score] : pieces) d.entries.push_back({text, piece_kind::text, true, score});
  return d;
}

/// A tokenizer of what `d` says here: all but its patterns.
piece_tokenizer tokenizer_of(piece_definition const& d) {
  piece_definition c;
  c.method = d.method, c.entries = d.entries, c.merges = d.merges, c.whole_words = d.whole_words;
  c.double_sums = d.double_sums, c.unknown = d.unknown, c.fuse_unknown = d.fuse_unknown, c.lead = d.lead;
  c.escaped = d.escaped, c.split = d.split, c.added = d.added, c.before = d.before, c.strips_first = d.strips_first;
  return piece_tokenizer(std::move(c));
}

void add_bytes(piece_definition& d) {
  for (int b = 0; b < 256; ++b) d.entries.push_back({std::string(1, static_cast<char>(b)), piece_kind::byte, false, 0});
}

std::vector<std::string> characters_of(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    std::size_t const n = next_utf8(text).length;
    all.emplace_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return all;
}

/// While two neighbours are a piece together: the best score first, of equal ones the leftmost.
ids merge_by_score(piece_definition const& d, std::string const& text) {
  std::map<std::string, std::int32_t> id_of;
  for (std::size_t i = 0; i < d.entries.size(); ++i)
    if (d.entries[i].matched) id_of.emplace(d.entries[i].bytes, static_cast<std::int32_t>(i));
  std::vector<std::string> s = characters_of(text);
  for (;;) {
    std::size_t at   = s.size();
    double      best = 0;
    for (std::size_t i = 0; i + 1 < s.size(); ++i)
      if (auto const piece = id_of.find(s[i] + s[i + 1]); piece != id_of.end())
        if (double const score = d.entries[static_cast<std::size_t>(piece->second)].score;
            at == s.size() || score > best)
          at = i, best = score;
    if (at == s.size()) break;
    s[at] += s[at + 1];
    s.erase(s.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  ids result;
  for (auto const& one : s) {
    auto const piece = id_of.find(one);
    result.push_back(piece == id_of.end() ? d.unknown : piece->second);
  }
  return result;
}

class random_texts {
 public:
  explicit random_texts(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return random_() % n; }
  std::string text(std::vector<std::string> const& alphabet, std::size_t most) {
    std::string result;
    for (std::size_t n = below(most + 1); n > 0; --n) result += alphabet[below(alphabet.size())];
    return result;
  }

 private:
  std::mt19937 random_;
};

std::vector<std::string> const letters{"a", "b", "c", " ", " ", "\xC3\xA9", "\xE7\x8C\xAB", "\xF0\x9F\x90\xB1"};

TEST(pieces, merge_as_the_whole_text_does_pair_by_pair) {
  random_texts random(1);
  for (int round = 0; round < 60; ++round) {
    // Some characters are no pieces, some pieces have spaces inside, some share their scores.
    std::vector<std::pair<std::string, double>> pieces;
    std::map<std::string, int>                  seen;
    for (std::size_t n = 4 + random.below(40); n > 0; --n)
      if (auto const text = random.text(letters, 1 + random.below(5)); !text.empty() && seen[text]++ == 0)
        pieces.emplace_back(text, -static_cast<double>(random.below(12)));
    piece_definition const d = definition_of(pieces);
    piece_tokenizer const  t = tokenizer_of(d);
    for (int i = 0; i < 40; ++i) {
      auto const text = random.text(letters, 60);
      EXPECT_EQ(t.encode(text, false), merge_by_score(d, text)) << text;
    }
  }
}

TEST(pieces, words_end_where_no_piece_goes_on) {
  character_pairs pairs(8);
  for (char const* piece : {" a", "ab", "  ", "\xE7\x8C\xAB\xE5\xA5\xBD"}) pairs.insert(piece);
  EXPECT_EQ(pairs.word_end(" ab", 0), 3u);
  EXPECT_EQ(pairs.word_end("ab ab", 0), 2u);  // no piece has a space behind b
  EXPECT_EQ(pairs.word_end("ba", 0), 1u);
  EXPECT_EQ(pairs.word_end("   a", 0), 4u);
  EXPECT_EQ(pairs.word_end("\xE7\x8C\xAB\xE5\xA5\xBD\xE7\x8C\xAB", 0), 6u);
  EXPECT_EQ(pairs.word_end("\xFF\xFF", 0), 1u);
}

TEST(pieces, equal_scores_go_from_the_left) {
  auto const            d = definition_of({{" ", -1}, {"  ", -9}, {"   ", -9}, {"    ", -9}, {"a", -1}});
  piece_tokenizer const t = tokenizer_of(d);
  for (std::size_t n = 1; n < 40; ++n) {
    std::string const text(n, ' ');
    EXPECT_EQ(t.encode(text, false), merge_by_score(d, text)) << n;
  }
}

TEST(pieces, ranks_and_whole_words) {
  auto d   = definition_of({{"a", 0}, {"b", 0}, {"ab", 0}, {"c", 0}, {"bc", 0}, {"abc", 0}});
  d.method = piece_method::ranks;
  d.merges = {{2, 4, 5}, {1, 2, 3}};  // b c, then a b
  EXPECT_EQ(tokenizer_of(d).encode("abcab", false), (ids{1, 5, 3}));
  EXPECT_EQ(tokenizer_of(d).encode("abxxa", false), (ids{3, 0, 0, 1}));
  d.fuse_unknown = true;
  EXPECT_EQ(tokenizer_of(d).encode("abxxa", false), (ids{3, 0, 1}));
  d.unknown = -1;
  EXPECT_EQ(tokenizer_of(d).encode("abxxa", false), (ids{3, 1}));
  d.whole_words = true;
  EXPECT_EQ(tokenizer_of(d).encode("abc", false), (ids{6}));
}

TEST(pieces, bytes_of_unknown_characters_and_of_broken_text) {
  auto d = definition_of({{"a", 0}, {"\xC3\xA9", 0}});
  add_bytes(d);
  piece_tokenizer const t = tokenizer_of(d);
  EXPECT_EQ(t.encode("a\xC3\xA9\xFF\xE7\x8C", false), (ids{1, 2, 3 + 0xFF, 3 + 0xE7, 3 + 0x8C}));
  EXPECT_EQ(t.encode_with_spans("\xE7\x8C\xAB", {false, false}).spans,
            (std::vector<token_span>{{0, 1}, {1, 2}, {2, 3}}));
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (auto n = random() % 50; n > 0; --n) text += static_cast<char>(random());
    EXPECT_EQ(t.decode(t.encode(text, false)), text);
  }
}

TEST(pieces, a_space_in_front_and_the_escaped_one) {
  auto d         = definition_of({{" ", -3}, {"a", -3}, {" a", -1}, {"b", -3}});
  d.lead         = {piece_definition::lead_space::first, true, false};
  d.strips_first = true;
  add_bytes(d);
  piece_tokenizer const t = tokenizer_of(d);
  EXPECT_EQ(t.encode("", false), ids{});
  auto const e = t.encode_with_spans(
      "a\xE2\x96\x81"
      "ab",
      {false, false});
  EXPECT_EQ(e.ids, (ids{3, 3, 4}));
  EXPECT_EQ(e.spans, (std::vector<token_span>{{0, 1}, {1, 5}, {5, 6}}));
  EXPECT_EQ(t.encode(" a", false), (ids{1, 3}));
  EXPECT_EQ(t.decode(t.encode(" a b", false)), " a b");
  EXPECT_EQ(t.text_after(4, 3), " a");
  d.lead = {piece_definition::lead_space::each, false, false};
  EXPECT_EQ(tokenizer_of(d).encode(" a", false), (ids{3}));
  EXPECT_EQ(tokenizer_of(d).encode("\xE2\x96\x81"
                                   "a",
                                   false),
            (ids{3}));
  d.escaped = false;
  EXPECT_EQ(tokenizer_of(d).encode("\xE2\x96\x81", false), (ids{1, 5 + 0xE2, 5 + 0x96, 5 + 0x81}));
}

TEST(pieces, control_and_user_tokens) {
  auto d = definition_of({{"a", -3}, {"<", -3}, {"x", -3}, {"<x", -1}, {"ax", -1}});
  d.entries.push_back({"<a", piece_kind::user, true, 0});       // 6
  d.entries.push_back({"<a<a", piece_kind::user, true, 0});     // 7
  d.entries.push_back({"<c>", piece_kind::control, false, 0});  // 8
  added_token control;
  control.id = 8, control.content = "<c>", control.special = true;
  d.added.push_back(control);
  d.before                = {8};
  piece_tokenizer const t = tokenizer_of(d);
  EXPECT_EQ(t.encode("a<ax", false), (ids{1, 6, 3}));  // nothing merges with a user's token
  EXPECT_EQ(t.encode("<a<a<a", false), (ids{7, 6}));
  EXPECT_EQ(t.encode("a<c>a"), (ids{8, 1, 8, 1}));
  EXPECT_EQ(t.encode("<c>", false), (ids{2, 0, 0}));
  EXPECT_EQ(t.decode(ids{8, 1, 6}), "a<a");
  EXPECT_TRUE(t.is_special(8));
  EXPECT_FALSE(t.is_special(6));
  EXPECT_THROW((void)t.token_bytes(9), error);
}

TEST(pieces, unused_ones_are_taken_apart_again) {
  auto d            = definition_of({{"a", -3}, {"b", -3}, {"ab", -1}, {"abab", -2}});
  d.entries[3].kind = piece_kind::unused;
  EXPECT_EQ(tokenizer_of(d).encode("ab", false), (ids{1, 2}));
  EXPECT_EQ(tokenizer_of(d).encode("ababa", false), (ids{4, 1}));
}

/// The greatest sum of scores over every division, by the last piece of each.
ids best_division(piece_definition const& d, std::string const& text) {
  double worst = 0;
  for (auto const& e : d.entries)
    if (e.kind == piece_kind::text) worst = std::min(worst, e.score);
  auto const               s = characters_of(text);
  std::vector<double>      sum(s.size() + 1, -1e30);
  std::vector<std::size_t> from(s.size() + 1);
  ids                      last(s.size() + 1);
  sum[0] = 0;
  for (std::size_t end = 1; end <= s.size(); ++end)
    for (std::size_t begin = 0; begin < end; ++begin) {
      std::string piece;
      for (std::size_t i = begin; i < end; ++i) piece += s[i];
      double       score = begin + 1 == end ? worst - 10 : -1e20;
      std::int32_t id    = d.unknown;
      for (std::size_t i = 0; i < d.entries.size(); ++i)
        if (d.entries[i].matched && d.entries[i].bytes == piece)
          score = d.entries[i].score, id = static_cast<std::int32_t>(i);
      if (sum[begin] + score > sum[end]) sum[end] = sum[begin] + score, from[end] = begin, last[end] = id;
    }
  ids result;
  for (std::size_t end = s.size(); end > 0; end = from[end]) result.insert(result.begin(), last[end]);
  return result;
}

TEST(pieces, unigram_finds_the_best_division) {
  random_texts random(2);
  for (int round = 0; round < 30; ++round) {
    std::vector<std::pair<std::string, double>> pieces;
    std::map<std::string, int>                  seen;
    for (std::size_t n = 3 + random.below(30); n > 0; --n)
      if (auto const text = random.text(letters, 1 + random.below(4)); !text.empty() && seen[text]++ == 0)
        pieces.emplace_back(text, -1.0 - static_cast<double>(random.below(1 << 12)) / 512);  // sums are exact
    auto d   = definition_of(pieces);
    d.method = piece_method::unigram;
    for (bool const doubles : {false, true}) {
      d.double_sums           = doubles;
      piece_tokenizer const t = tokenizer_of(d);
      for (int i = 0; i < 20; ++i) {
        auto const text = random.text(letters, 30);
        auto const got = t.encode(text, false), wanted = best_division(d, text);
        double     a = 0, b = 0;  // another division may have the same sum
        for (auto const id : got) a += id == 0 ? -1000 : d.entries[static_cast<std::size_t>(id)].score;
        for (auto const id : wanted) b += id == 0 ? -1000 : d.entries[static_cast<std::size_t>(id)].score;
        EXPECT_EQ(a, b) << text;
      }
    }
  }
}

TEST(pieces, one_long_word) {
  std::vector<std::pair<std::string, double>> pieces;
  for (std::size_t n = 1; n <= 16; ++n) pieces.emplace_back(std::string(n, 'a'), -static_cast<double>(n));
  auto d = definition_of(pieces);
  EXPECT_EQ(tokenizer_of(d).encode(std::string(1 << 18, 'a'), false).size(), std::size_t{1} << 14);
  d.method = piece_method::unigram;
  EXPECT_EQ(tokenizer_of(d).encode(std::string(1 << 18, 'a'), false).size(), std::size_t{1} << 14);
}

TEST(pieces,
     long_ones_take_linear_time) {  // half a minute, were each of their beginnings looked for from its first byte
  std::vector<std::pair<std::string, double>> pieces{{"a", 0}, {"b", 0}};
  for (char const c : std::string("abcdefgh"))
    pieces.push_back({c + std::string(piece_definition::length_limit - 1, 'a'), 1});
  piece_tokenizer const t = tokenizer_of(definition_of(pieces));
  EXPECT_EQ(t.encode("aab", false), (ids{1, 1, 2}));
}

}  // namespace
