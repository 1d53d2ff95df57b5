#include "engine/text/gguf_vocabulary.hpp"

#include <algorithm>
#include <string>

#include "engine/error.hpp"
#include "engine/text/byte_level_vocabulary.hpp"
#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

constexpr char const *model_key = "tokenizer.ggml.model", *tokens_key = "tokenizer.ggml.tokens",
                     *types_key = "tokenizer.ggml.token_type", *merges_key = "tokenizer.ggml.merges",
                     *pre_key = "tokenizer.ggml.pre";

std::string place(gguf_file const& f, char const* key, std::size_t index) {
  return f.name() + ": " + in_quotes(key) + "[" + std::to_string(index) + "]";
}

/// What converters put where a model has more rows than its tokenizer has tokens: [PAD and the id].
bool fills_a_gap(std::string_view token, std::size_t id) { return token == "[PAD" + std::to_string(id) + "]"; }

/// The pattern's name or expression, and what else the file's name for it means.
ggml_pre_tokenizer pre_tokenizer_of(gguf_file const& f, std::string_view pattern) {
  std::string_view const          name  = f.has(pre_key) ? f.text(pre_key) : std::string_view();
  ggml_pre_tokenizer const* const known = find_ggml_pre_tokenizer(name);
  ggml_pre_tokenizer              p     = known ? *known : ggml_pre_tokenizer{};
  if (!pattern.empty()) p.family = pattern;
  else if (!known)
    throw wrong(f.name(), "does not say how to cut words",
                f.has(pre_key) ? std::string(pre_key) + " " + in_quotes(name) : std::string("no ") + pre_key,
                "a name that is known, or --pattern " + word_family_names() + "|EXPRESSION");
  return p;
}

}  // namespace

gguf_vocabulary read_gguf_vocabulary(gguf_file const& f) {
  gguf_vocabulary v;
  v.model  = f.text(model_key);
  v.tokens = f.texts(tokens_key);
  if (v.tokens.empty() || v.tokens.size() > static_cast<std::size_t>(bpe_definition::id_limit))
    throw wrong(f.name() + ": " + in_quotes(tokens_key), "is no vocabulary",
                std::to_string(v.tokens.size()) + " tokens", "1 to " + std::to_string(bpe_definition::id_limit));
  v.kinds.assign(v.tokens.size(), gguf_token_kind::text);
  if (f.has(types_key)) {
    auto const types = f.integers(types_key);
    if (types.size() != v.tokens.size())
      throw wrong(f.name() + ": " + in_quotes(types_key), "does not fit the tokens",
                  std::to_string(types.size()) + " types", std::to_string(v.tokens.size()));
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i] < 0 || types[i] > 6)
        throw wrong(place(f, types_key, i), "unknown type", std::to_string(types[i]), "0 to 6");
      if (types[i] != 0) v.kinds[i] = static_cast<gguf_token_kind>(types[i]);
      if (v.kinds[i] == gguf_token_kind::user && fills_a_gap(v.tokens[i], i)) v.kinds[i] = gguf_token_kind::unused;
    }
  }
  auto const id = [&](std::string const& key) -> std::optional<std::int32_t> {
    if (!f.has(key)) return {};
    return static_cast<std::int32_t>(f.integer(key, 0, static_cast<std::int64_t>(v.tokens.size()) - 1));
  };
  v.begin   = id("tokenizer.ggml.bos_token_id");
  v.end     = id("tokenizer.ggml.eos_token_id");
  v.unknown = id("tokenizer.ggml.unknown_token_id");
  for (char const* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (auto const e = id(key); e && std::find(v.ends.begin(), v.ends.end(), *e) == v.ends.end()) v.ends.push_back(*e);
  auto const flag  = [&](char const* key) { return f.has(key) ? std::optional(f.flag(key)) : std::nullopt; };
  v.add_begin      = flag("tokenizer.ggml.add_bos_token");
  v.add_end        = flag("tokenizer.ggml.add_eos_token");
  auto const needs = [&](std::optional<bool> add, std::optional<std::int32_t> token, char const* key,
                         char const* other) {
    if (add == true && !token)
      throw wrong(f.name() + ": " + in_quotes(key), "names no token", "true without " + in_quotes(other), "its id");
  };
  needs(v.add_begin, v.begin, "tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id");
  needs(v.add_end, v.end, "tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id");
  return v;
}

bpe_definition read_gguf_bpe(gguf_file const& f, std::string_view pattern) {
  gguf_vocabulary const v = read_gguf_vocabulary(f);
  if (v.model != "gpt2")
    throw wrong(f.name() + ": " + in_quotes(model_key), "unsupported tokenizer", in_quotes(v.model), "gpt2 or llama");
  ggml_pre_tokenizer const pre = pre_tokenizer_of(f, pattern);
  bpe_definition           d;
  d.file        = f.name();
  d.description = "byte-level BPE (GGUF)";
  d.whole_words = pre.whole_words;
  d.nfc         = pre.nfc;
  if (word_family const* const family = add_words(d.words, pre.family, d.file + ": pattern")) d.nfc |= family->nfc;

  byte_level_vocabulary vocabulary(d);
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    auto const        id      = static_cast<std::int64_t>(i);
    std::string const subject = place(f, tokens_key, i);
    bool const        text    = v.kinds[i] == gguf_token_kind::text && !v.tokens[i].empty();
    text ? vocabulary.add_token(id, v.tokens[i], subject) : vocabulary.add_plain(id, v.tokens[i], subject);
    bool const user = v.kinds[i] == gguf_token_kind::user;
    if ((!user && v.kinds[i] != gguf_token_kind::control && v.kinds[i] != gguf_token_kind::unknown) ||
        v.tokens[i].empty())
      continue;
    added_token t;
    t.id = static_cast<std::int32_t>(id), t.content = v.tokens[i], t.special = !user, t.normalized = user && d.nfc;
    d.added.push_back(std::move(t));
  }
  auto const merges = f.texts(merges_key);
  for (std::size_t i = 0; i < merges.size(); ++i) vocabulary.add_merge(merges[i], place(f, merges_key, i));

  if (v.add_begin.value_or(pre.add_bos && v.begin)) d.before = {*v.begin};
  if (v.add_end.value_or(false)) d.after = {*v.end};
  d.ends = v.ends;
  return d;
}

}  // namespace tenon::engine
