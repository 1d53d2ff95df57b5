#include "engine/text/bpe_tokenizer.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {

bpe_tokenizer::bpe_tokenizer(bpe_definition d)
    : file_(std::move(d.file)),
      description_(std::move(d.description)),
      unknown_(d.unknown),
      whole_words_(d.whole_words),
      normalizer_(std::move(d.normalizer)),
      words_(std::move(d.words)),
      before_(std::move(d.before)),
      after_(std::move(d.after)),
      ends_(std::move(d.ends)) {
  if (d.nfc) normalizer_.add_first(text_normalizer::form{unicode_form::nfc});
  std::vector<std::int32_t> apart;  // control tokens: no text is one of them as a whole
  for (added_token const& t : d.added)
    if (t.special) apart.push_back(t.id);
  large_vector<std::string_view> tokens(d.entries.size());
  for (std::size_t id = 0; id < tokens.size(); ++id)
    if (d.entries[id].merged) tokens[id] = d.entries[id].bytes;
  first_stand_in_ = static_cast<std::int32_t>(tokens.size());
  if (!d.merges_by_id) add_stand_ins(tokens);
  encoder_ = word_encoder(d.merges_by_id ? byte_pairs::by_rank(tokens) : byte_pairs::by_merges(tokens, d.merges),
                          whole_words_, apart);
  if (!encoder_.pairs().usable() && d.merges_by_id)
    throw wrong(file_, "lacks tokens", "not all of the 256 bytes, or tokens of more than 1,024", "a byte-level BPE");
  if (!encoder_.pairs().usable() || tokens.size() > d.entries.size())
    read_merges(d, std::span(tokens).first(d.entries.size()), apart);
  entries_ = std::move(d.entries);
  kinds_.reserve(entries_.size());
  for (bpe_definition::entry const& e : entries_) kinds_.push_back(e.present ? entry_kind::text : entry_kind::absent);
  for (added_token& t : d.added) {
    auto const id = static_cast<std::size_t>(t.id);
    if (id >= entries_.size()) entries_.resize(id + 1), kinds_.resize(id + 1);
    entries_[id].bytes = t.content, kinds_[id] = t.special ? entry_kind::control : entry_kind::user;
    if (t.normalized && !normalizer_.keeps(t.content)) t.content = normalizer_.apply(t.content).text;
    if (!t.content.empty()) (t.normalized ? normalized_added_ : raw_added_).add(t);
  }
  pieces_.reserve(entries_.size());
  for (std::size_t id = 0; id < entries_.size(); ++id)
    pieces_.add(kinds_[id] == entry_kind::control ? std::string_view() : entries_[id].bytes);
}

/// Tokens behind all others for the bytes that the vocabulary lacks (Falcon, StarCoder and GPT-NeoX lack those that
/// their training text had none of). A word that comes to one of them is merged pair by pair instead.
void bpe_tokenizer::add_stand_ins(large_vector<std::string_view>& tokens) {
  static constexpr auto bytes = [] {
    std::array<char, 256> all{};
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(static_cast<unsigned char>(i));
    return all;
  }();
  std::array<bool, 256> there{};
  for (std::string_view const t : tokens)
    if (t.size() == 1) there[static_cast<unsigned char>(t[0])] = true;
  for (std::size_t i = 0; i < there.size(); ++i)
    if (!there[i]) tokens.push_back({&bytes[i], 1});
}

bool bpe_tokenizer::has_stand_in(std::span<std::int32_t const> ids) const {
  return static_cast<std::size_t>(first_stand_in_) < encoder_.pairs().tokens() &&
         std::any_of(ids.begin(), ids.end(), [this](std::int32_t id) { return id >= first_stand_in_; });
}

/// For merging pair by pair.
void bpe_tokenizer::read_merges(bpe_definition const& d, std::span<std::string_view const> tokens,
                                std::vector<std::int32_t> const& apart) {
  merges_            = pair_table(d.merges.size());
  std::uint32_t rank = 0;
  for (pair_merge const& m : d.merges) merges_.insert(m.left, m.right, rank++, m.id);
  byte_ids_.fill(-1);
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].size() == 1) byte_ids_[static_cast<unsigned char>(tokens[id][0])] = static_cast<std::int32_t>(id);
    if (!tokens[id].empty()) ids_.emplace(tokens[id], static_cast<std::int32_t>(id));
  }
  for (std::int32_t const id : apart)
    if (static_cast<std::size_t>(id) < tokens.size()) ids_.erase(std::string(tokens[static_cast<std::size_t>(id)]));
}

