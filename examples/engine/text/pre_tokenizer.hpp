#pragma once
//  How a tokenizer file cuts a text into the words that are merged each for itself: splits at patterns, one after the other.
//
//  Where all steps together are a pattern that is known (word_patterns.hpp), `known` says so and nothing here need run.
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/pattern.hpp"
#include "engine/text/word_patterns.hpp"

namespace tenon::engine {

/// What becomes of a match, as huggingface/tokenizers has it.
enum class split_behaviour { removed, isolated, merged_with_previous, merged_with_next, contiguous };

struct text_piece {
  std::string_view text;
  std::size_t      origin;            // of its first byte in the input
  bool             prefixed = false;  // its first byte is a space that the input lacks
};

class pre_tokenizer {
 public:
  /// A space in front of every piece that has none.
  void add_prefix_space();
  /// `inverted`: what lies between matches is the match. `subject` names the file and key for messages.
  void add_split(std::string_view expression, std::string subject, split_behaviour behaviour, bool inverted = false);

  [[nodiscard]] bool empty() const { return steps_.empty(); }
  /// The pattern that all steps are together.
  [[nodiscard]] std::optional<word_pattern> known() const { return known_; }

  /// The pieces of `text`; those with a space in front lie in `prefixed`.
  [[nodiscard]] std::vector<text_piece> pieces(std::string_view text, std::size_t origin,
                                               std::deque<std::string>& prefixed) const;

 private:
  struct split {
    pattern         expression;
    split_behaviour behaviour = split_behaviour::isolated;
    bool            inverted  = false;
  };
  struct step {                // in the file's order
    std::optional<split> cut;  // none: a space in front
  };
  static std::vector<text_piece> cut(std::vector<text_piece> const& pieces, split const& at);

  void recognize();

  std::vector<step>           steps_;
  std::vector<std::string>    expressions_;  // of those whose matches are isolated
  std::optional<word_pattern> known_;
};

}  // namespace tenon::engine
