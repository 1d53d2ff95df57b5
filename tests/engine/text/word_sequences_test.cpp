//  Words that are cut in one pass against PCRE2 on their expressions, each inside the pieces of the one before.
#include <engine/text/pattern.hpp>
#include <engine/text/pre_tokenizer.hpp>
#include <engine/text/utf8.hpp>
#include <engine/text/word_starts.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace tenon::engine;
using words = std::vector<std::string>;

words words_of(word_pattern p, std::string const& text) {
  words       all;
  std::size_t at = 0;
  each_word(p, text, [&](std::size_t begin, std::size_t end) {
    EXPECT_EQ(begin, at);
    EXPECT_GT(end, begin);
    at = end;
    all.push_back(text.substr(begin, end - begin));
  });
  EXPECT_EQ(at, text.size());
  return all;
}

/// Each expression in turn.
class by_expressions {
 public:
  explicit by_expressions(word_pattern p) {
    for (std::string_view const step : steps_of(p)) steps_.emplace_back(step, "test");
  }
  [[nodiscard]] words operator()(std::string const& text) const {
    words pieces{text};
    for (pattern const& step : steps_) {
      words next;
      for (std::string const& piece : pieces) {
        std::size_t done = 0;
        auto const  add  = [&](std::size_t begin, std::size_t end) {
          if (end > begin) next.push_back(piece.substr(begin, end - begin));
        };
        for (token_span const m : step.matches(piece)) {
          add(done, m.begin), add(m.begin, m.end);
          done = m.end;
        }
        add(done, piece.size());
      }
      pieces = std::move(next);
    }
    return pieces;
  }

 private:
  std::vector<pattern> steps_;
};

/// The first word in which the two differ.
std::string difference(words const& a, words const& b) {
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    std::string const x = i < a.size() ? a[i] : "end", y = i < b.size() ? b[i] : "end";
    if (x != y) return (i > 0 ? a[i - 1] : "") + " | " + x + " instead of " + y;
  }
  return {};
}

/// Whether PCRE2, which may have an older Unicode, has the character in the same classes.
bool is_the_same(char32_t c) {
  struct one {
    unicode_class bit;
    pattern       expression;
  };
  static std::vector<one> const classes = [] {
    std::vector<one> all;
    for (auto const& [bit, name] :
         {std::pair{is_letter, "L"}, {is_number, "N"}, {is_mark, "M"}, {is_punctuation, "P"}, {is_symbol, "S"}})
      all.push_back({bit, pattern("\\p{" + std::string(name) + "}", "test")});
    return all;
  }();
  std::string text;
  append_utf8(text, c);
  for (one const& k : classes)
    if (((unicode_class_of(c) & k.bit) != 0) == k.expression.matches(text).empty()) return false;
  return true;
}

/// Characters that the expressions treat in different ways.
constexpr char32_t characters[] = {
    ' ',    ' ',     ' ',     '\n',    '\r',    '\t',    '\v',   0xA0,   0x85,   0x2003, 0x3000, 0x2028, 'a',
    'b',    'Z',     's',     'l',     '\'',    '"',     '.',    '!',    '-',    '/',    '[',    '`',    '$',
    '+',    '<',     '~',     '^',     '0',     '1',     '2',    '3',    0xBD,   0xB2,   0x661,  0x216B, 0x2460,
    0xFF11, 0xE9,    0xC9,    0xAA,    0x301,   0x3099,  0x1FBE, 0x2126, 0x212A, 0x4E,   0x1F7D, 0x2102, 0x2103,
    0x560,  0x10D0,  0x4E2D,  0x9FA5,  0x9FA6,  0x3042,  0x30FB, 0x30A0, 0x309B, 0x3097, 0x3040, 0x30FC, 0xD55C,
    0xD7FF, 0xAC00,  0xABFF,  0xE01,   0x17D2,  0x800,   0x7FF,  0x2019, 0x201F, 0x2020, 0x3001, 0x3002, 0x3003,
    0xFF01, 0xFF21,  0xFF3B,  0xFF5E,  0x20AC,  0x2500,  0x200B, 0x1,    0x7F,   0x180E, 0xFEFF, 0xE000, 0x10FFFF,
    0x378,  0x1F600, 0x10400, 0x1D7D8, 0x20000, 0x1E900, 0x1E944};

std::string random_text(std::mt19937& random, std::size_t length) {
  std::uniform_int_distribution<std::size_t> pick(0, std::size(characters) - 1), again(0, 7);
  std::string                                text;
  for (std::size_t i = 0; i < length; ++i) {
    char32_t const c = characters[pick(random)];
    append_utf8(text, c);
    while (again(random) == 0) append_utf8(text, c);
  }
  return text;
}

