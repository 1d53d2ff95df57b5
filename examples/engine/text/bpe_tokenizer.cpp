#include "engine/text/bpe_tokenizer.hpp"

#include <algorithm>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/byte_alphabet.hpp"
#include "engine/text/unicode_nfc.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

constexpr std::int64_t id_limit = std::int64_t{1} << 22;

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

}  // namespace

bpe_tokenizer::bpe_tokenizer(json_value const& tree, std::string file) : file_(std::move(file)) {
  json_fields const root(tree, file_);
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
  ignore_merges_ = model.flag_or("ignore_merges", false);

  if (root.has("normalizer")) read_normalizer(root.fields("normalizer"), 0);
  if (root.has("pre_tokenizer")) read_pre_tokenizer(root.fields("pre_tokenizer"), 0);
  find_known_words();
  if (!byte_level_) throw root.wrong("pre_tokenizer", "unsupported tokenizer", "no ByteLevel step", "a byte-level BPE");
  if (root.has("decoder")) read_decoder(root.fields("decoder"), 0);
  read_vocabulary(model);
  read_merges(model);
  read_added_tokens(root);
  if (auto const unknown = model.text_or("unk_token", ""); !unknown.empty()) {
    auto const at = std::find_if(entries_.begin(), entries_.end(), [&](entry const& e) { return e.bytes == unknown; });
    if (at == entries_.end())
      throw model.wrong("unk_token", "is not in the vocabulary", in_quotes(unknown), "a vocabulary entry");
    unknown_ = static_cast<std::int32_t>(at - entries_.begin());
  }
  if (root.has("post_processor")) read_post_processor(root.fields("post_processor"), 0);
}

bpe_tokenizer::entry& bpe_tokenizer::entry_at(std::int64_t id) {
  if (static_cast<std::size_t>(id) >= entries_.size()) entries_.resize(static_cast<std::size_t>(id) + 1);
  return entries_[static_cast<std::size_t>(id)];
}

void bpe_tokenizer::read_vocabulary(json_fields const& model) {
  json_fields const vocabulary = model.fields("vocab");
  ids_.reserve(vocabulary.object().size());
  for (auto const& [token, value] : vocabulary.object().items()) {
    auto const id = to_integer(value, file_ + ": model.vocab " + in_quotes(token), 0, id_limit - 1);
    entry&     e  = entry_at(id);
    if (e.kind != entry_kind::absent)
      throw wrong(file_ + ": model.vocab", "two tokens have one id",
                  std::to_string(id) + " for " + in_quotes(token) + " too", "an id for each");
    // A token that the byte alphabet cannot spell is never made of text; it stands for itself.
    auto bytes = gpt2_alphabet.bytes(token);
    e          = {bytes ? *bytes : token, entry_kind::text};
    if (bytes) ids_.emplace(std::move(*bytes), static_cast<std::int32_t>(id));
  }
  for (unsigned b = 0; b < 256; ++b) {
    auto const at = ids_.find(std::string(1, static_cast<char>(static_cast<unsigned char>(b))));
    byte_ids_[b]  = at == ids_.end() ? -1 : at->second;
  }
}

void bpe_tokenizer::read_merges(json_fields const& model) {
  json_value const& list       = array_at(model, "merges");
  merges_                      = pair_table(list.size());
  std::uint32_t           rank = 0;
  std::vector<pair_merge> pairs;
  auto const              id_of = [&](std::string_view token, std::string const& subject) {
    auto const bytes = gpt2_alphabet.bytes(token);
    auto const at    = bytes ? ids_.find(*bytes) : ids_.end();
    if (at == ids_.end())
      throw wrong(subject, "names a token outside the vocabulary", in_quotes(token), "one of model.vocab");
    return at->second;
  };
  for (auto const& merge : list) {
    std::string const subject = file_ + ": model.merges[" + std::to_string(rank) + "]";
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
    merges_.insert(a, b, rank++, c);
    pairs.push_back({a, b, c});
  }
  std::vector<std::string_view> tokens(entries_.size());
  for (auto const& [bytes, id] : ids_) tokens[static_cast<std::size_t>(id)] = bytes;
  encoder_ = word_encoder(byte_pairs::by_merges(tokens, pairs), ignore_merges_);
}

