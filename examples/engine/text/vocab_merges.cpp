#include "engine/text/vocab_merges.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"
#include "engine/text/byte_level_vocabulary.hpp"
#include "engine/text/json_lists.hpp"
#include "engine/text/json_steps.hpp"
#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

namespace fs = std::filesystem;

/// What Hugging Face's classes for these files do.
struct tokenizer_class {
  std::string_view name, family;
};
constexpr tokenizer_class classes[] = {{"GPT2Tokenizer", "gpt2"},        {"CodeGenTokenizer", "gpt2"},
                                       {"Qwen2Tokenizer", "qwen2"},      {"Qwen3Tokenizer", "qwen2"},
                                       {"GPTNeoXTokenizer", "gpt-neox"}, {"CohereTokenizer", "starcoder"}};

/// Vocabularies that everyone has, by where a control token stands.
struct landmark {
  std::string_view token;
  std::int32_t     id;
  std::string_view family;
};
constexpr landmark landmarks[] = {{"<|endoftext|>", 50256, "gpt2"},
                                  {"<|endoftext|>", 151643, "qwen2"},
                                  {"<fim_prefix>", 1, "starcoder"},
                                  {"<|padding|>", 1, "gpt-neox"}};

/// Names that are control tokens where no file says so.
bool looks_like_control(std::string_view name) {
  return (name.starts_with("<|") && name.ends_with("|>") && name.size() > 4) || name == "<s>" || name == "</s>" ||
         name == "<unk>" || name == "<pad>";
}

class vocab_merges_reader {
 public:
  vocab_merges_reader(vocab_merges_texts const& texts, vocab_merges_paths const& names)
      : names_(names), vocabulary_(d_) {
    d_.file        = names.vocab;
    d_.description = "byte-level BPE (vocab.json, merges.txt)";
    read_vocabulary(texts.vocab);
    read_merges(texts.merges);
    fs::path const folder = fs::path(names.vocab).parent_path();
    if (!texts.tokenizer_config.empty()) {
      config_name_ = (folder / "tokenizer_config.json").string();
      config_      = parse_json(texts.tokenizer_config, config_name_);
      read_added_decoder();
    }
    if (!texts.added_tokens.empty()) read_added_tokens(texts.added_tokens, (folder / "added_tokens.json").string());
    add_controls_of_vocabulary();
    read_ends();
  }

  bpe_definition take(std::string_view pattern) {
    std::string const family = family_of(pattern);
    if (word_family const* const f = add_words(d_.words, family, d_.file + ": pattern")) {
      d_.nfc = f->nfc;
      for (added_token& t : d_.added) t.normalized = t.normalized && f->nfc;
    }
    return std::move(d_);
  }

