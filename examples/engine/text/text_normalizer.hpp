#pragma once
//  What is done to a text before it is tokenized, step by step, with the way back to the input's bytes.
//
//  The steps are those of tokenizer.json's normalizers (huggingface/tokenizers) and of SentencePiece's normalizer_spec.
//  Bytes that are not UTF-8 pass through. Test: tests/engine/text/unicode_forms_test.cpp
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/text/added_tokens.hpp"
#include "engine/text/character_map.hpp"
#include "engine/text/pattern.hpp"
#include "engine/text/unicode_forms.hpp"

namespace tenon::engine {

class text_normalizer {
 public:
  struct form {  // NFC, NFD, NFKC, NFKD
    unicode_form value;
  };
  struct lowercase {};
  struct strip_accents {};  // combining marks go
  struct strip {            // white space at the ends goes
    bool left = true, right = true;
  };
  struct prepend {  // to a text that is not empty
    std::string text;
  };
  struct replace {
    std::string              literal;     // not empty, or
    std::shared_ptr<pattern> expression;  // what is replaced
    std::string              with;
  };
  /// A map of SentencePiece over characters (character_map.hpp); by characters as tokenizer.json applies it, else as
  /// SentencePiece does: its longest rules, and what `kept` finds stays as it is.
  struct map {
    character_map                              rules;
    bool                                       by_clusters = false;
    bool                                       keeps_bytes = false;  // that are not UTF-8; else they become U+FFFD
    std::shared_ptr<added_token_matcher const> kept;
  };
  /// SentencePiece's remove_extra_whitespaces: none at the ends, one in a row. `escaped`: U+2581 at the end goes, too.
  struct squeeze {
    bool escaped = true;
  };
  using step = std::variant<form, lowercase, strip_accents, strip, prepend, replace, map, squeeze>;

  void add(step s) { steps_.push_back(std::move(s)); }
  void add_first(step s) { steps_.insert(steps_.begin(), std::move(s)); }

  [[nodiscard]] bool empty() const { return steps_.empty(); }
  /// True: `apply` would return `text` as it is. False: it may not.
  [[nodiscard]] bool keeps(std::string_view text) const;
  /// Without `origins` there are none: that is faster.
  [[nodiscard]] normalized_text apply(std::string_view text, bool origins = true) const;

 private:
  std::vector<step> steps_;
};

}  // namespace tenon::engine
