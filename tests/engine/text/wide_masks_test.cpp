//  What the masks say of every character of three bytes against Unicode's classes.
#include <engine/text/unicode_classes.hpp>
#include <engine/text/utf8.hpp>
#include <engine/text/wide_masks.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace tenon::engine;

/// Every character of three bytes, at every place of a window.
TEST(wide_masks, are_the_classes) {
  std::size_t letters = 0, signs = 0;
  for (char32_t code = 0x800; code < 0x10000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    for (std::size_t const at : {std::size_t{code % 62}, std::size_t{62}}) {
      std::string text(at, 'x');
      append_utf8(text, code);
      text.resize(64, 'x');
      unsigned const      bits = unicode_class_of(code);
      std::uint64_t const here = at < 62 ? std::uint64_t{7} << at : 0;
      wide_masks const    wide = classify_wide(text.data(), std::uint64_t{7} << at);
      if (wide.letter != 0) {
        ASSERT_EQ(bits, unsigned{is_letter | is_upper_side | is_lower_side}) << static_cast<unsigned>(code);
      }
      if (wide.sign != 0) {
        ASSERT_EQ(bits & (is_letter | is_number | is_space | is_upper_side | is_lower_side), 0u)
            << static_cast<unsigned>(code);
      }
      ASSERT_TRUE(wide.letter == 0 || wide.letter == here) << static_cast<unsigned>(code);
      ASSERT_TRUE(wide.sign == 0 || wide.sign == here) << static_cast<unsigned>(code);
      letters += wide.letter != 0, signs += wide.sign != 0;
      bool const frequent = (code >= 0x4E00 && code < 0xA000) || (code >= 0xAC00 && code < 0xD780) ||
                            (code >= 0x3041 && code < 0x3097) || (code >= 0x30A1 && code < 0x30FB);
      ASSERT_TRUE(!frequent || at == 62 || wide.letter != 0) << static_cast<unsigned>(code);
    }
  }
  EXPECT_GT(letters, 35000u);  // with U+4000 to U+4DBF
  EXPECT_GT(signs, 50u);
}

}  // namespace
