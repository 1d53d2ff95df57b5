#pragma once
//  Token ids to text as they come: only whole characters leave, and nothing that may yet turn into a stop text.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

/// Bytes to UTF-8 text. What can never become UTF-8 leaves as U+FFFD, one per maximal invalid part (Unicode 3.9,
/// "U+FFFD Substitution of Maximal Subparts"); an incomplete character at the end waits for its rest.
class utf8_stream {
 public:
  [[nodiscard]] std::string feed(std::string_view bytes);
  [[nodiscard]] std::string finish();  ///< U+FFFD for a character that never completed

 private:
  std::string held_;  // the beginning of one character, at most 3 bytes
};

/// Cuts a text at the stop text that is complete first, holding back whatever could be the beginning of one.
class stop_matcher {
 public:
  explicit stop_matcher(std::vector<std::string> stops = {});

  [[nodiscard]] std::string        feed(std::string_view text);  ///< what is certain to come before any stop text
  [[nodiscard]] std::string        finish();                     ///< what was held back and is now known to be text
  [[nodiscard]] bool               stopped() const { return stopped_; }
  [[nodiscard]] std::string const& stop_text() const { return stop_text_; }  ///< the one that was found

 private:
  std::vector<std::string> stops_;
  std::string              held_, stop_text_;
  bool                     stopped_ = false;
};

/// One request's completion. `last_prompt_id` (-1: none) decides what the first token's leading space means; text of the
/// prompt is never repeated.
class detokenizer {
 public:
  detokenizer(tokenizer const& vocabulary, std::int32_t last_prompt_id, std::vector<std::string> stops = {});

  [[nodiscard]] std::string feed(std::int32_t id);                        ///< text that is now certain, often empty
  [[nodiscard]] std::string finish();                                     ///< the rest, at the end of the completion
  [[nodiscard]] bool        stopped() const { return stops_.stopped(); }  ///< a stop text was found: end the request
  [[nodiscard]] std::string const& stop_text() const { return stops_.stop_text(); }

 private:
  tokenizer const* vocabulary_;
  std::int32_t     previous_;
  utf8_stream      characters_;
  stop_matcher     stops_;
};

}  // namespace tenon::engine
