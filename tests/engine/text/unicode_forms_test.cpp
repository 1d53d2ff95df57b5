//  Normal forms against unicodedata2's (normal_forms.py), and the steps that a tokenizer file does to a text.
#include <engine/error.hpp>
#include <engine/text/text_normalizer.hpp>
#include <engine/text/utf8.hpp>

#include <gtest/gtest.h>

namespace {

using namespace tenon::engine;

struct forms_of_a_text {
  std::u32string_view text, nfc, nfd, nfkc, nfkd;
};
constexpr forms_of_a_text cases[] = {
#include "normal_forms.inc"
};

std::string utf8_of(std::u32string_view text) {
  std::string result;
  for (char32_t const c : text) append_utf8(result, c);
  return result;
}

void expect_form(std::string const& text, std::string const& wanted, unicode_form form) {
  normalized_text const n = to_form(text, form);
  EXPECT_EQ(n.text, wanted) << text;
  EXPECT_EQ(n.text.size(), n.origin.size());
  for (token_span const s : n.origin) {
    EXPECT_LT(s.begin, s.end);
    EXPECT_LE(s.end, text.size());
  }
  if (text != wanted) {
    EXPECT_FALSE(has_form(text, form)) << text;
  }
  EXPECT_EQ(to_form(wanted, form).text, wanted);
}

TEST(unicode_forms, are_those_of_unicode_16) {
  for (auto const& c : cases) {
    std::string const text = utf8_of(c.text);
    expect_form(text, utf8_of(c.nfc), unicode_form::nfc);
    expect_form(text, utf8_of(c.nfd), unicode_form::nfd);
    expect_form(text, utf8_of(c.nfkc), unicode_form::nfkc);
    expect_form(text, utf8_of(c.nfkd), unicode_form::nfkd);
  }
}

TEST(unicode_forms, plain_texts_have_them) {
  for (auto const form : {unicode_form::nfc, unicode_form::nfd, unicode_form::nfkc, unicode_form::nfkd})
    EXPECT_TRUE(has_form("plain ASCII, \xE7\xBA\xA2\xE6\xA5\xBC\xE6\xA2\xA6 and \xD0\x90", form));
  EXPECT_TRUE(has_form("\xEA\xB0\x80\xC3\xA9", unicode_form::nfc));
  EXPECT_FALSE(has_form("\xEA\xB0\x80", unicode_form::nfd));
  EXPECT_TRUE(has_form("\xC2\xBD", unicode_form::nfc));
  EXPECT_FALSE(has_form("\xC2\xBD", unicode_form::nfkc));
}

TEST(unicode_forms, small_letters) {
  EXPECT_EQ(small_letter(U'A'), U'a');
  EXPECT_EQ(small_letter(U'\u00C9'), U'\u00E9');
  EXPECT_EQ(small_letter(U'\u0100'), U'\u0101');
  EXPECT_EQ(small_letter(U'\u0101'), U'\u0101');
  EXPECT_EQ(small_letter(U'\u0130'), U'\u0130');
  EXPECT_EQ(small_letter(U'\u1E9E'), U'\u00DF');
  EXPECT_EQ(small_letter(U'\u10A0'), U'\u2D00');
  EXPECT_EQ(small_letter(U'\uA7DC'), U'\u019B');          // new in Unicode 16
  EXPECT_EQ(small_letter(U'\U00010D50'), U'\U00010D70');  // too
  EXPECT_EQ(small_letter(U'\u4E00'), U'\u4E00');
}

using steps = std::vector<text_normalizer::step>;

normalized_text apply(steps list, std::string_view text) {
  text_normalizer n;
  for (auto& s : list) n.add(std::move(s));
  EXPECT_EQ(n.keeps(text), n.apply(text).text == text) << text;  // of these texts no step is in doubt
  return n.apply(text);
}

TEST(text_normalizer, each_step) {
  using n = text_normalizer;
  EXPECT_EQ(apply({n::lowercase{}}, "AbC \xC3\x89\xC4\xB0 \xFF").text, "abc \xC3\xA9i\xCC\x87 \xFF");
  EXPECT_EQ(apply({n::strip_accents{}}, "e\xCC\x81\xCC\xA3x").text, "ex");
  EXPECT_EQ(apply({n::strip{}},
                  " \xE3\x80\x80"
                  "a b\t\n")
                .text,
            "a b");
  EXPECT_EQ(apply({n::strip{true, false}}, "  a ").text, "a ");
  EXPECT_EQ(apply({n::strip{}}, "  ").text, "");
  EXPECT_EQ(apply({n::prepend{"_"}}, "a").text, "_a");
  EXPECT_EQ(apply({n::prepend{"_"}}, "").text, "");
  EXPECT_EQ(apply({n::replace{"aa", nullptr, "b"}}, "aaaaa").text, "bba");
  EXPECT_EQ(apply({n::replace{"", std::make_shared<pattern>(" {2,}", "p"), " "}}, "a   b  c").text, "a b c");
  EXPECT_EQ(apply({n::form{unicode_form::nfc}},
                  "\xFF"
                  "e\xCC\x81")
                .text,
            "\xFF\xC3\xA9");
  EXPECT_EQ(apply({n::squeeze{}}, "  a   b \xE2\x96\x81 ").text, "a b");
}

TEST(text_normalizer, origins_go_through_all_steps) {
  using n = text_normalizer;
  normalized_text const r =
      apply({n::form{unicode_form::nfkc}, n::prepend{"_"}, n::replace{" ", nullptr, "--"}}, "e\xCC\x81 \xEF\xAC\x81");
  EXPECT_EQ(r.text, "_\xC3\xA9--fi");
  EXPECT_EQ(r.origin, (std::vector<token_span>{{0, 0}, {0, 3}, {0, 3}, {3, 4}, {3, 4}, {4, 7}, {4, 7}}));
}

}  // namespace
