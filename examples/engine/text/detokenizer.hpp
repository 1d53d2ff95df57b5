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

/// Cuts a text at the stop text that is complete first, of several the longest, holding back whatever could be the beginning of
/// one. Time is linear in the text, however it comes and however long the stop texts are: an automaton over all of them (Aho and
/// Corasick, "Efficient string matching: an aid to bibliographic search", 1975).
class stop_matcher {
 public:
  explicit stop_matcher(std::vector<std::string> stops = {});

  [[nodiscard]] std::string        feed(std::string_view text);  ///< what is certain to come before any stop text
  [[nodiscard]] std::string        finish();                     ///< what was held back and is now known to be text
  [[nodiscard]] bool               stopped() const { return stopped_; }
  [[nodiscard]] std::string const& stop_text() const { return stop_text_; }  ///< the one that was found

 private:
  /// What has come ends with the first `depth` bytes of a stop text, and no longer beginning of any.
  struct node {
    std::int32_t  child = -1, sibling = -1;  // first of those that are one byte longer; the next of this one's parent
    std::int32_t  shorter = 0;               // the longest other end of it that begins a stop text
    std::int32_t  stop;                      // one of those that it begins
    std::int32_t  whole = -1;                // the longest stop text that it ends with
    std::uint32_t depth;
    char          byte;  // its last
  };
  [[nodiscard]] std::int32_t     child_of(std::int32_t parent, char byte) const;
  void                           add(std::int32_t stop);
  void                           link();
  [[nodiscard]] std::string_view held() const {
    return beginning(at_);
  }  ///< it need not be kept: it begins a stop text
  [[nodiscard]] std::string_view beginning(std::int32_t of) const {
    node const& n = nodes_[static_cast<std::size_t>(of)];
    return std::string_view(stops_[static_cast<std::size_t>(n.stop)]).substr(0, n.depth);
  }

  std::vector<std::string> stops_;
  std::vector<node>        nodes_;  // [0]: nothing; empty without stop texts
  std::int32_t             at_ = 0;
  std::string              stop_text_;
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
