#pragma once
//  Unicode's normalisation forms (UAX #15, Unicode 16) of valid UTF-8, with the way back to the input's bytes.
//  Test: tests/engine/text/unicode_forms_test.cpp
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

enum class unicode_form : unsigned char { nfc, nfd, nfkc, nfkd };

/// A text that was made of another one.
struct normalized_text {
  std::string             text;
  std::vector<token_span> origin;  // of each byte of `text`: the input's bytes that its character came from
};

/// True: `text` is in the form. False: it may not be.
[[nodiscard]] bool            has_form(std::string_view text, unicode_form form);
[[nodiscard]] normalized_text to_form(std::string_view text, unicode_form form);

[[nodiscard]] inline bool            is_nfc(std::string_view text) { return has_form(text, unicode_form::nfc); }
[[nodiscard]] inline normalized_text to_nfc(std::string_view text) { return to_form(text, unicode_form::nfc); }

/// The small letter of a capital one, else `code`. U+0130, whose small letter is two codes, is not changed here.
[[nodiscard]] char32_t small_letter(char32_t code);

}  // namespace tenon::engine