void bpe_tokenizer::read_added_tokens(json_fields const& root) {
  if (!root.has("added_tokens")) return;
  std::size_t index = 0;
  for (auto const& value : array_at(root, "added_tokens")) {
    json_fields const f(value, file_, "added_tokens[" + std::to_string(index++) + "]");
    added_token       t;
    auto const        id = f.integer("id", 0, id_limit - 1);
    t.id                 = static_cast<std::int32_t>(id);
    t.content            = f.text("content");
    t.special            = f.flag_or("special", false);
    t.single_word        = f.flag_or("single_word", false);
    t.strip_left         = f.flag_or("lstrip", false);
    t.strip_right        = f.flag_or("rstrip", false);
    t.normalized         = f.flag_or("normalized", !t.special);
    if (t.content.empty()) continue;
    entry& e = entry_at(id);
    if (e.kind == entry_kind::text) {  // also in model.vocab, spelled in the byte alphabet or plainly
      auto const bytes = gpt2_alphabet.bytes(t.content);
      if (e.bytes != t.content && !(bytes && e.bytes == *bytes))
        throw f.wrong("id", "belongs to another token", std::to_string(id) + ", which is " + in_quotes(e.bytes),
                      "an id for " + in_quotes(t.content));
      if (t.special)
        if (auto const at = ids_.find(e.bytes); at != ids_.end() && at->second == t.id) ids_.erase(at);
    } else if (e.kind != entry_kind::absent && e.bytes != t.content) {
      throw f.wrong("id", "belongs to another token", std::to_string(id) + ", which is " + in_quotes(e.bytes),
                    "an id for " + in_quotes(t.content));
    }
    e = {t.content, t.special ? entry_kind::control : entry_kind::user};
    (t.normalized ? normalized_added_ : raw_added_).add(t);
  }
}

void bpe_tokenizer::read_normalizer(json_fields const& f, int depth) {
  std::string const type = f.text("type");
  if (type == "NFC") nfc_ = true;
  else if (type == "Sequence")
    each_of(f, "normalizers", depth, [this](auto const& m, int d) { read_normalizer(m, d); });
  else throw f.wrong("type", "unsupported normalizer", in_quotes(type), "NFC or none");
}

void bpe_tokenizer::read_pre_tokenizer(json_fields const& f, int depth) {
  std::string const type = f.text("type");
  if (type == "Sequence") {
    each_of(f, "pretokenizers", depth, [this](auto const& m, int d) { read_pre_tokenizer(m, d); });
    return;
  }
  if (byte_level_)
    throw f.wrong("type", "unsupported pre-tokenizer", in_quotes(type) + " after ByteLevel", "ByteLevel last");
  if (type == "ByteLevel") {
    byte_level_ = true;
    step s;
    s.prefix_space = f.flag_or("add_prefix_space", true);
    if (f.flag_or("use_regex", true))
      s.split.emplace(split_step{.expression = pattern(expression_of(word_pattern::gpt2), file_ + ": pre_tokenizer"),
                                 .known      = word_pattern::gpt2});
    steps_.push_back(std::move(s));
  } else if (type == "Split") {
    read_split(f);
  } else if (type == "Digits") {
    step       s;
    bool const each = f.flag_or("individual_digits", false);
    s.split.emplace(split_step{pattern("\\p{N}", file_ + ": pre_tokenizer"),
                               each ? split_behaviour::isolated : split_behaviour::contiguous});
    steps_.push_back(std::move(s));
  } else {
    throw f.wrong("type", "unsupported pre-tokenizer", in_quotes(type), "one of ByteLevel, Split, Digits, Sequence");
  }
}

/// One known split and no space in front of the text: nothing else happens to it.
void bpe_tokenizer::find_known_words() {
  for (step const& s : steps_) {
    if (s.prefix_space || (s.split && (words_ || !s.split->known))) {
      words_.reset();
      return;
    }
    if (s.split) words_ = s.split->known;
  }
}

void bpe_tokenizer::read_split(json_fields const& f) {
  json_fields const p       = f.fields("pattern");
  std::string const subject = file_ + ": pre_tokenizer.pattern";
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
  step s;
  s.split.emplace(split_step{pattern(expression, subject), at->value, f.flag_or("invert", false)});
  if (at->value == split_behaviour::isolated)
    s.split->known = known_pattern(expression);  // it leaves nothing between words
  steps_.push_back(std::move(s));
}

