#include "engine/text/piece_json.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/error.hpp"
#include "engine/text/json_steps.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

bool has_byte_level(json_value const& step, int depth) {
  if (depth > 8 || !step.is_object()) return false;
  auto const type = step.find("type");
  if (type != step.end() && *type == "ByteLevel") return true;
  auto const members = step.find("pretokenizers");
  return members != step.end() && members->is_array() &&
         std::any_of(members->begin(), members->end(),
                     [&](json_value const& m) { return has_byte_level(m, depth + 1); });
}

bool spells_spaces(text_normalizer::step const& s) {
  auto const* const r = std::get_if<text_normalizer::replace>(&s);
  return r && !r->expression && r->literal == " " && r->with == escaped_space;
}

bool puts_a_space(text_normalizer::step const& s) {
  auto const* const p = std::get_if<text_normalizer::prepend>(&s);
  return p && p->text == escaped_space;
}

class piece_reader {
 public:
  piece_reader(tokenizer_tree const& tree, std::string file) : tree_(tree) {
    d_.file = std::move(file);
    json_fields const root(tree.root, d_.file);
    json_fields const model = root.fields("model");
    std::string const type  = model.text_or("type", "BPE");  // early files do not say
    if (type == "BPE") read_bpe(model);
    else if (type == "Unigram") read_unigram(model);
    else throw model.wrong("type", "unsupported tokenizer", in_quotes(type), "BPE or Unigram");

    d_.added = read_added_tokens(root, piece_definition::id_limit, [this](std::int64_t id) {
      auto const at = static_cast<std::size_t>(id);
      if (at >= places_.size() || name_of(at).empty()) return std::vector<std::string>{};
      return std::vector<std::string>{std::string(name_of(at))};
    });
    read_text_steps(root);
    spell_pieces();
    if (type == "BPE") read_unknown(model);
    if (root.has("decoder")) read_decoder(root.fields("decoder"), 0);
    auto ids_end = static_cast<std::int64_t>(places_.size());
    for (added_token const& t : d_.added) ids_end = std::max(ids_end, std::int64_t{t.id} + 1);
    json_template around = read_template(root, ids_end);
    d_.before = std::move(around.before), d_.after = std::move(around.after);
  }

  piece_definition take() { return std::move(d_); }

 private:
  /// "" for an id that has none.
  std::string_view name_of(std::size_t id) const {
    return places_[id] < 0 ? std::string_view() : names_[static_cast<std::size_t>(places_[id])];
  }
  /// Of the last name that is this; -1: none.
  std::int32_t id_of(std::string_view name) const {
    std::int32_t const at = names_.find(name);
    return at < 0 ? at : ids_[static_cast<std::size_t>(at)];
  }

  /// Gives an id to the next name in model.vocab.
  void add_id(std::int64_t id, std::string const& subject) {
    std::size_t const      place = ids_.size();
    std::string_view const name  = names_[place];
    if (name.size() > piece_definition::length_limit)
      throw wrong(subject, "is too long", std::to_string(name.size()) + " bytes",
                  "at most " + std::to_string(piece_definition::length_limit));
    auto const at = static_cast<std::size_t>(id);
    if (at >= places_.size()) places_.resize(at + 1, -1);
    if (places_[at] >= 0)
      throw wrong(subject, "two tokens have one id", std::to_string(id) + " for " + in_quotes(name) + " too",
                  "an id for each");
    places_[at] = static_cast<std::int32_t>(place);
    ids_.push_back(static_cast<std::int32_t>(id));
  }

  void read_bpe(json_fields const& model) {
    refuse_subwords(model);
    d_.method       = piece_method::ranks;
    d_.whole_words  = model.flag_or("ignore_merges", false);
    d_.fuse_unknown = model.flag_or("fuse_unk", false);
    bytes_          = model.flag_or("byte_fallback", false);
    d_.description  = bytes_ ? "BPE with bytes (tokenizer.json)" : "BPE (tokenizer.json)";
    (void)model.fields("vocab");
    std::string const subject = d_.file + ": model.vocab";
    for (std::size_t i = 0; i < names_.size(); ++i)
      add_id(tree_.vocabulary.id_of(i, piece_definition::id_limit), subject);
    (void)array_at(model, "merges");
    d_.merges = merges_of(tree_, ids_);
  }

  void read_unknown(json_fields const& model) {
    auto const name = model.text_or("unk_token", "");
    if (name.empty()) return;
    d_.unknown = id_of(name);
    if (d_.unknown < 0)
      for (added_token const& t : d_.added)
        if (t.content == name) d_.unknown = t.id;
    if (d_.unknown < 0)
      throw model.wrong("unk_token", "is not in the vocabulary", in_quotes(name), "a vocabulary entry");
  }

