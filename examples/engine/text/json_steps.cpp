#include "engine/text/json_steps.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/base64.hpp"
#include "engine/text/piece_definition.hpp"

namespace tenon::engine {
namespace {

/// An expression for each character for itself.
std::string literal_expression(std::string_view text) {
  std::string expression;
  for (char const c : text) {
    if (static_cast<unsigned char>(c) < 0x80 &&
        !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
      expression += '\\';
    expression += c;
  }
  return expression;
}

split_behaviour read_behaviour(json_fields const& f, std::string const& name) {
  struct known {
    char const*     name;
    split_behaviour value;
  };
  constexpr known   behaviours[] = {{"Removed", split_behaviour::removed},
                                    {"Isolated", split_behaviour::isolated},
                                    {"MergedWithPrevious", split_behaviour::merged_with_previous},
                                    {"MergedWithNext", split_behaviour::merged_with_next},
                                    {"Contiguous", split_behaviour::contiguous}};
  auto const* const at =
      std::find_if(std::begin(behaviours), std::end(behaviours), [&](known const& k) { return name == k.name; });
  if (at == std::end(behaviours))
    throw f.wrong("behavior", "unknown", in_quotes(name),
                  "one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
  return at->value;
}

class normalizer_reader {
 public:
  void read(json_fields const& f, int depth) {
    using n                = text_normalizer;
    std::string const type = f.text("type");
    struct form {
      char const*  name;
      unicode_form value;
    };
    constexpr form forms[] = {{"NFC", unicode_form::nfc},
                              {"NFD", unicode_form::nfd},
                              {"NFKC", unicode_form::nfkc},
                              {"NFKD", unicode_form::nfkd}};
    auto const*    at = std::find_if(std::begin(forms), std::end(forms), [&](form const& k) { return type == k.name; });
    if (at != std::end(forms)) steps.push_back(n::form{at->value});
    else if (type == "Lowercase") steps.push_back(n::lowercase{});
    else if (type == "StripAccents") steps.push_back(n::strip_accents{});
    else if (type == "Strip") steps.push_back(n::strip{f.flag_or("strip_left", true), f.flag_or("strip_right", true)});
    else if (type == "Prepend") steps.push_back(n::prepend{f.text("prepend")});
    else if (type == "Replace") read_replace(f);
    else if (type == "Precompiled") read_map(f);
    else if (type == "Sequence") each_of(f, "normalizers", depth, [this](json_fields const& m, int d) { read(m, d); });
    else
      throw f.wrong(
          "type", "unsupported normalizer", in_quotes(type),
          "one of NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Precompiled, Sequence");
  }

  std::vector<text_normalizer::step> steps;

 private:
  void read_replace(json_fields const& f) {
    json_fields const        p = f.fields("pattern");
    text_normalizer::replace r;
    r.with = f.text("content");
    if (p.has("Regex")) {
      r.expression = std::make_shared<pattern>(p.text("Regex"), f.file() + ": normalizer.pattern");
    } else {
      r.literal = p.text("String");
      if (r.literal.empty()) throw p.wrong("String", "is empty", "no text", "a text");
    }
    steps.push_back(std::move(r));
  }

  void read_map(json_fields const& f) {
    std::string const text = f.text_or("precompiled_charsmap", "");
    std::string       blob;
    if (!from_base64(text, blob)) throw f.wrong("precompiled_charsmap", "is not base64", in_quotes(text), "base64");
    text_normalizer::map m;
    m.rules       = character_map(blob, f.file() + ": normalizer.precompiled_charsmap");
    m.by_clusters = true;
    if (!m.rules.empty()) steps.push_back(std::move(m));
  }
};

class pre_tokenizer_reader {
 public:
  explicit pre_tokenizer_reader(bool splits_at_spaces) : splits_at_spaces_(splits_at_spaces) {}

  void read(json_fields const& f, int depth) {
    std::string const type    = f.text("type");
    std::string const subject = f.file() + ": pre_tokenizer";
    if (type == "Sequence") {
      each_of(f, "pretokenizers", depth, [this](json_fields const& m, int d) { read(m, d); });
      return;
    }
    if (result.byte_level)
      throw f.wrong("type", "unsupported pre-tokenizer", in_quotes(type) + " after ByteLevel", "ByteLevel last");
    if (result.spaces)
      throw f.wrong("type", "unsupported pre-tokenizer", in_quotes(type) + " after Metaspace", "Metaspace last");
    auto const split = [&](std::string const& expression, split_behaviour behaviour, bool inverted = false) {
      result.words.add_split(expression, subject, behaviour, inverted);
    };
    if (type == "ByteLevel") {
      result.byte_level = true;
      if (f.flag_or("add_prefix_space", true)) result.words.add_prefix_space();
      if (f.flag_or("use_regex", true))
        split(std::string(expression_of(word_pattern::gpt2)), split_behaviour::isolated);
    } else if (type == "Split") {
      read_split(f);
    } else if (type == "Digits") {
      bool const each = f.flag_or("individual_digits", false);
      split("\\p{N}", each ? split_behaviour::isolated : split_behaviour::contiguous);
    } else if (type == "Whitespace") {
      std::string const word(word_class);
      split("[" + word + "]+|[^" + word + "\\s]+", split_behaviour::removed, true);
    } else if (type == "WhitespaceSplit") {
      split("\\s", split_behaviour::removed);
    } else if (type == "Punctuation") {
      split(R"([!-/:-@\[-`{-~\p{P}])", read_behaviour(f, f.text_or("behavior", "Isolated")));
    } else if (type == "Metaspace") {
      result.spaces = read_metaspace(f);
    } else {
      throw f.wrong("type", "unsupported pre-tokenizer", in_quotes(type),
                    "one of ByteLevel, Metaspace, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Sequence");
    }
  }

  json_pre_tokenizer result;

 private:
  void read_split(json_fields const& f) {
    json_fields const p         = f.fields("pattern");
    auto const        behaviour = read_behaviour(f, f.text("behavior"));
    bool const        inverted  = f.flag_or("invert", false);
    if (!p.has("Regex") && p.text("String") == " " && !splits_at_spaces_ && !inverted) return;
    result.words.add_split(p.has("Regex") ? p.text("Regex") : literal_expression(p.text("String")),
                           f.file() + ": pre_tokenizer.pattern", behaviour, inverted);
  }

  bool splits_at_spaces_;
};

class template_reader {
 public:
  explicit template_reader(std::int64_t ids_end) : ids_end_(ids_end) {}

  void read(json_fields const& f, int depth) {
    std::string const type = f.text("type");
    if (type == "ByteLevel") return;  // trims offsets only
    if (type == "Sequence") return each_of(f, "processors", depth, [this](json_fields const& m, int d) { read(m, d); });
    if (type == "TemplateProcessing") return read_single(f);
    if (type != "RobertaProcessing" && type != "BertProcessing")
      throw f.wrong("type", "unsupported post-processor", in_quotes(type),
                    "TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel, Sequence or none");
    result.before.push_back(read_pair(f, "cls"));
    result.after.push_back(read_pair(f, "sep"));
  }

  json_template result;

 private:
  std::int32_t read_pair(json_fields const& f, char const* key) const {
    json_value const& pair = array_at(f, key);
    if (pair.size() != 2) throw f.wrong(key, "is no token", describe(pair), "its text and its id");
    return static_cast<std::int32_t>(to_integer(pair[1], f.file() + ": post_processor." + key, 0, ids_end_ - 1));
  }

  void read_single(json_fields const& f) {
    bool seen = false;  // the text's own place in the template
    for (auto const& part : array_at(f, "single")) {
      json_fields const member(part, f.file(), "post_processor.single");
      if (member.has("Sequence")) {
        if (std::exchange(seen, true)) throw f.wrong("single", "unsupported template", "the text twice", "it once");
        continue;
      }
      std::string const name  = member.fields("SpecialToken").text("id");
      json_fields const token = f.fields("special_tokens").fields(name.c_str());
      for (auto const& id : array_at(token, "ids")) {
        auto const v =
            to_integer(id, f.file() + ": post_processor.special_tokens." + one_line(name) + ".ids", 0, ids_end_ - 1);
        (seen ? result.after : result.before).push_back(static_cast<std::int32_t>(v));
      }
    }
    if (!seen) throw f.wrong("single", "unsupported template", "no Sequence", "the text once");
  }

  std::int64_t ids_end_;
};

}  // namespace

json_value const& array_at(json_fields const& f, char const* key) {
  json_value const& list = f.at(key, "an array");
  if (!list.is_array()) throw f.wrong(key, "wrong type", describe(list), "an array");
  return list;
}

void each_of(json_fields const& f, char const* key, int depth,
             std::function<void(json_fields const&, int)> const& read) {
  if (depth >= 8) throw f.wrong(key, "is nested too deeply", "more than 8 levels", "at most that");
  for (auto const& member : array_at(f, key)) read(json_fields(member, f.file(), key), depth + 1);
}

std::vector<text_normalizer::step> read_normalizer(json_fields const& root) {
  normalizer_reader r;
  if (root.has("normalizer")) r.read(root.fields("normalizer"), 0);
  return std::move(r.steps);
}

metaspace read_metaspace(json_fields const& f) {
  if (auto const text = f.text_or("replacement", std::string(escaped_space)); text != escaped_space)
    throw f.wrong("replacement", "unsupported", in_quotes(text), "U+2581");
  metaspace         m;
  std::string const scheme = f.text_or("prepend_scheme", f.flag_or("add_prefix_space", true) ? "always" : "never");
  if (scheme == "first") m.scheme = metaspace::prepend::first;
  else if (scheme == "never") m.scheme = metaspace::prepend::never;
  else if (scheme != "always") throw f.wrong("prepend_scheme", "unknown", in_quotes(scheme), "always, first or never");
  m.split = f.flag_or("split", true);
  return m;
}

json_pre_tokenizer read_pre_tokenizer(json_fields const& root, bool splits_at_spaces) {
  pre_tokenizer_reader r(splits_at_spaces);
  if (root.has("pre_tokenizer")) r.read(root.fields("pre_tokenizer"), 0);
  return std::move(r.result);
}

added_token read_added_token(json_fields const& f, std::int64_t id) {
  added_token t;
  t.id          = static_cast<std::int32_t>(id);
  t.content     = f.text("content");
  t.special     = f.flag_or("special", false);
  t.single_word = f.flag_or("single_word", false);
  t.strip_left  = f.flag_or("lstrip", false);
  t.strip_right = f.flag_or("rstrip", false);
  t.normalized  = f.flag_or("normalized", !t.special);
  return t;
}

std::vector<added_token> read_added_tokens(json_fields const& root, std::int64_t id_limit,
                                           std::function<std::vector<std::string>(std::int64_t id)> const& names) {
  std::vector<added_token> added;
  if (!root.has("added_tokens")) return added;
  std::unordered_map<std::int32_t, std::size_t> places;  // in `added`, by id
  std::size_t                                   index = 0;
  for (auto const& value : array_at(root, "added_tokens")) {
    json_fields const f(value, root.file(), "added_tokens[" + std::to_string(index++) + "]");
    auto const        id = f.integer("id", 0, id_limit - 1);
    added_token       t  = read_added_token(f, id);
    if (t.content.empty()) continue;
    auto const [other, first] = places.emplace(t.id, added.size());
    auto const spellings      = first ? names(id) : std::vector<std::string>{added[other->second].content};
    if (!spellings.empty() && std::find(spellings.begin(), spellings.end(), t.content) == spellings.end())
      throw f.wrong("id", "belongs to another token", std::to_string(id) + ", which is " + in_quotes(spellings[0]),
                    "an id for " + in_quotes(t.content));
    added.push_back(std::move(t));
  }
  return added;
}

json_template read_template(json_fields const& root, std::int64_t ids_end) {
  template_reader r(ids_end);
  if (root.has("post_processor")) r.read(root.fields("post_processor"), 0);
  return std::move(r.result);
}

void refuse_subwords(json_fields const& model) {
  if (model.number_or("dropout", 0, 1, 0) != 0)
    throw model.wrong("dropout", "unsupported", describe(*model.find("dropout")), "none");
  for (char const* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (auto const text = model.text_or(key, ""); !text.empty())
      throw model.wrong(key, "unsupported", in_quotes(text), "none");
}

}  // namespace tenon::engine