encoding bpe_tokenizer::encode_text(std::string_view text, encode_options options, bool spans) const {
  sink       to{.out = {}, .spans = spans};
  auto const add = [&](std::vector<std::int32_t> const& ids, std::size_t at) {
    if (!options.add_special) return;
    for (std::int32_t const id : ids) to.add(id, {at, at});
  };
  add(before_, 0);
  for (auto const& part : raw_added_.split(text, options.control_in_text, options.foreign)) {
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
    bool const        changed = !normalizer_.keeps(part);
    if (changed) n = normalizer_.apply(part), part = n.text;
    // Where the normaliser has moved bytes it is not known any more which are foreign: then none of the part's are
    // trusted.
    bool const control = options.control_in_text && (!changed || !touches(options.foreign, {origin, origin + valid}));
    auto const foreign = changed ? std::span<token_span const>() : options.foreign;  // in places that are still theirs
    for (auto const& p : normalized_added_.split(part, control, foreign, origin)) {
      if (p.id >= 0) to.add(p.id, {origin + p.span.begin, origin + p.span.end});
      else encode_words(part.substr(p.span.begin, p.span.end - p.span.begin), origin + p.span.begin, to);
    }
    if (changed)  // spans of the normalised text, back to the input's
      for (std::size_t i = first; i < to.out.spans.size(); ++i) {
        token_span&       s     = to.out.spans[i];
        std::size_t const begin = s.begin - origin, end = s.end - origin;
        if (begin < end) s = {origin + n.origin[begin].begin, origin + n.origin[end - 1].end};
        else s.begin = s.end = origin + (begin < n.origin.size() ? n.origin[begin].begin : valid);
      }
    std::vector<symbol> scratch;
    for (std::size_t i = valid; i < valid + broken; ++i) encode_piece({text.substr(i, 1), origin + i}, scratch, to);
    text.remove_prefix(valid + broken);
    origin += valid + broken;
  }
}

void bpe_tokenizer::encode_words(std::string_view text, std::size_t origin, sink& to) const {
  if (auto const known = words_.known(); known && encoder_.pairs().usable()) {
    std::size_t const first = to.out.ids.size();
    encoder_.encode(*known, text, to.out.ids);
    if (!has_stand_in(std::span(to.out.ids).subspan(first))) {
      for (std::size_t i = first; to.spans && i < to.out.ids.size(); ++i) {
        std::size_t const end = origin + encoder_.pairs().bytes_of(to.out.ids[i]).size();
        to.out.spans.push_back({origin, end});
        origin = end;
      }
      return;
    }
    to.out.ids.resize(first);
  }
  std::deque<std::string> prefixed;
  std::vector<symbol>     scratch;
  for (text_piece const& p : words_.pieces(text, origin, prefixed)) encode_piece(p, scratch, to);
}

void bpe_tokenizer::encode_piece(text_piece const& word, std::vector<symbol>& symbols, sink& to) const {
  std::size_t at   = word.origin;
  bool        lead = word.prefixed;
  auto const  emit = [&](std::int32_t id, std::size_t length) {
    if (lead && length > 0) --length, lead = false;
    if (id >= 0) to.add(id, {at, at + length});
    at += length;
  };
  if (encoder_.pairs().usable()) {
    std::vector<std::int32_t> ids(word.text.size());
    ids.resize(encoder_.encode_word(word.text, ids.data()));
    if (!has_stand_in(ids)) {
      for (std::int32_t const id : ids) emit(id, encoder_.pairs().bytes_of(id).size());
      return;
    }
  }
  if (whole_words_)
    if (auto const whole = ids_.find(std::string(word.text)); whole != ids_.end())
      return emit(whole->second, word.text.size());
  symbols.clear();
  for (char const c : word.text) {
    auto const byte = byte_ids_[static_cast<unsigned char>(c)], id = byte >= 0 ? byte : unknown_;
    if (id >= 0) symbols.push_back({id, 1});
    else if (!symbols.empty()) ++symbols.back().length;  // left out, and what is around it may merge
    else if (!std::exchange(lead, false)) ++at;
  }
  merge_symbols(symbols, merges_);
  for (auto const& s : symbols) emit(s.id, s.length);
}

std::string bpe_tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= vocabulary() || kinds_[static_cast<std::size_t>(id)] == entry_kind::absent)
    throw wrong(file_, "has no such token id", std::to_string(id), "an id below " + std::to_string(vocabulary()));
  return entries_[static_cast<std::size_t>(id)].bytes;
}

std::string bpe_tokenizer::text_after(std::int32_t, std::int32_t id) const {
  return id < 0 || id >= vocabulary() || is_special(id) ? std::string() : entries_[static_cast<std::size_t>(id)].bytes;
}

void bpe_tokenizer::append_text(std::span<std::int32_t const> ids, std::int32_t, std::string& bytes) const {
  pieces_.append(ids, bytes);
}

bool bpe_tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocabulary() && kinds_[static_cast<std::size_t>(id)] == entry_kind::control;
}

std::optional<std::int32_t> bpe_tokenizer::bos_id() const {
  return before_.empty() ? std::nullopt : std::optional(before_.front());
}

}  // namespace tenon::engine
