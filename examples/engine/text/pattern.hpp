#pragma once
//  A regular expression of a tokenizer file (Oniguruma's syntax, Unicode classes), run by PCRE2 within limits.
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.hpp"

struct pcre2_real_code_8;

namespace tenon::engine {

/// What \w is in Unicode (UTS #18) and in Rust, but not in PCRE2, for use in a class: letters, marks, digits,
/// connecting punctuation, joiners and circled letters.
inline constexpr std::string_view word_class =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

/// \s is Unicode White_Space, ^ and $ match at lines, as in Oniguruma. Nested and intersected classes are refused.
/// A text may take a bounded number of steps, which its length sets: an expression that takes more, as the square, is an `error`.
/// Test: tests/engine/text/pattern_test.cpp
class pattern {
 public:
  /// `subject` names the file and key for messages.
  pattern(std::string_view expression, std::string subject);

  /// The matches in valid UTF-8, left to right, not overlapping; they may be empty.
  [[nodiscard]] std::vector<token_span> matches(std::string_view text) const;

 private:
  struct release {
    void operator()(pcre2_real_code_8* code) const;
  };
  std::unique_ptr<pcre2_real_code_8, release> code_;
  std::string                                 subject_;
};

}  // namespace tenon::engine
