#pragma once
//  Vocabulary entries that are found in the text before anything else is done to it: control and user-defined tokens.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

struct added_token {
  std::int32_t id = 0;
  std::string  content;
  bool         special     = false;                      // a control token
  bool         single_word = false;                      // only where no letter, digit or underscore touches it
  bool         strip_left = false, strip_right = false;  // takes the white space beside it
  bool         normalized = false;                       // matched in the normalised text
};

/// A part of a text: an added token, or text between them (id -1).
struct text_part {
  std::int32_t id;
  token_span   span;
};

/// Whether any of the spans, which are in order, shares a byte with the part.
[[nodiscard]] bool touches(std::span<token_span const> spans, token_span part);

/// Leftmost, then longest, as huggingface/tokenizers has it (added_vocabulary.rs). Every place of a text is looked at
/// as far as the longest of the short tokens goes; long ones are each searched for in the whole text, in linear time.
class added_token_matcher {
 public:
  static constexpr std::size_t longest_short = 1024;  // bytes

  void add(added_token const& token);  ///< its content is not empty

  /// The parts of `text`, none empty. `control` false: special tokens are text; so they are where they touch `foreign`,
  /// spans in a text whose byte `origin` is the first of this one.
  [[nodiscard]] std::vector<text_part> split(std::string_view text, bool control,
                                             std::span<token_span const> foreign = {}, std::size_t origin = 0) const;

 private:
  struct node {
    std::int32_t token = -1;  // index into tokens_
  };
  [[nodiscard]] std::int32_t child(std::int32_t parent, unsigned char byte) const;
  [[nodiscard]] std::size_t  first_from(std::string_view text, std::size_t at) const;  // where a token may begin
  /// Of at most `control` bytes where it is special.
  [[nodiscard]] std::size_t longest(std::string_view text, std::size_t control, added_token const*& token) const;

  class long_tokens;

  std::vector<added_token>                        tokens_;
  std::vector<added_token>                        long_;
  std::vector<node>                               nodes_{node{}};
  std::array<std::int32_t, 256>                   first_{};          // children of the root; 0: none
  int                                             first_bytes_ = 0;  // how many there are
  char                                            first_byte_  = 0;  // the last of them
  std::unordered_map<std::uint64_t, std::int32_t> edges_;            // (node, byte) -> node
};

}  // namespace tenon::engine
