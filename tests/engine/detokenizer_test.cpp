//  Text as it streams: whole characters only, and nothing that a stop text would take back.
#include <engine/text/detokenizer.hpp>
#include <engine/text/utf8.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace {

using namespace tenon::engine;

/// Id n is byte n; 256 is a control token, 257 " a" as llama2.c's text beginning has it.
class bytes_tokenizer final : public tokenizer {
 public:
  encoding    encode_text(std::string_view, encode_options, bool) const override { return {}; }
  std::string token_bytes(std::int32_t id) const override {
    return std::string(1, static_cast<char>(static_cast<unsigned char>(id)));
  }
  std::string text_after(std::int32_t previous, std::int32_t id) const override {
    if (id == 257) return previous < 0 ? "a" : " a";
    return id == 256 ? "" : token_bytes(id);
  }
  std::int32_t                  vocabulary() const override { return 258; }
  bool                          is_special(std::int32_t id) const override { return id == 256; }
  std::optional<std::int32_t>   bos_id() const override { return {}; }
  std::vector<std::int32_t>     eos_ids() const override { return {}; }
  std::span<std::int32_t const> added_before() const override { return {}; }
  std::span<std::int32_t const> added_after() const override { return {}; }
  std::string                   description() const override { return ""; }
};

TEST(utf8, strict) {
  EXPECT_TRUE(is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xB1"));
  for (char const* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3", "\xE2\x82"})
    EXPECT_FALSE(is_utf8(bad));
  EXPECT_EQ(next_utf8("\xF4\x8F\xBF\xBF").code, 0x10FFFFu);
  for (char32_t const c : {0x41u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(next_utf8(text).code, c);
    EXPECT_EQ(next_utf8(text).length, text.size());
  }
}

/// Text that is long enough for 64 bytes at a time, with a byte that is wrong or none.
TEST(utf8, length_is_that_of_single_characters) {
  static constexpr char32_t codes[] = {'a',     0x7F,    0x80,    0x7FF,    0x800,   0xFFF,  0x1000,
                                       0x4E2D,  0xCFFF,  0xD000,  0xD7FF,   0xE000,  0xFFFF, 0x10000,
                                       0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF};
  std::mt19937              random(5);
  for (int round = 0; round < 20000; ++round) {
    std::string       text;
    std::size_t const kinds = 1 + random() % 5, first = random() % std::size(codes);
    for (std::size_t n = random() % 120; n > 0; --n)
      append_utf8(text, codes[(first + random() % kinds) % std::size(codes)]);
    if (round % 4 != 0 && !text.empty())
      text[random() % text.size()] = static_cast<char>(static_cast<unsigned char>(random()));
    std::size_t length = 0;
    while (length < text.size()) {
      utf8_step const step = next_utf8(std::string_view(text).substr(length));
      if (step.kind != utf8_kind::character) break;
      length += step.length;
    }
    ASSERT_EQ(utf8_length(text), length) << ::testing::PrintToString(text);
  }
}

// The Unicode Standard, table 3-8: one U+FFFD for each maximal part.
TEST(utf8, replacement) {
  std::string const r(replacement_character);
  EXPECT_EQ(to_utf8("a\xF1\x80\x80\xE1\x80\xC2"
                    "b\x80"
                    "c\x80\xBF"
                    "d"),
            "a" + r + r + r + "b" + r + "c" + r + r + "d");
  EXPECT_EQ(to_utf8("\xC0\xAF"), r + r);
  EXPECT_EQ(to_utf8("\xE2\x82"), r);
}

TEST(utf8_stream, equals_the_whole_text_however_it_is_cut) {
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes;
    for (int n = static_cast<int>(random() % 12); n > 0; --n) {
      if (random() % 2) append_utf8(bytes, random() % 2 ? 0x20AC : 0x1F431);
      else bytes += static_cast<char>(random() % 256);
    }
    utf8_stream stream;
    std::string text;
    for (std::size_t at = 0; at < bytes.size();) {
      std::size_t const n    = 1 + random() % 3;
      std::string const part = stream.feed(std::string_view(bytes).substr(at, n));
      EXPECT_TRUE(is_utf8(part));
      text += part;
      at += n;
    }
    EXPECT_EQ(text + stream.finish(), to_utf8(bytes));
  }
}

TEST(utf8_stream, never_half_a_character) {
  utf8_stream s;
  EXPECT_EQ(s.feed("\xF0\x9F"), "");
  EXPECT_EQ(s.feed("\x90"), "");
  EXPECT_EQ(s.feed("\xB1x"), "\xF0\x9F\x90\xB1x");
  EXPECT_EQ(s.feed("\xE2"), "");
  EXPECT_EQ(s.feed("a"),
            "\xEF\xBF\xBD"
            "a");  // it can no longer become one
  EXPECT_EQ(s.feed("\xE2\x82"), "");
  EXPECT_EQ(s.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(s.finish(), "");
}

TEST(stop_matcher, holds_back_and_cuts) {
  stop_matcher s({"END", "NO"});
  EXPECT_EQ(s.feed("go on E"), "go on ");
  EXPECT_EQ(s.feed("N"), "");
  EXPECT_EQ(s.feed("x"), "ENx");
  EXPECT_EQ(s.feed("abEND more"), "ab");
  EXPECT_TRUE(s.stopped());
  EXPECT_EQ(s.stop_text(), "END");
  EXPECT_EQ(s.feed("after"), "");
  EXPECT_EQ(s.finish(), "");
  stop_matcher unfinished({"END"});
  EXPECT_EQ(unfinished.feed("EN"), "");
  EXPECT_EQ(unfinished.finish(), "EN");
  EXPECT_FALSE(unfinished.stopped());
}

// What comes out does not depend on how the text is cut into pieces, and equals a search in the whole text.
TEST(stop_matcher, equals_a_search_however_the_text_is_cut) {
  std::mt19937                   random(5);
  std::vector<std::string> const stops{"aab", "ab", "bba", "aaaa"};
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (int n = static_cast<int>(random() % 10); n > 0; --n) text += static_cast<char>('a' + random() % 2);
    std::size_t begin = text.size(), end = std::string::npos;
    for (auto const& s : stops)
      if (auto const at = text.find(s);
          at != text.npos && (at + s.size() < end || (at + s.size() == end && at < begin)))
        begin = at, end = at + s.size();
    stop_matcher matcher(stops);
    std::string  out;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t const n = 1 + random() % 4;
      out += matcher.feed(text.substr(at, n));
      at += n;
    }
    out += matcher.finish();
    EXPECT_EQ(out, text.substr(0, begin)) << text;
    EXPECT_EQ(matcher.stopped(), end != std::string::npos) << text;
  }
}

/// Where a naive search stops: the stop text that is complete first, of several the longest.
struct found_stop {
  std::size_t begin, end = std::string::npos;
  std::string text;
};
found_stop naive_search(std::string const& text, std::vector<std::string> const& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    found_stop found{text.size(), std::string::npos, {}};
    for (auto const& s : stops)
      if (!s.empty() && s.size() <= end && text.compare(end - s.size(), s.size(), s) == 0 &&
          s.size() > found.text.size())
        found = {end - s.size(), end, s};
    if (found.end != std::string::npos) return found;
  }
  return {text.size(), std::string::npos, {}};
}

