//  What the masks say of every character of three bytes against Unicode's classes.
#include <engine/text/unicode_classes.hpp>
#include <engine/text/utf8.hpp>
#include <engine/text/wide_masks.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace tenon::engine;

/// Every character of two and three bytes, at a place of a window and cut by its end.
TEST(wide_masks, are_the_classes) {
  constexpr unsigned all   = is_letter | is_number | is_space | is_upper_side | is_lower_side;
  std::size_t        cased = 0, letters = 0, signs = 0;
  for (char32_t code = 0x80; code < 0x10000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::size_t const length = code < 0x800 ? 2 : 3;
    for (std::size_t const at : {std::size_t{code % (65 - length)}, 65 - length}) {
      std::string text(at, 'x');
      append_utf8(text, code);
      text.resize(64, 'x');
      unsigned const      bits = unicode_class_of(code) & all;
      bool const          cut  = at + length > 64;
      std::uint64_t const here = cut ? 0 : ((std::uint64_t{1} << length) - 1) << at;
      wide_masks const    wide = classify_wide(text.data(), ((std::uint64_t{1} << length) - 1) << at);
      if (wide.cased != 0) {
        ASSERT_TRUE(bits == (is_letter | is_upper_side) || bits == (is_letter | is_lower_side))
            << static_cast<unsigned>(code);
      }
      if (wide.letter != 0) {
        ASSERT_EQ(bits, unsigned{is_letter | is_upper_side | is_lower_side}) << static_cast<unsigned>(code);
      }
      if (wide.sign != 0) {
        ASSERT_EQ(bits, 0u) << static_cast<unsigned>(code);
      }
      for (std::uint64_t const mask : {wide.cased, wide.letter, wide.sign})
        ASSERT_TRUE(mask == 0 || mask == here) << static_cast<unsigned>(code);
      ASSERT_TRUE(length == 3 || (wide.letter | wide.sign) == 0) << static_cast<unsigned>(code);
      cased += wide.cased != 0, letters += wide.letter != 0, signs += wide.sign != 0;
      bool const frequent = (code >= 0x4E00 && code < 0xA000) || (code >= 0xAC00 && code < 0xD780) ||
                            (code >= 0x3041 && code < 0x3097) || (code >= 0x30A1 && code < 0x30FB);
      ASSERT_TRUE(!frequent || cut || wide.letter != 0) << static_cast<unsigned>(code);
    }
  }
  EXPECT_GT(cased, 370u);
  EXPECT_GT(letters, 35000u);  // with U+4000 to U+4DBF
  EXPECT_GT(signs, 50u);
}

}  // namespace
