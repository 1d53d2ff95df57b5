#include "engine/text/gguf_vocabulary.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_set>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/byte_level_vocabulary.hpp"
#include "engine/text/utf8.hpp"
#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

constexpr char const *model_key = "tokenizer.ggml.model", *tokens_key = "tokenizer.ggml.tokens",
                     *types_key = "tokenizer.ggml.token_type", *merges_key = "tokenizer.ggml.merges",
                     *pre_key = "tokenizer.ggml.pre", *scores_key = "tokenizer.ggml.scores",
                     *space_key = "tokenizer.ggml.add_space_prefix";

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

bool is_gguf_of_pieces(gguf_file const& f) { return f.text(model_key) == "llama"; }

piece_definition read_gguf_pieces(gguf_file const& f) {
  gguf_vocabulary const    v      = read_gguf_vocabulary(f);
  std::vector<float> const scores = f.floats(scores_key);
  if (scores.size() != v.tokens.size())
    throw wrong(f.name() + ": " + in_quotes(scores_key), "does not fit the tokens",
                std::to_string(scores.size()) + " scores", std::to_string(v.tokens.size()));
  auto const in_range      = [&](std::int32_t id) { return static_cast<std::size_t>(id) < v.tokens.size() ? id : -1; };
  std::int32_t const begin = v.begin.value_or(in_range(1)),
                     end   = v.end.value_or(in_range(2));  // where the file does not say

  piece_definition d;
  d.file        = f.name();
  d.description = "BPE (GGUF)";
  d.unknown     = v.unknown.value_or(0);
  // Phi-3's own tokenizer takes the white space behind its control tokens, which GGUF has no key for.
  bool const                           phi3 = f.has("general.architecture") && f.text("general.architecture") == "phi3";
  std::unordered_set<std::string_view> matched;
  std::vector<bool>                    bytes(256);
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    std::string const      subject = place(f, tokens_key, i);
    std::string_view const token   = v.tokens[i];
    auto const             id      = static_cast<std::int32_t>(i);
    auto&                  e       = d.entry_at(id);
    if (token.size() > piece_definition::length_limit)
      throw wrong(subject, "is too long", std::to_string(token.size()) + " bytes",
                  "at most " + std::to_string(piece_definition::length_limit));
    if (!is_utf8(token)) throw wrong(subject, "is not UTF-8", in_quotes(token), "valid UTF-8");
    e.score = static_cast<double>(scores[i]);
    if (!std::isfinite(e.score))
      throw wrong(place(f, scores_key, i), "is no number", std::to_string(e.score), "a finite number");
    if (token.empty()) continue;
    gguf_token_kind const kind = v.kinds[i];
    if (kind == gguf_token_kind::byte) {
      int const byte = byte_of(token);
      if (byte < 0) throw wrong(subject, "is no byte", in_quotes(token), "<0x00> to <0xFF>");
      e.kind = piece_kind::byte, e.bytes = std::string(1, static_cast<char>(byte));
      bytes[static_cast<std::size_t>(byte)] = true;
    } else if (id == d.unknown || kind == gguf_token_kind::unknown) {
      e.kind = id == d.unknown ? piece_kind::unknown : piece_kind::unused, e.bytes = token;
    } else if (kind == gguf_token_kind::control || kind == gguf_token_kind::user) {
      added_token t;
      t.id = id, t.content = token, t.special = kind == gguf_token_kind::control;
      t.strip_right = phi3 && id != begin && token != "<|endoftext|>";
      d.added.push_back(std::move(t));
    } else {
      e.kind    = kind == gguf_token_kind::text ? piece_kind::text : piece_kind::unused;
      e.bytes   = with_spaces(token);
      e.matched = token.find(' ') == token.npos && !fills_a_gap(token, i);  // no text has a space then
      if (e.matched && !matched.insert(token).second)
        throw wrong(subject, "is there twice", in_quotes(token), "every token once");
    }
  }
  if (std::find(bytes.begin(), bytes.end(), false) != bytes.end())
    d.normalizer.add(text_normalizer::map{character_map({}, d.file), false, false, nullptr});  // bytes are lost anyway
  d.fuse_unknown = true;
  d.unknown_text = " \xE2\x81\x87 ";
  if (!f.has(space_key) || f.flag(space_key)) {
    d.lead.at      = piece_definition::lead_space::each;
    d.strips_first = true;
  }
  if (begin >= 0 && v.add_begin.value_or(true)) d.before = {begin};
  if (end >= 0 && v.add_end.value_or(false)) d.after = {end};
  d.ends = v.ends;
  if (d.ends.empty() && end >= 0) d.ends = {end};
  return d;
}

}  // namespace tenon::engine