// Random stop texts within, over and behind each other. What is out at any time is certain: no longer text can take it back, and
// whatever is held back could still be taken.
TEST(stop_matcher, equals_a_naive_search_for_random_stop_texts) {
  std::mt19937 random(11);
  auto const   draw = [&](std::size_t most, unsigned letters) {
    std::string text;
    for (std::size_t n = random() % (most + 1); n > 0; --n) text += static_cast<char>('a' + random() % letters);
    return text;
  };
  for (int i = 0; i < 20000; ++i) {
    auto const               letters = static_cast<unsigned>(1 + random() % 3);
    std::vector<std::string> stops;
    for (int n = static_cast<int>(random() % 5); n > 0; --n) stops.push_back(draw(6, letters));
    std::string const text  = draw(24, letters);
    auto const        found = naive_search(text, stops);
    stop_matcher      matcher(stops);
    std::string       out;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t const n = random() % 4;
      out += matcher.feed(text.substr(at, n));
      at = std::min(at + n, text.size());
      if (matcher.stopped()) break;
      std::string_view const held = std::string_view(text).substr(out.size(), at - out.size());
      ASSERT_TRUE(held.empty() ||
                  std::any_of(stops.begin(), stops.end(),
                              [&](auto const& s) { return s.size() > held.size() && s.starts_with(held); }))
          << text;
      for (std::size_t longer = held.size() + 1; longer <= at; ++longer) {  // and no more is
        std::string_view const end = std::string_view(text).substr(at - longer, longer);
        ASSERT_TRUE(std::none_of(stops.begin(), stops.end(), [&](auto const& s) {
          return s.size() > end.size() && s.starts_with(end);
        })) << text;
      }
    }
    out += matcher.finish();
    ASSERT_EQ(out, text.substr(0, found.begin)) << text;
    ASSERT_EQ(matcher.stopped(), found.end != std::string::npos) << text;
    ASSERT_EQ(matcher.stop_text(), found.text) << text;
  }
}