TEST(word_sequences, are_their_expressions) {
  std::mt19937 random(1);
  for (word_pattern const p : word_sequences) {
    by_expressions const expected(p);
    for (int i = 0; i < 3000; ++i) {
      std::string const text = random_text(random, 1 + static_cast<std::size_t>(i) % 40);
      ASSERT_EQ(difference(words_of(p, text), expected(text)), "") << static_cast<int>(p) << ": " << text;
    }
  }
}

TEST(word_sequences, of_every_character_alone_and_between_others) {
  for (word_pattern const p : word_sequences) {
    by_expressions const expected(p);
    std::string          text;
    for (char32_t c = 1; c < 0x110000; c += c < 0x3400 || (c >= 0xFB00 && c < 0x10000) ? 1 : 97) {
      if ((c >= 0xD800 && c < 0xE000) || !is_the_same(c)) continue;
      append_utf8(text, c), text += ' ', append_utf8(text, c), text += 'a', append_utf8(text, c), text += " .";
      append_utf8(text, c), text += '1';
      if (text.size() < 4000) continue;
      ASSERT_EQ(difference(words_of(p, text), expected(text)), "")
          << static_cast<int>(p) << " below " << static_cast<std::uint32_t>(c);
      text.clear();
    }
  }
}

TEST(word_sequences, examples) {
  EXPECT_EQ(words_of(word_pattern::starcoder, "It's 12  a"), (words{"It", "'s", " ", "1", "2", " ", " a"}));
  EXPECT_EQ(words_of(word_pattern::falcon, "a  1234 (b)"), (words{"a", " ", " ", "123", "4", " ", "(", "b", ")"}));
  EXPECT_EQ(words_of(word_pattern::deepseek_coder, "x = y1, \xE4\xB8\xAD\n\n"),
            (words{"x", " =", " y", "1", ",", " ", "\xE4\xB8\xAD", "\n", "\n"}));
  EXPECT_EQ(words_of(word_pattern::deepseek_llm, "caf\xC3\xA9 +  "), (words{"caf", "\xC3\xA9", " +", "  "}));
  EXPECT_EQ(words_of(word_pattern::deepseek_v3, ".name 12345 \xE4\xB8\xAD\xE3\x80\x82\n x"),
            (words{".name", " ", "123", "45", " ", "\xE4\xB8\xAD", "\xE3\x80\x82\n", " x"}));
}

TEST(word_sequences, windows_agree_with_words) {  // word_starts: 64 bytes at once
  std::mt19937                               random(3);
  constexpr std::string_view                 list = "ab 1 .'s ll\n\t  99x-";
  std::uniform_int_distribution<std::size_t> pick(0, list.size() - 1);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    while (text.size() < 130) text += list[pick(random)];
    run_scanner         s(text);
    std::uint64_t const starts = detail::word_starts<word_pattern::starcoder>(text.data()).starts;
    std::size_t const   many   = static_cast<std::size_t>(std::popcount(starts));
    std::size_t         p      = 0;
    std::uint64_t       left   = starts;
    for (std::size_t k = 0; k < many; ++k, left &= left - 1) {
      ASSERT_EQ(static_cast<std::size_t>(std::countr_zero(left)), p) << text;
      p = detail::word_end<word_pattern::starcoder>(s, p);
    }
    ASSERT_GE(many, 8u);
  }
}

TEST(word_sequences, known_by_their_expressions) {
  for (word_pattern const p : word_sequences) {
    pre_tokenizer t;
    for (std::string_view const step : steps_of(p)) {
      EXPECT_FALSE(t.known() == p);
      t.add_split(step, "test", split_behaviour::isolated);
    }
    EXPECT_EQ(t.known(), p);
    t.add_prefix_space();
    EXPECT_FALSE(t.known());
  }
  pre_tokenizer removed, lines;
  removed.add_split("\\p{N}", "test", split_behaviour::removed);
  removed.add_split(expression_of(word_pattern::gpt2), "test", split_behaviour::isolated);
  EXPECT_FALSE(removed.known());
  for (std::string_view const step :
       {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\u4E00-\u9FA5\\x{800}-\u4E00\uAC00-\uD7FF]+", "\\p{N}"})
    lines.add_split(step, "test", split_behaviour::isolated);  // as their own files spell it
  EXPECT_EQ(lines.known(), word_pattern::deepseek_coder);
}

// What would be quadratic if a word looked for the end of its piece.
TEST(word_sequences, long_runs) {
  for (word_pattern const p : word_sequences)
    for (char const* part : {"1", " ", "\xE2\x80\x83 ", "+ ", "+\xE3\x80\x80", "\xE3\x80\x80!", "a", "\x01", "\n",
                             "\xE2\x82\xAC ", " 1"}) {
      std::string text;
      while (text.size() < 600'000) text += part;
      std::size_t count = 0;
      each_word(p, text, [&](std::size_t, std::size_t) { ++count; });
      EXPECT_GE(count, 1u);
    }
}

}  // namespace