  void read_unigram(json_fields const& model) {
    d_.method       = piece_method::unigram;
    d_.double_sums  = true;
    d_.fuse_unknown = true;
    d_.description  = "Unigram (tokenizer.json)";
    bytes_          = model.flag_or("byte_fallback", false);
    (void)array_at(model, "vocab");
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (i == static_cast<std::size_t>(piece_definition::id_limit))
        throw wrong(d_.file, "has too many pieces", "more than " + std::to_string(piece_definition::id_limit),
                    "at most that");
      scores_.push_back(tree_.vocabulary.score_of(i));
      add_id(static_cast<std::int64_t>(i), tree_.vocabulary.subject(i));
    }
    tree_.vocabulary.check_end();
    if (places_.empty()) throw model.wrong("vocab", "is empty", "no piece", "at least one");
    if (model.has("unk_id"))
      d_.unknown = static_cast<std::int32_t>(model.integer("unk_id", 0, static_cast<std::int64_t>(places_.size()) - 1));
  }

  void read_text_steps(json_fields const& root) {
    std::vector<text_normalizer::step> steps   = read_normalizer(root);
    bool const                         spelled = !steps.empty() && spells_spaces(steps.back());
    json_pre_tokenizer                 words   = read_pre_tokenizer(root, !spelled);
    d_.words                                   = std::move(words.words);
    using lead                                 = piece_definition::lead_space;
    d_.escaped                                 = words.spaces || std::any_of(steps.begin(), steps.end(), spells_spaces);
    bool const plain =
        d_.words.empty() && !words.spaces &&
        std::none_of(d_.added.begin(), d_.added.end(), [](added_token const& t) { return t.normalized; });
    if (plain && spelled) {  // the tokenizer does this on its own, and faster
      steps.pop_back();
      if (!steps.empty() && puts_a_space(steps.back())) steps.pop_back(), d_.lead = {lead::each, true, false};
    }
    if (words.spaces) {
      d_.split = words.spaces->split;
      if (words.spaces->scheme == metaspace::prepend::always) d_.lead = {lead::each, false, false};
      if (words.spaces->scheme == metaspace::prepend::first) d_.lead = {lead::first, false, false};
    }
    for (auto& s : steps) d_.normalizer.add(std::move(s));
  }

  /// Entries for the names: with spaces for U+2581, bytes for theirs.
  void spell_pieces() {
    d_.entries.resize(places_.size());
    for (std::size_t id = 0; id < places_.size(); ++id) {
      if (places_[id] < 0) continue;
      auto&                  e    = d_.entries[id];
      std::string_view const name = name_of(id);
      int const              byte = bytes_ ? byte_of(name) : -1;
      e.score                     = scores_.empty() ? 0 : scores_[id];
      e.kind                      = byte >= 0 ? piece_kind::byte : piece_kind::text;
      if (static_cast<std::int32_t>(id) == d_.unknown) e.kind = piece_kind::unknown, d_.unknown_text = name;
      // Of equal pieces the last counts; where spaces are U+2581, no text has one.
      e.matched = e.kind == piece_kind::text && !name.empty() && id_of(name) == static_cast<std::int32_t>(id) &&
                  !(d_.escaped && name.find(' ') != std::string::npos);
      e.bytes = byte >= 0    ? std::string(1, static_cast<char>(byte))
                : d_.escaped ? with_spaces(name)
                             : std::string(name);
    }
  }

  void read_decoder(json_fields const& f, int depth) {
    std::string const type = f.text("type");
    if (type == "Sequence") {
      each_of(f, "decoders", depth, [this](json_fields const& m, int d) { read_decoder(m, d); });
    } else if (type == "Replace") {
      json_fields const p = f.fields("pattern");
      if (p.text_or("String", "") != escaped_space || f.text("content") != " ")
        throw f.wrong("pattern", "unsupported decoder", describe(p.object()), "U+2581 replaced by a space");
    } else if (type == "Strip") {
      if (f.text("content") != " " || f.integer_or("stop", 0, 1 << 20, 0) != 0)
        throw f.wrong("content", "unsupported decoder", in_quotes(f.text("content")), "spaces at the beginning");
      d_.strips_first = f.integer_or("start", 0, 1 << 20, 0) > 0;
    } else if (type == "Metaspace") {
      d_.strips_first = read_metaspace(f).scheme != metaspace::prepend::never;
    } else if (type != "ByteFallback" && type != "Fuse") {
      throw f.wrong("type", "unsupported decoder", in_quotes(type),
                    "one of Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence");
    }
  }

  tokenizer_tree const&     tree_;
  name_table const&         names_ = tree_.vocabulary.names();
  piece_definition          d_;
  std::vector<std::int32_t> ids_;     // by place in model.vocab
  std::vector<std::int32_t> places_;  // by id; -1: it has none
  std::vector<double>       scores_;  // of Unigram, by id
  bool                      bytes_ = false;
};

}  // namespace

bool is_piece_json(json_value const& root) {
  if (!root.is_object()) return false;
  auto const steps = root.find("pre_tokenizer");
  return steps == root.end() || !has_byte_level(*steps, 0);
}

piece_definition read_piece_json(tokenizer_tree const& tree, std::string file) {
  return piece_reader(tree, std::move(file)).take();
}

}  // namespace tenon::engine
