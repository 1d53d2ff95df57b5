#include "engine/text/tokenizer_json.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/byte_alphabet.hpp"

namespace tenon::engine {
namespace {

json_value const& array_at(json_fields const& f, char const* key) {
  json_value const& list = f.at(key, "an array");
  if (!list.is_array()) throw f.wrong(key, "wrong type", describe(list), "an array");
  return list;
}

/// Calls read(member, depth) for each member of a "Sequence".
template <class Read>
void each_of(json_fields const& f, char const* key, int depth, Read const& read) {
  if (depth >= 8) throw f.wrong(key, "is nested too deeply", "more than 8 levels", "at most that");
  for (auto const& member : array_at(f, key)) read(json_fields(member, f.file(), key), depth + 1);
}

class json_reader {
 public:
  json_reader(json_value const& tree, std::string file) {
    d_.file        = std::move(file);
    d_.description = "byte-level BPE (tokenizer.json)";
    json_fields const root(tree, d_.file);
    json_fields const model = root.fields("model");
    std::string const type  = model.text_or("type", "BPE");  // early files do not say
    if (type != "BPE") throw model.wrong("type", "unsupported tokenizer", in_quotes(type), "BPE");
    if (model.flag_or("byte_fallback", false))
      throw model.wrong("byte_fallback", "unsupported", "true", "false: a byte-level BPE");
    if (model.number_or("dropout", 0, 1, 0) != 0)
      throw model.wrong("dropout", "unsupported", describe(*model.find("dropout")), "none");
    for (char const* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (auto const text = model.text_or(key, ""); !text.empty())
        throw model.wrong(key, "unsupported", in_quotes(text), "none");
    d_.whole_words = model.flag_or("ignore_merges", false);

    if (root.has("normalizer")) read_normalizer(root.fields("normalizer"), 0);
    if (root.has("pre_tokenizer")) read_pre_tokenizer(root.fields("pre_tokenizer"), 0);
    if (!byte_level_)
      throw root.wrong("pre_tokenizer", "unsupported tokenizer", "no ByteLevel step", "a byte-level BPE");
    if (root.has("decoder")) read_decoder(root.fields("decoder"), 0);
    read_vocabulary(model);
    read_merges(model);
    read_added_tokens(root);
    if (auto const unknown = model.text_or("unk_token", ""); !unknown.empty()) {
      auto const id = id_of(unknown);
      if (id < 0) throw model.wrong("unk_token", "is not in the vocabulary", in_quotes(unknown), "a vocabulary entry");
      d_.unknown = id;
    }
    if (root.has("post_processor")) read_post_processor(root.fields("post_processor"), 0);
  }

  bpe_definition take() { return std::move(d_); }

 private:
  /// Of an added token or a vocabulary entry with these bytes; -1: none.
  std::int32_t id_of(std::string const& bytes) const {
    for (added_token const& t : d_.added)
      if (t.content == bytes) return t.id;
    for (std::size_t id = 0; id < d_.entries.size(); ++id)
      if (d_.entries[id].present && d_.entries[id].bytes == bytes) return static_cast<std::int32_t>(id);
    return -1;
  }

  void read_vocabulary(json_fields const& model) {
    json_fields const vocabulary = model.fields("vocab");
    ids_.reserve(vocabulary.object().size());
    for (auto const& [token, value] : vocabulary.object().items()) {
      auto const id = to_integer(value, d_.file + ": model.vocab " + in_quotes(token), 0, bpe_definition::id_limit - 1);
      auto&      e  = d_.entry_at(id);
      if (e.present)
        throw wrong(d_.file + ": model.vocab", "two tokens have one id",
                    std::to_string(id) + " for " + in_quotes(token) + " too", "an id for each");
      // A token that the byte alphabet cannot spell is never made of text; it stands for itself.
      auto bytes = gpt2_alphabet.bytes(token);
      e          = {bytes ? *bytes : token, true, bytes.has_value()};
      if (bytes) ids_.emplace(std::move(*bytes), static_cast<std::int32_t>(id));
    }
    ids_end_ = static_cast<std::int64_t>(d_.entries.size());
  }

  void read_merges(json_fields const& model) {
    json_value const& list  = array_at(model, "merges");
    auto const        id_of = [&](std::string_view token, std::string const& subject) {
      auto const bytes = gpt2_alphabet.bytes(token);
      auto const at    = bytes ? ids_.find(*bytes) : ids_.end();
      if (at == ids_.end())
        throw wrong(subject, "names a token outside the vocabulary", in_quotes(token), "one of model.vocab");
      return at->second;
    };
    for (auto const& merge : list) {
      std::string const subject = d_.file + ": model.merges[" + std::to_string(d_.merges.size()) + "]";
      std::string_view  left, right;
      if (merge.is_string()) {
        std::string_view const text  = merge.get_ref<std::string const&>();
        auto const             space = text.find(' ');
        if (space == text.npos || space == 0 || space + 1 == text.size() || text.find(' ', space + 1) != text.npos)
          throw wrong(subject, "is not a merge", in_quotes(text), "two tokens with one space between them");
        left = text.substr(0, space), right = text.substr(space + 1);
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get_ref<std::string const&>(), right = merge[1].get_ref<std::string const&>();
      } else {
        throw wrong(subject, "is not a merge", describe(merge), "two tokens");
      }
      auto const a = id_of(left, subject), b = id_of(right, subject);
      auto const c = id_of(std::string(left).append(right), subject);
      d_.merges.push_back({a, b, c});
    }
  }

  void read_added_tokens(json_fields const& root) {
    if (!root.has("added_tokens")) return;
    std::size_t index = 0;
    for (auto const& value : array_at(root, "added_tokens")) {
      json_fields const f(value, d_.file, "added_tokens[" + std::to_string(index++) + "]");
      added_token       t;
      auto const        id = f.integer("id", 0, bpe_definition::id_limit - 1);
      t.id                 = static_cast<std::int32_t>(id);
      t.content            = f.text("content");
      t.special            = f.flag_or("special", false);
      t.single_word        = f.flag_or("single_word", false);
      t.strip_left         = f.flag_or("lstrip", false);
      t.strip_right        = f.flag_or("rstrip", false);
      t.normalized         = f.flag_or("normalized", !t.special);
      if (t.content.empty()) continue;
      static bpe_definition::entry const none;
      auto const                         at = static_cast<std::size_t>(id);
      auto const&                        e  = at < d_.entries.size() ? d_.entries[at] : none;  // in model.vocab, too
      auto const [other, first]             = added_.emplace(t.id, d_.added.size());
      std::string const& name               = first ? e.bytes : d_.added[other->second].content;
      bool               own                = name == t.content || (first && !e.present);
      if (first && !own) {  // there it may be spelled in the byte alphabet
        auto const bytes = gpt2_alphabet.bytes(t.content);
        own              = bytes && name == *bytes;
      }
      if (!own)
        throw f.wrong("id", "belongs to another token", std::to_string(id) + ", which is " + in_quotes(name),
                      "an id for " + in_quotes(t.content));
      ids_end_ = std::max(ids_end_, id + 1);
      d_.added.push_back(std::move(t));
    }
  }

  void read_normalizer(json_fields const& f, int depth) {
    std::string const type = f.text("type");
    if (type == "NFC") d_.nfc = true;
    else if (type == "Sequence")
      each_of(f, "normalizers", depth, [this](auto const& m, int d) { read_normalizer(m, d); });
    else throw f.wrong("type", "unsupported normalizer", in_quotes(type), "NFC or none");
  }

  void read_pre_tokenizer(json_fields const& f, int depth) {
    std::string const type = f.text("type");
    if (type == "Sequence") {
      each_of(f, "pretokenizers", depth, [this](auto const& m, int d) { read_pre_tokenizer(m, d); });
      return;
    }
    if (byte_level_)
      throw f.wrong("type", "unsupported pre-tokenizer", in_quotes(type) + " after ByteLevel", "ByteLevel last");
    if (type == "ByteLevel") {
      byte_level_ = true;
      if (f.flag_or("add_prefix_space", true)) d_.words.add_prefix_space();
      if (f.flag_or("use_regex", true))
        d_.words.add_split(expression_of(word_pattern::gpt2), d_.file + ": pre_tokenizer", split_behaviour::isolated);
    } else if (type == "Split") {
      read_split(f);
    } else if (type == "Digits") {
      bool const each = f.flag_or("individual_digits", false);
      d_.words.add_split("\\p{N}", d_.file + ": pre_tokenizer",
                         each ? split_behaviour::isolated : split_behaviour::contiguous);
    } else {
      throw f.wrong("type", "unsupported pre-tokenizer", in_quotes(type), "one of ByteLevel, Split, Digits, Sequence");
    }
  }

  void read_split(json_fields const& f) {
    json_fields const p       = f.fields("pattern");
    std::string const subject = d_.file + ": pre_tokenizer.pattern";
    std::string       expression;
    if (p.has("Regex")) {
      expression = p.text("Regex");
    } else {
      for (char const c : p.text("String")) {  // each character for itself
        if (static_cast<unsigned char>(c) < 0x80 &&
            !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
          expression += '\\';
        expression += c;
      }
    }
    struct known {
      char const*     name;
      split_behaviour value;
    };
    constexpr known   behaviours[] = {{"Removed", split_behaviour::removed},
                                      {"Isolated", split_behaviour::isolated},
                                      {"MergedWithPrevious", split_behaviour::merged_with_previous},
                                      {"MergedWithNext", split_behaviour::merged_with_next},
                                      {"Contiguous", split_behaviour::contiguous}};
    std::string const name         = f.text("behavior");
    auto const* const at =
        std::find_if(std::begin(behaviours), std::end(behaviours), [&](known const& k) { return name == k.name; });
    if (at == std::end(behaviours))
      throw f.wrong("behavior", "unknown", in_quotes(name),
                    "one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
    d_.words.add_split(expression, subject, at->value, f.flag_or("invert", false));
  }

  void read_post_processor(json_fields const& f, int depth) {
    std::string const type = f.text("type");
    if (type == "ByteLevel") return;  // trims offsets only
    if (type == "Sequence") {
      each_of(f, "processors", depth, [this](auto const& m, int d) { read_post_processor(m, d); });
      return;
    }
    if (type != "TemplateProcessing")
      throw f.wrong("type", "unsupported post-processor", in_quotes(type), "TemplateProcessing, ByteLevel or none");
    bool seen = false;  // the text's own place in the template
    for (auto const& part : array_at(f, "single")) {
      json_fields const member(part, d_.file, "post_processor.single");
      if (member.has("Sequence")) {
        if (std::exchange(seen, true)) throw f.wrong("single", "unsupported template", "the text twice", "it once");
        continue;
      }
      std::string const name  = member.fields("SpecialToken").text("id");
      json_fields const token = f.fields("special_tokens").fields(name.c_str());
      for (auto const& id : array_at(token, "ids")) {
        auto const v =
            to_integer(id, d_.file + ": post_processor.special_tokens." + one_line(name) + ".ids", 0, ids_end_ - 1);
        (seen ? d_.after : d_.before).push_back(static_cast<std::int32_t>(v));
      }
    }
    if (!seen) throw f.wrong("single", "unsupported template", "no Sequence", "the text once");
  }

  void read_decoder(json_fields const& f, int depth) {
    std::string const type = f.text("type");
    if (type == "ByteLevel") return;
    if (type != "Sequence") throw f.wrong("type", "unsupported decoder", in_quotes(type), "ByteLevel");
    each_of(f, "decoders", depth, [this](auto const& m, int d) { read_decoder(m, d); });
  }

  bpe_definition                                d_;
  std::unordered_map<std::string, std::int32_t> ids_;    // of entries that text becomes, by their bytes
  std::unordered_map<std::int32_t, std::size_t> added_;  // of d_.added, by their ids
  std::int64_t                                  ids_end_    = 0;
  bool                                          byte_level_ = false;
};

}  // namespace

bpe_definition read_tokenizer_json(json_value const& tree, std::string file) {
  return json_reader(tree, std::move(file)).take();
}

}  // namespace tenon::engine