void bpe_tokenizer::read_post_processor(json_fields const& f, int depth) {
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
    json_fields const member(part, file_, "post_processor.single");
    if (member.has("Sequence")) {
      if (std::exchange(seen, true)) throw f.wrong("single", "unsupported template", "the text twice", "it once");
      continue;
    }
    std::string const name  = member.fields("SpecialToken").text("id");
    json_fields const token = f.fields("special_tokens").fields(name.c_str());
    for (auto const& id : array_at(token, "ids")) {
      auto const v =
          to_integer(id, file_ + ": post_processor.special_tokens." + one_line(name) + ".ids", 0, vocabulary() - 1);
      (seen ? after_ : before_).push_back(static_cast<std::int32_t>(v));
    }
  }
  if (!seen) throw f.wrong("single", "unsupported template", "no Sequence", "the text once");
}

void bpe_tokenizer::read_decoder(json_fields const& f, int depth) {
  std::string const type = f.text("type");
  if (type == "ByteLevel") return;
  if (type != "Sequence") throw f.wrong("type", "unsupported decoder", in_quotes(type), "ByteLevel");
  each_of(f, "decoders", depth, [this](auto const& m, int d) { read_decoder(m, d); });
}

encoding bpe_tokenizer::encode_text(std::string_view text, encode_options options, bool spans) const {
  sink       to{.out = {}, .spans = spans};
  auto const add = [&](std::vector<std::int32_t> const& ids, std::size_t at) {
    if (!options.add_special) return;
    for (std::int32_t const id : ids) to.add(id, {at, at});
  };
  add(before_, 0);
  for (auto const& part : raw_added_.split(text, options.control_in_text)) {
    if (part.id >= 0) to.add(part.id, part.span);
    else encode_part(text.substr(part.span.begin, part.span.end - part.span.begin), part.span.begin, options, to);
  }
  add(after_, text.size());
  return std::move(to.out);
}

/// Text between raw added tokens: its parts that are valid UTF-8 are words, each other byte is a word of its own.
void bpe_tokenizer::encode_part(std::string_view text, std::size_t origin, encode_options options, sink& to) const {
  while (!text.empty()) {
    std::size_t const valid  = utf8_length(text);
    std::size_t const broken = valid < text.size() ? next_utf8(text.substr(valid)).length : 0;
    std::size_t const first  = to.out.spans.size();
    std::string_view  part   = text.substr(0, valid);
    normalized_text   n;
    bool const        changed = nfc_ && !is_nfc(part);
    if (changed) n = to_nfc(part), part = n.text;
    for (auto const& p : normalized_added_.split(part, options.control_in_text)) {
      if (p.id >= 0) to.add(p.id, {origin + p.span.begin, origin + p.span.end});
      else encode_words(part.substr(p.span.begin, p.span.end - p.span.begin), origin + p.span.begin, to);
    }
    if (changed)  // spans of the normalised text, back to the input's
      for (std::size_t i = first; i < to.out.spans.size(); ++i) {
        token_span& s = to.out.spans[i];
        s             = {origin + n.origin[s.begin - origin].begin,
             s.end > s.begin ? origin + n.origin[s.end - origin - 1].end : origin + n.origin[s.begin - origin].begin};
      }
    std::vector<symbol> scratch;
    for (std::size_t i = valid; i < valid + broken; ++i) encode_piece({text.substr(i, 1), origin + i}, scratch, to);
    text.remove_prefix(valid + broken);
    origin += valid + broken;
  }
}

void bpe_tokenizer::encode_words(std::string_view text, std::size_t origin, sink& to) const {
  std::vector<symbol> scratch;
  if (words_ && encoder_.pairs().usable()) {
    std::size_t const first = to.out.ids.size();
    encoder_.encode(*words_, text, to.out.ids);
    if (!to.spans) return;
    for (std::size_t i = first; i < to.out.ids.size(); ++i) {
      std::size_t const end = origin + entries_[static_cast<std::size_t>(to.out.ids[i])].bytes.size();
      to.out.spans.push_back({origin, end});
      origin = end;
    }
    return;
  }
  std::deque<std::string> prefixed;  // texts with a space before them; their addresses stay
  std::vector<piece>      pieces{{text, origin}};
  for (auto const& s : steps_) {
    if (s.prefix_space)
      for (auto& p : pieces)
        if (!p.text.starts_with(' ')) {
          prefixed.push_back(" " + std::string(p.text));
          p.text     = prefixed.back();
          p.prefixed = true;
        }
    if (s.split) pieces = cut(pieces, *s.split);
  }
  for (auto const& p : pieces) encode_piece(p, scratch, to);
}

