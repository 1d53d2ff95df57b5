#pragma once
//  Upper, lower and title case as Python has them: full mappings, without regard to what stands around a character.
#include <string>

namespace tenon::engine {

enum class letter_case { upper, lower, title };

/// Appends `code` in that case: up to three code points.
void append_in_case(std::string& text, char32_t code, letter_case to);

/// A letter that has case.
[[nodiscard]] bool is_cased(char32_t code);

/// Python's str.isprintable of one code point.
[[nodiscard]] bool is_printable(char32_t code);

}  // namespace tenon::engine
