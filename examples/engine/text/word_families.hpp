#pragma once
//  Families of tokenizers by name, and how each cuts its words: for files that do not say it themselves (--pattern, the
//  tokenizer_class of a vocab.json, the tokenizer.ggml.pre of a GGUF vocabulary).
//
//  The expressions are those of the families' own tokenizer.json files; GGUF's names are ggml-org/llama.cpp's (llama-vocab.cpp).
//  Test: tests/engine/text/ggml_vocab_test.cpp (ids that the families' own tokenizers gave).
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/text/pre_tokenizer.hpp"

namespace tenon::engine {

struct word_family {
  std::string_view                  name;
  std::optional<word_pattern>       words;  // cut by hand
  std::span<std::string_view const> steps;  // else: expressions, one after the other; each match is a word for itself
  bool                              nfc = false;
};

/// nullptr: no such family.
[[nodiscard]] word_family const* find_word_family(std::string_view name);
/// All names with | between them.
[[nodiscard]] std::string const& word_family_names();

/// Adds the cuts of a family, or of any regular expression. `subject` is for messages. Returns the family, if it is one.
word_family const* add_words(pre_tokenizer& to, std::string_view name_or_expression, std::string const& subject);

/// What a GGUF file's tokenizer.ggml.pre stands for.
struct ggml_pre_tokenizer {
  std::string_view name, family;
  bool             nfc         = false;  // beyond the family's own
  bool             whole_words = false;  // a word that is a token stays whole
  bool             add_bos     = false;  // where the file does not say
};
/// nullptr: no such name.
[[nodiscard]] ggml_pre_tokenizer const* find_ggml_pre_tokenizer(std::string_view name);

}  // namespace tenon::engine