std::vector<bpe_tokenizer::piece> bpe_tokenizer::cut(std::vector<piece> const& pieces, split_step const& step) {
  struct part {
    std::size_t begin, end;
    bool        match;
  };
  std::vector<piece> result;
  std::vector<part>  parts, kept;
  for (auto const& p : pieces) {
    parts.clear(), kept.clear();
    std::size_t done = 0;
    for (auto const& m : step.expression.matches(p.text)) {
      if (m.begin > done) parts.push_back({done, m.begin, step.inverted});
      parts.push_back({m.begin, m.end, !step.inverted});
      done = m.end;
    }
    if (done < p.text.size()) parts.push_back({done, p.text.size(), step.inverted});

    using enum split_behaviour;
    bool before = false;  // the part before was a match
    if (step.behaviour == merged_with_next) {
      for (auto i = parts.rbegin(); i != parts.rend(); ++i) {
        if (i->match && !before && !kept.empty()) kept.back().begin = i->begin;
        else kept.push_back(*i);
        before = i->match;
      }
      std::reverse(kept.begin(), kept.end());
    } else {
      for (auto const& i : parts) {
        bool const join = !kept.empty() && ((step.behaviour == merged_with_previous && i.match && !before) ||
                                            (step.behaviour == contiguous && i.match == before));
        if (join) kept.back().end = i.end;
        else if (step.behaviour != removed || !i.match) kept.push_back(i);
        before = i.match;
      }
    }
    for (auto const& k : kept) {
      if (k.begin == k.end) continue;
      std::size_t const lead = p.prefixed ? 1 : 0;
      result.push_back({p.text.substr(k.begin, k.end - k.begin), p.origin + (k.begin > lead ? k.begin - lead : 0),
                        p.prefixed && k.begin == 0});
    }
  }
  return result;
}

void bpe_tokenizer::encode_piece(piece const& word, std::vector<symbol>& symbols, sink& to) const {
  std::size_t at   = word.origin;
  bool        lead = word.prefixed;
  auto const  emit = [&](std::int32_t id, std::size_t length) {
    if (lead && length > 0) --length, lead = false;
    if (id >= 0) to.add(id, {at, at + length});
    at += length;
  };
  if (ignore_merges_)
    if (auto const whole = ids_.find(std::string(word.text)); whole != ids_.end())
      return emit(whole->second, word.text.size());
  if (encoder_.pairs().usable()) {
    std::vector<std::int32_t> ids(word.text.size());
    ids.resize(encoder_.encode_word(word.text, ids.data()));
    for (std::int32_t const id : ids) emit(id, entries_[static_cast<std::size_t>(id)].bytes.size());
    return;
  }
  symbols.clear();
  for (char const c : word.text) {
    auto const id = byte_ids_[static_cast<unsigned char>(c)];
    symbols.push_back({id >= 0 ? id : unknown_, 1});
  }
  merge_symbols(symbols, merges_);
  for (auto const& s : symbols) emit(s.id, s.length);
}

std::string bpe_tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= vocabulary() || entries_[static_cast<std::size_t>(id)].kind == entry_kind::absent)
    throw wrong(file_, "has no such token id", std::to_string(id), "an id below " + std::to_string(vocabulary()));
  return entries_[static_cast<std::size_t>(id)].bytes;
}

std::string bpe_tokenizer::text_after(std::int32_t, std::int32_t id) const {
  return id < 0 || id >= vocabulary() || is_special(id) ? std::string() : entries_[static_cast<std::size_t>(id)].bytes;
}

bool bpe_tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocabulary() && entries_[static_cast<std::size_t>(id)].kind == entry_kind::control;
}

std::optional<std::int32_t> bpe_tokenizer::bos_id() const {
  return before_.empty() ? std::nullopt : std::optional(before_.front());
}

}  // namespace tenon::engine