 private:
  void read_vocabulary(std::string_view text) {
    json_vocabulary   list(d_.file);
    json_value const  tree  = parse_json(text, d_.file, {}, std::array{json_route{"", "", &list}});
    name_table const& names = list.names();
    if (!tree.is_object())
      throw wrong(d_.file, "is no vocabulary", describe(tree), "an object of tokens and their ids");
    if (names.size() == 0) throw wrong(d_.file, "holds no token", "an empty object", "tokens and their ids");
    // Ids leave few gaps; one far beyond the tokens would take memory for all below it.
    auto const limit =
        std::min<std::int64_t>(bpe_definition::id_limit, 2 * static_cast<std::int64_t>(names.size()) + 4096);
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::string const subject = d_.file + ": " + in_quotes(names[i]);
      vocabulary_.add_token(to_integer(list.value_of(i), subject, 0, limit - 1), names[i], subject);
    }
  }

  void read_merges(std::string_view text) {
    std::size_t number = 0;
    while (!text.empty()) {
      ++number;
      auto const       end  = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
      vocabulary_.add_merge(line, names_.merges + ": line " + std::to_string(number));
    }
    if (d_.merges.empty()) throw wrong(names_.merges, "holds no merge", "no line with two tokens", "one per line");
  }

  void add(added_token t, std::string const& subject) {
    if (t.content.empty()) return;
    auto const at = static_cast<std::size_t>(t.id);
    if (at < d_.entries.size() && d_.entries[at].present && d_.entries[at].bytes != t.content)
      throw wrong(subject, "belongs to another token",
                  std::to_string(t.id) + ", which is " + in_quotes(d_.entries[at].bytes),
                  "an id for " + in_quotes(t.content));
    if (auto const [other, first] = added_.emplace(t.id, d_.added.size()); !first) {
      if (std::string const& content = d_.added[other->second].content; content != t.content)
        throw wrong(subject, "belongs to another token", std::to_string(t.id) + ", which is " + in_quotes(content),
                    "an id for " + in_quotes(t.content));
      return;  // the other file has it, too
    }
    d_.added.push_back(std::move(t));
  }

  /// tokenizer_config.json: added_tokens_decoder.
  void read_added_decoder() {
    json_fields const root(config_, config_name_);
    if (!root.has("added_tokens_decoder")) return;
    for (auto const& [key, value] : root.fields("added_tokens_decoder").object().items()) {
      std::string const subject = config_name_ + ": added_tokens_decoder." + one_line(key);
      json_fields const f(value, config_name_, "added_tokens_decoder." + one_line(key));
      json_value const  number = key.empty() || key.size() > 9 || key.find_first_not_of("0123456789") != key.npos
                                     ? json_value(key)
                                     : json_value(std::stol(key));
      add(read_added_token(f, to_integer(number, subject, 0, bpe_definition::id_limit - 1)), subject);
    }
  }

  /// added_tokens.json: content and id; what kind they are, it does not say.
  void read_added_tokens(std::string_view text, std::string const& name) {
    json_value const tree = parse_json(text, name);
    if (!tree.is_object()) throw wrong(name, "holds no tokens", describe(tree), "an object of tokens and their ids");
    for (auto const& [content, value] : tree.items()) {
      std::string const subject = name + ": " + in_quotes(content);
      added_token       t;
      t.id         = static_cast<std::int32_t>(to_integer(value, subject, 0, bpe_definition::id_limit - 1));
      t.content    = content;
      t.special    = looks_like_control(content);
      t.normalized = !t.special;
      add(std::move(t), subject);
    }
  }

  /// <...> in the vocabulary that no merge makes: text never becomes it, so it is a control token.
  void add_controls_of_vocabulary() {
    for (std::size_t i = 0; i < d_.entries.size(); ++i) {
      bpe_definition::entry const& e  = d_.entries[i];
      auto const                   id = static_cast<std::int32_t>(i);
      if (!e.present || e.bytes.size() < 3 || e.bytes.front() != '<' || e.bytes.back() != '>' ||
          vocabulary_.is_made(id) || added_.contains(id))
        continue;
      added_token t;
      t.id = id, t.content = e.bytes, t.special = true;
      add(std::move(t), d_.file);
    }
  }

  [[nodiscard]] std::int32_t added_id(std::string_view content) const {
    for (added_token const& t : d_.added)
      if (t.content == content) return t.id;
    return -1;
  }

  /// Of eos_token or bos_token, a string or {"content": ...}; -1: there is none.
  [[nodiscard]] std::int32_t token_at(char const* key) const {
    json_fields const root(config_, config_name_);
    json_value const* value = root.find(key);
    if (!value) return -1;
    std::string const name =
        value->is_object() ? json_fields(*value, config_name_, key).text("content") : root.text(key);
    std::int32_t const id = added_id(name);
    return id >= 0 ? id : vocabulary_.id_of(name);
  }

  void read_ends() {
    if (config_.is_null()) {
      if (std::int32_t const id = added_id("<|endoftext|>"); id >= 0) d_.ends = {id};
      return;
    }
    json_fields const  root(config_, config_name_);
    std::int32_t const end = token_at("eos_token"), begin = token_at("bos_token");
    if (end >= 0) d_.ends = {end};
    auto const place = [&](char const* key, char const* token, std::int32_t id, std::vector<std::int32_t>& to) {
      if (!root.flag_or(key, false)) return;
      if (id < 0) throw root.wrong(key, "names no token", std::string("no ") + token, "one in the vocabulary");
      to = {id};
    };
    place("add_bos_token", "bos_token", begin, d_.before);
    place("add_eos_token", "eos_token", end, d_.after);
  }

  [[nodiscard]] std::string family_of(std::string_view pattern) const {
    if (!pattern.empty()) return std::string(pattern);
    std::string found = "no tokenizer_config.json and control tokens of no known family";
    if (!config_.is_null()) {
      std::string name = json_fields(config_, config_name_).text_or("tokenizer_class", "");
      if (name.ends_with("Fast")) name.resize(name.size() - 4);
      for (tokenizer_class const& c : classes)
        if (c.name == name) return std::string(c.family);
      found = "tokenizer_class " + in_quotes(name) + " and control tokens of no known family";
    }
    for (landmark const& l : landmarks)
      if (added_id(l.token) == l.id) return std::string(l.family);
    throw wrong(d_.file, "does not say how to cut words", found, "--pattern " + word_family_names() + "|EXPRESSION");
  }

  vocab_merges_paths                            names_;
  bpe_definition                                d_;
  byte_level_vocabulary                         vocabulary_;
  std::unordered_map<std::int32_t, std::size_t> added_;   // places in d_.added, by id
  json_value                                    config_;  // null: there is none
  std::string                                   config_name_;
};

}  // namespace

std::optional<vocab_merges_paths> vocab_merges_of(std::string const& path) {
  struct pair {
    std::string_view vocab, merges;
  };
  std::string const name = fs::path(path).filename().string();
  for (auto const& [vocab, merges] : {pair{"vocab.json", "merges.txt"}, pair{"encoder.json", "vocab.bpe"}})
    for (std::string_view const own : {vocab, merges}) {
      if (!name.ends_with(own)) continue;
      std::string const prefix = name.substr(0, name.size() - own.size());
      if (!prefix.empty() && !prefix.ends_with('-') && !prefix.ends_with('_')) continue;
      auto const beside = [&](std::string_view other) {
        return own == other ? path : (fs::path(path).parent_path() / (prefix + std::string(other))).string();
      };
      return vocab_merges_paths{beside(vocab), beside(merges)};
    }
  return {};
}

bpe_definition read_vocab_merges(vocab_merges_texts const& texts, vocab_merges_paths const& names,
                                 std::string_view pattern) {
  return vocab_merges_reader(texts, names).take(pattern);
}

bpe_definition read_vocab_merges(vocab_merges_paths const& paths, std::string_view pattern) {
  std::error_code ignored;
  auto const      beside = [&](char const* name) {
    fs::path const path = fs::path(paths.vocab).parent_path() / name;
    return fs::exists(path, ignored) ? mapped_file(path) : mapped_file();
  };
  mapped_file const vocab(paths.vocab), merges(paths.merges);
  mapped_file const added = beside("added_tokens.json"), config = beside("tokenizer_config.json");
  return read_vocab_merges({vocab.text(), merges.text(), added.text(), config.text()}, paths, pattern);
}

}  // namespace tenon::engine