// Linear: a search for each piece, or moving what is held back, would take 10^12 steps here.
TEST(stop_matcher, long_stop_texts_against_long_texts) {
  std::size_t const n = 1 << 20;
  stop_matcher      never({std::string(n, 'a') + "b", std::string(n / 2, 'a') + "c"});
  std::size_t       out = 0;
  for (std::size_t i = 0; i < 2 * n; ++i) out += never.feed("a").size();
  EXPECT_EQ(out, n);
  EXPECT_EQ(never.feed("x").size(), n + 1);
  for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(never.feed("a"), "");
  EXPECT_EQ(never.feed("b"), "");
  EXPECT_TRUE(never.stopped());
  EXPECT_EQ(never.stop_text().size(), n + 1);

  std::vector<std::string> many;  // beginnings of each other
  for (std::size_t i = 1; i < 1000; ++i) many.push_back(std::string(i, 'a') + "b");
  stop_matcher of_many(many);
  EXPECT_EQ(of_many.feed(std::string(n, 'a')).size(), n - 999);
  EXPECT_EQ(of_many.feed("b"), "");
  EXPECT_EQ(of_many.stop_text().size(), 1000u);
}

TEST(detokenizer, completion) {
  bytes_tokenizer const t;
  detokenizer           d(t, 'x');
  EXPECT_EQ(d.feed(257), " a");  // exactly what follows the prompt
  EXPECT_EQ(d.feed(0xC3), "");
  EXPECT_EQ(d.feed(256), "");
  EXPECT_EQ(d.feed(0xA9), "\xC3\xA9");
  EXPECT_EQ(d.feed(0xFF), "\xEF\xBF\xBD");
  EXPECT_EQ(d.feed(0xE2), "");
  EXPECT_EQ(d.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(detokenizer(t, -1).feed(257), "a");
}

TEST(detokenizer, stop_text_across_tokens_and_characters) {
  bytes_tokenizer const t;
  detokenizer           d(t, -1, {"\xC3\xA9!"});
  EXPECT_EQ(d.feed('a'), "a");
  EXPECT_EQ(d.feed(0xC3), "");
  EXPECT_EQ(d.feed(0xA9), "");
  EXPECT_FALSE(d.stopped());
  EXPECT_EQ(d.feed('!'), "");
  EXPECT_TRUE(d.stopped());
  EXPECT_EQ(d.finish(), "");
}

}  // namespace
