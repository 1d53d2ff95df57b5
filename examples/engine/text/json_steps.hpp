#pragma once
//  What tokenizer.json does to a text in front of its model, and around the ids behind it: the parts that its kinds
//  share.
//
//  Each follows huggingface/tokenizers (normalizers, pre_tokenizers, processors, added_vocabulary); what is not
//  implemented is refused by name.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/files/json.hpp"
#include "engine/text/added_tokens.hpp"
#include "engine/text/pre_tokenizer.hpp"
#include "engine/text/text_normalizer.hpp"

namespace tenon::engine {

[[nodiscard]] json_value const& array_at(json_fields const& f, char const* key);

/// Calls read(member, depth) for each member of a "Sequence".
void each_of(json_fields const& f, char const* key, int depth,
             std::function<void(json_fields const&, int)> const& read);

/// "normalizer", where there is one.
[[nodiscard]] std::vector<text_normalizer::step> read_normalizer(json_fields const& root);

/// How words begin where spaces are U+2581.
struct metaspace {
  enum class prepend : unsigned char { always, first, never };
  prepend scheme = prepend::always;
  bool    split  = true;
};
[[nodiscard]] metaspace read_metaspace(json_fields const& f);

/// "pre_tokenizer", where there is one.
struct json_pre_tokenizer {
  pre_tokenizer            words;
  bool                     byte_level = false;  // its last step
  std::optional<metaspace> spaces;              // its last step
};
/// `splits_at_spaces` false: a Split at each space is left out, as there are none.
[[nodiscard]] json_pre_tokenizer read_pre_tokenizer(json_fields const& root, bool splits_at_spaces = true);

/// What tokenizer.json and tokenizer_config.json say of an added token.
[[nodiscard]] added_token read_added_token(json_fields const& f, std::int64_t id);
/// "added_tokens". `names(id)` are the spellings of a vocabulary entry, none where there is no such entry.
[[nodiscard]] std::vector<added_token> read_added_tokens(
    json_fields const& root, std::int64_t id_limit,
    std::function<std::vector<std::string>(std::int64_t id)> const& names);

/// "post_processor": what is put before and after a text. Ids are below `ids_end`.
struct json_template {
  std::vector<std::int32_t> before, after;
};
[[nodiscard]] json_template read_template(json_fields const& root, std::int64_t ids_end);

/// "dropout", "continuing_subword_prefix" and "end_of_word_suffix" of a BPE model are refused.
void refuse_subwords(json_fields const& model);

}  // namespace tenon::engine
