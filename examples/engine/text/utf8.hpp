#pragma once
//  UTF-8, one code point at a time, with the strict definition of Unicode 3.9 (table 3-7).
#include <cstddef>
#include <string>
#include <string_view>

namespace tenon::engine {

enum class utf8_kind {
  character,   // a whole code point
  incomplete,  // the text ends inside what may become one
  invalid      // can never become one
};

struct utf8_step {
  utf8_kind   kind;
  std::size_t length;  // bytes: of the code point, or of the maximal part that is incomplete or invalid
  char32_t    code;    // of a character
};

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD

/// What stands at the beginning of `text`, which is not empty.
[[nodiscard]] utf8_step next_utf8(std::string_view text);

/// The last character of `text`, which is not empty; its last byte alone, as invalid, where it ends with none.
[[nodiscard]] utf8_step last_utf8(std::string_view text);

/// Bytes in front of the first that are not UTF-8.
[[nodiscard]] std::size_t utf8_length(std::string_view text);
[[nodiscard]] inline bool is_utf8(std::string_view text) { return utf8_length(text) == text.size(); }

/// `text` with U+FFFD in place of each maximal part that is not UTF-8.
[[nodiscard]] std::string to_utf8(std::string_view text);

/// Appends one code point, which is a Unicode scalar value.
void append_utf8(std::string& text, char32_t code);

/// Unicode White_Space.
[[nodiscard]] constexpr bool is_white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Bytes of the characters at the beginning of `text` whose codes `is` holds for.
template <class Is>
[[nodiscard]] std::size_t leading_bytes(std::string_view text, Is const& is) {
  std::size_t length = 0;
  while (length < text.size()) {
    auto const step = next_utf8(text.substr(length));
    if (step.kind != utf8_kind::character || !is(step.code)) break;
    length += step.length;
  }
  return length;
}
/// And at its end.
template <class Is>
[[nodiscard]] std::size_t trailing_bytes(std::string_view text, Is const& is) {
  std::size_t length = 0;
  while (length < text.size()) {
    auto const step = last_utf8(text.substr(0, text.size() - length));
    if (step.kind != utf8_kind::character || !is(step.code)) break;
    length += step.length;
  }
  return length;
}

}  // namespace tenon::engine
